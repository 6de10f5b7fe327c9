"""Plans batch jobs from rows that need an answer and that no other job holds, within limits and budgets."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import secrets
from collections import deque
from decimal import Decimal
from typing import NamedTuple

from ainb.batch.jobs.context import JobContext, pico
from ainb.batch.jobs.rows import OpenRows
from ainb.batch.jobs.under_way import claim_of
from ainb.batch.results import outcomes
from ainb.errors import AinbError, BudgetExceededError, InvalidPromptError
from ainb.jobs import Chunk, JobRecord, PlannedRequest
from ainb.messages import Call, Request

ZERO = Decimal(0)
ID_CHARS = 64


class _Candidate(NamedTuple):
    """A row for a job: its record for the store, its line, its maximum cost in USD, and its call."""

    request: PlannedRequest
    line: bytes
    price: Decimal
    call: Call


class Submission:
    """Plans jobs from waiting rows.

    Args:
        context: The provider, the store and the budgets.
        rows: The run's open rows.
        identity: Hash that is equal for runs of the same work.

    Attributes:
        waiting: Keys of rows that are not in a job yet.
        elsewhere: Rows that jobs of other runs hold: job and the row's id in it, by row key.
        unfinished: Number of rows that were refused and are sent when the batch is run again.
        is_blocked: Whether rows wait for money that other calls or jobs have reserved.
    """

    def __init__(self, context: JobContext, rows: OpenRows, *, identity: str) -> None:
        self._context = context
        self._rows = rows
        self._identity = identity
        self.waiting: deque[str] = deque()
        self.elsewhere: dict[str, tuple[str, str]] = {}
        self.unfinished = 0
        self.is_blocked = False

    async def next_job(self, *, has_jobs: bool) -> JobRecord | None:
        """Plan the next job from the rows that can be sent now; None without any.

        Args:
            has_jobs: Whether the run has open jobs, whose reserved money may be released.
        """
        store = self._context.store
        chunk = Chunk(store.folder / f"{secrets.token_hex(8)}.spool", self._context.service.limits)
        seen = store.changes()
        try:
            amount = await self._fill(chunk, has_jobs=has_jobs)
            return await self._plan(chunk, amount, seen=seen) if chunk.requests else None
        finally:
            chunk.discard()

    async def _fill(self, chunk: Chunk, *, has_jobs: bool) -> Decimal:
        """Add rows until the chunk or a budget is full; returns their maximum cost."""
        amount, room = ZERO, self._context.budget.room(self._context.call)
        while self.waiting:
            await asyncio.sleep(0)
            key = self.waiting[0]
            candidate = await self._candidate(key)
            if candidate is None:
                self.waiting.popleft()
                continue
            if not chunk.fits(candidate.line):
                break
            if room is not None and amount + candidate.price > room:
                if not await self._no_room(key, candidate, may_come=has_jobs or bool(chunk.requests)):
                    break
                continue
            self.waiting.popleft()
            amount += candidate.price
            chunk.add(candidate.request, candidate.line)
        return amount

    async def _candidate(self, key: str) -> _Candidate | None:
        """The row as a candidate; None if it is answered, refused, or in a job of another run."""
        context, call = self._context, await self._rows.call(key)
        request = await context.delivery.screen(call)
        if request is None:
            await self._answer(key, call)
            return None
        claim = claim_of(call, context.run_id, context.account)
        held = context.store.holder(claim)
        if held is not None:
            self.elsewhere[key] = held
            return None
        try:
            return self._make(key, call, request, claim)
        except AinbError as error:
            await self._refuse(key, call, error)
            return None

    def _make(self, key: str, call: Call, request: Request, claim: str) -> _Candidate:
        context, quote = self._context, self._context.quote(request)
        if quote is not None and quote.output_limit is not None:
            parameters = {**request.parameters, "max_tokens": quote.output_limit}
            request = dataclasses.replace(request, parameters=parameters)
        custom_id = self._custom_id(key)
        line = context.service.line(custom_id, request)
        most = context.service.limits.size_bytes
        if len(line) >= most:
            raise InvalidPromptError(
                f"this row alone has {len(line):,} bytes and a job of {context.provider} holds {most:,}; "
                "nothing was sent; shorten it"
            )
        usd = None if quote is None else quote.usd
        planned = PlannedRequest(custom_id=custom_id, row_key=key, claim=claim, estimate_pico_usd=pico(usd))
        return _Candidate(planned, line, usd or ZERO, call)

    def _custom_id(self, key: str) -> str:
        """Id of run and row, in the characters and length that all protocols accept."""
        head = f"{self._context.run_id}-"
        is_plain = head.isascii() and head.replace("-", "").replace("_", "").isalnum()
        if not is_plain or len(head) > ID_CHARS // 2:
            head = hashlib.sha256(head.encode()).hexdigest()[:26] + "-"
        return (head + hashlib.sha256(key.encode()).hexdigest())[:ID_CHARS]

    async def _answer(self, key: str, call: Call) -> None:
        """End a row that a cassette or the cache answers, or that validation refuses."""
        context = self._context
        try:
            reply = await context.delivery.answer(call)
        except Exception as error:  # noqa: BLE001 - it is this row's outcome
            await self._refuse(key, call, error)
        else:
            await self._rows.end(key, await self._rows.read_result(reply))

    async def _refuse(self, key: str, call: Call, error: Exception) -> None:
        self.unfinished += 1
        await self._rows.end(key, outcomes.of_failure(call, error, was_sent=False, took_s=None))

    async def _no_room(self, key: str, candidate: _Candidate, *, may_come: bool) -> bool:
        """Refuse a row that exceeds the budget; False while reserved money may still be released."""
        error: BudgetExceededError | None = self._context.budget.refusal(candidate.call, candidate.price)
        if error is None:
            self.is_blocked = True
            if not may_come:
                self._context.notify(
                    "the budget is reserved for other calls and jobs; rows wait for it", "budget"
                )
            return False
        self.waiting.popleft()
        await self._refuse(key, candidate.call, error)
        return True

    async def _plan(self, chunk: Chunk, amount: Decimal, *, seen: int) -> JobRecord | None:
        """Write the job, reserve its money and rename its file, in this order: a crash between has no effect.

        None, with the rows waiting again, if another job has taken the rows or the money, or has answered a
        row since `seen`, the store's number of changes.
        """
        context = self._context
        job = JobRecord(
            job_uuid=secrets.token_hex(16),
            run_id=context.run_id,
            provider=context.provider,
            model=context.model,
            endpoint=context.endpoint,
            account=context.account,
            api_key_name=context.call.request.api_key_name,
            rows=len(chunk.requests),
            requests=len(chunk.requests),
            planned_at=context.clock.unix(),
            poll_seconds=context.poll_seconds,
            holds=context.budget.holds(context.call, amount),
        )
        job, places = await asyncio.to_thread(context.store.plan, job, self._identity, chunk.requests)
        taken = set(range(len(chunk.requests))) - set(places)
        self.waiting.extendleft(chunk.requests[place].row_key for place in sorted(taken, reverse=True))
        if not places:
            return None
        keys = [chunk.requests[place].row_key for place in places]
        is_answered = context.store.changes() != seen and await self._is_any_answered(keys)
        if is_answered or not await context.budget.reserve(job.job_uuid, context.call, amount):
            await asyncio.to_thread(context.store.forget, job)
            self.waiting.extendleft(reversed(keys))
            self.is_blocked = not is_answered
            return None
        job = await context.driver.save(dataclasses.replace(job, reserved=True))
        await asyncio.to_thread(chunk.finish, places, context.store.request_file(job.job_uuid))
        return job

    async def _is_any_answered(self, keys: list[str]) -> bool:
        """Whether cache or cassette now answer one of these rows.

        A job releases its rows once their answers are in the cache. A row that was looked up before and
        claimed after that moment would be paid for twice.
        """
        for key in keys:
            if await self._context.delivery.screen(await self._rows.call(key)) is None:
                return True
        return False
