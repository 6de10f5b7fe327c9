"""Merges a fetched job: each line through the pipeline, each row into log, journal and result.

Whatever is broken off is done again from the start: usage rows have ids of their own making and are written
once, journal lines and cache entries are replaced by the same, and a job's money is settled in one
transaction.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from ainb.batch.jobs.context import JobContext, pico, usd
from ainb.batch.jobs.rows import OpenRows
from ainb.batch.results import outcomes
from ainb.batch.results.row_result import RowResult
from ainb.errors import InvalidReplyError
from ainb.jobs import JobRecord, PlannedRequest, merged, request_call_id
from ainb.messages import Call, Reply, add_up
from ainb.pipeline.budget import may_be_billed
from ainb.providers.batch_service import RequestResult

SLICE = 128
Pair = tuple[int, "RequestResult | None"]


@dataclass(slots=True)
class Tally:
    """What a job comes to.

    Attributes:
        answered: Requests with a reply, also one that was not what was asked for.
        failed: Requests without.
        cost: USD of what is known.
        booked: USD that the budgets are charged: the cost, and the estimate where it is unknown.
        live: USD that the same replies would have cost live, of what is known.
        unpriced: Requests that may be on the bill at an unknown price.
    """

    answered: int = 0
    failed: int = 0
    cost: Decimal = Decimal(0)
    booked: Decimal = Decimal(0)
    live: Decimal = Decimal(0)
    unpriced: int = 0


class Merge:
    """Merges jobs of one run.

    Args:
        context: The provider, the store, the budgets and the pipeline.
        rows: The run's open rows.
        call: Makes the call of a request, by row key, job and number; None when it cannot be made any more.
        ask_live: Sends a row again, live.
    """

    def __init__(
        self,
        context: JobContext,
        rows: OpenRows,
        *,
        call: Callable[[str, JobRecord, int], Awaitable[Call | None]],
        ask_live: Callable[[Call], Awaitable[Reply]],
    ) -> None:
        self._context = context
        self._rows = rows
        self._call = call
        self._ask_live = ask_live

    async def merge(self, job: JobRecord, *, may_resend: bool) -> tuple[JobRecord, Tally, list[str]]:
        """Merge a whole job.

        Args:
            job: The fetched job.
            may_resend: Whether rows that were not processed may go into another job.

        Returns:
            The merged record, what it came to, and the keys of rows that were not processed and may be sent
            again: those that the provider did not name when it refused a file for some of its lines.
        """
        context = self._context
        requests = await asyncio.to_thread(context.store.requests, job.job_uuid)
        again: set[int] = set()
        if may_resend and job.fault_lines:
            again = set(range(len(requests))) - job.fault_lines.keys()
        logged = await context.logged(job)
        job = await context.driver.save(dataclasses.replace(job, merge_begun=True))
        tally = Tally()
        await self._deliver_all(job, requests, logged, tally, skip=again)
        await context.flush()
        job = await self._settle(job, tally)
        cost = pico(tally.cost) if tally.answered or not tally.unpriced else None
        job = merged(job, answered=tally.answered, failed=tally.failed, cost_pico_usd=cost)
        job = await context.driver.save(job)
        return job, tally, [requests[number].row_key for number in sorted(again)]

    async def collect(self, job: JobRecord, keys: dict[str, str]) -> None:
        """Take the answers of some rows from a fetched job of another run, which stays as it is for that run.

        Args:
            job: The job.
            keys: Row key by the row's id in the job.
        """
        context = self._context
        requests = await asyncio.to_thread(context.store.requests, job.job_uuid)
        logged = await context.logged(job)
        job = await context.driver.save(dataclasses.replace(job, merge_begun=True))
        others = {number for number, item in enumerate(requests) if item.custom_id not in keys}
        own = [dataclasses.replace(item, row_key=keys.get(item.custom_id, item.row_key)) for item in requests]
        await self._deliver_all(job, own, logged, Tally(), skip=others)
        await context.flush()

    async def _deliver_all(
        self,
        job: JobRecord,
        requests: list[PlannedRequest],
        logged: set[str],
        tally: Tally,
        *,
        skip: set[int],
    ) -> None:
        context = self._context
        numbers = {item.custom_id: number for number, item in enumerate(requests)}
        files = context.driver.results(job, numbers)

        def pairs() -> Iterator[Pair]:
            yield from files
            yield from ((number, None) for number in files.missing())

        wanted = (pair for pair in pairs() if pair[0] not in skip)
        for part in _slices(wanted, SLICE):
            await asyncio.gather(
                *(
                    self._deliver(
                        job,
                        requests[number],
                        number,
                        result,
                        is_logged=request_call_id(job, number) in logged,
                        tally=tally,
                    )
                    for number, result in part
                )
            )
        remarks = files.remarks()
        if remarks is not None:
            context.tell(f"job {job.job_id}: {remarks}", "job_results")

    async def _deliver(
        self,
        job: JobRecord,
        request: PlannedRequest,
        number: int,
        result: RequestResult | None,
        *,
        is_logged: bool,
        tally: Tally,
    ) -> None:
        context, key = self._context, request.row_key
        call = await self._call(key, job, number)
        if call is None:
            tally.failed += 1
            return
        try:
            reply = await context.delivery.deliver(
                call, job, number, result, service=context.service, is_logged=is_logged
            )
        except Exception as error:  # noqa: BLE001 - it is this row's outcome
            self._count(tally, request, call, error)
            outcome = outcomes.of_failure(call, error, was_sent=True, took_s=call.duration_s)
            if isinstance(error, InvalidReplyError) and _breaks_schema(call) and key in self._rows:
                outcome = await self._again(key, outcome)
        else:
            self._count(tally, request, call, None)
            outcome = await outcomes.of_reply(reply, self._rows.read)
        await self._rows.end(key, outcome)

    async def _again(self, key: str, first: RowResult) -> RowResult:
        """Ask a row live whose reply did not match the schema."""
        call = await self._rows.call(key)
        try:
            reply = await self._ask_live(call)
        except Exception as error:  # noqa: BLE001 - it is this row's outcome
            second = outcomes.of_failure(call, error, was_sent=True, took_s=None)
        else:
            second = await outcomes.of_reply(reply, self._rows.read)
        return outcomes.added(first, second)

    def _count(self, tally: Tally, request: PlannedRequest, call: Call, error: Exception | None) -> None:
        if not call.replies:
            tally.failed += 1
            if error is not None and may_be_billed(error):
                tally.unpriced += 1
                tally.booked += usd(request.estimate_pico_usd or 0)
            return
        tally.answered += 1
        cost = add_up(call.replies)[1]
        if cost is None:
            tally.unpriced += 1
            tally.booked += usd(request.estimate_pico_usd or 0)
            return
        tally.cost += cost
        tally.booked += cost
        tally.live += self._context.live_cost(call, call.replies[-1]) or cost

    async def _settle(self, job: JobRecord, tally: Tally) -> JobRecord:
        if job.settled:
            return job
        if self._context.shares_budget:
            # Shared state cannot tell a second settling from the first: should it come to that, the estimate
            # stays booked.
            job = await self._context.driver.save(dataclasses.replace(job, settled=True))
        self._context.budget.settle(job.job_uuid, job.holds, tally.booked, reserved=job.reserved)
        return job


def _breaks_schema(call: Call) -> bool:
    """Whether the reply that came does not match the schema, and was not refused for another reason."""
    schema = call.request.schema
    if schema is None or not call.replies:
        return False
    try:
        schema.check(call.replies[-1].code)
    except ValueError:
        return True
    return False


def _slices(pairs: Iterable[Pair], size: int) -> Iterator[list[Pair]]:
    iterator = iter(pairs)
    while part := list(itertools.islice(iterator, size)):
        yield part
