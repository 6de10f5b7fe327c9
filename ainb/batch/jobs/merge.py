"""Merges a fetched job: takes each result through the pipeline into usage log, journal and output.

An interrupted merge is repeated from the start. That is safe: usage rows have ids derived from job and
request and are written once, journal lines and cache entries are replaced by equal ones, and a job's money is
settled in one transaction.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from dataclasses import dataclass
from decimal import Decimal

from ainb.batch.jobs.context import JobContext, pico, usd
from ainb.batch.jobs.rows import OpenRows
from ainb.batch.jobs.sent import SentRequests
from ainb.batch.results import outcomes
from ainb.batch.results.row_result import RowResult
from ainb.errors import InvalidReplyError
from ainb.jobs import JobRecord, PlannedRequest, merged, request_call_id
from ainb.messages import Call, add_up
from ainb.pipeline.budget import may_be_billed
from ainb.providers.batch_service import RequestResult

SLICE = 128


@dataclass(slots=True)
class Tally:
    """Totals of a job.

    Attributes:
        answered: Requests with a reply, valid or not.
        failed: Requests without a reply.
        cost: Sum of the known costs in USD.
        booked: USD charged to the budgets: the cost, or the estimate when it is unknown.
        live: Sum of the known costs at the live rate in USD.
        unpriced: Requests that may be billed at an unknown price.
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
    """

    def __init__(self, context: JobContext, rows: OpenRows) -> None:
        self._context = context
        self._rows = rows
        self._sent = SentRequests(context)

    async def merge(self, job: JobRecord, *, may_resend: bool) -> tuple[JobRecord, Tally, list[str]]:
        """Merge a complete job.

        Args:
            job: The fetched job.
            may_resend: Whether unprocessed rows may be put into another job.

        Returns:
            The merged record, its totals, and the keys of unprocessed rows that may be sent again: those
            that the provider did not name when it refused a file because of some lines.
        """
        context = self._context
        requests = await asyncio.to_thread(context.store.requests, job.job_uuid)
        again: set[int] = set()
        if may_resend and job.fault_lines:
            again = set(range(len(requests))) - job.fault_lines.keys()
        job, tally = await self._deliver_all(job, requests, skip=again)
        job = await self._settle(job, tally)
        cost = pico(tally.cost) if tally.answered or not tally.unpriced else None
        job = merged(job, answered=tally.answered, failed=tally.failed, cost_pico_usd=cost)
        job = await context.driver.save(job)
        return job, tally, [requests[number].row_key for number in sorted(again)]

    async def collect(self, job: JobRecord, keys: dict[str, str]) -> None:
        """Take the answers of some rows from a fetched job of another run; the job is not changed.

        Args:
            job: The job.
            keys: Row key by the row's id in the job.
        """
        requests = await asyncio.to_thread(self._context.store.requests, job.job_uuid)
        others = {number for number, item in enumerate(requests) if item.custom_id not in keys}
        own = [item._replace(row_key=keys.get(item.custom_id, item.row_key)) for item in requests]
        await self._deliver_all(job, own, skip=others)

    async def _deliver_all(
        self, job: JobRecord, requests: list[PlannedRequest], *, skip: set[int]
    ) -> tuple[JobRecord, Tally]:
        """Deliver the results of a job except for the requests with the numbers in `skip`."""
        context, tally = self._context, Tally()
        logged = await context.logged(job)
        job = await context.driver.save(dataclasses.replace(job, merge_begun=True))
        files = context.driver.results(job, {item.custom_id: number for number, item in enumerate(requests)})
        wanted = ((number, result) for number, result in files if number not in skip)
        while part := list(itertools.islice(wanted, SLICE)):
            await asyncio.gather(
                *(
                    self._deliver(job, number, requests[number], result, logged, tally=tally)
                    for number, result in part
                )
            )
        remarks = files.remarks()
        if remarks is not None:
            context.notify(f"job {job.job_id}: {remarks}", "job_results")
        await context.flush()
        return job, tally

    async def _deliver(
        self,
        job: JobRecord,
        number: int,
        request: PlannedRequest,
        result: RequestResult | None,
        logged: set[str],
        *,
        tally: Tally,
    ) -> None:
        context, key = self._context, request.row_key
        # A row that is no longer in the table has its call built from the line that was sent.
        call = await self._rows.call(key) if key in self._rows else self._sent.call(job, number, key)
        if call is None:
            tally.failed += 1
            return
        is_logged = request_call_id(job, number) in logged
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
            outcome = await self._rows.read_result(reply)
        await self._rows.end(key, outcome)

    async def _again(self, key: str, first: RowResult) -> RowResult:
        """Send a row live whose reply did not match the schema."""
        call = await self._rows.call(key)
        try:
            reply = await self._context.core.handle(call)
        except Exception as error:  # noqa: BLE001 - it is this row's outcome
            second = outcomes.of_failure(call, error, was_sent=True, took_s=None)
        else:
            second = await self._rows.read_result(reply)
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
            # With shared state a second settlement cannot be distinguished from the first one; in that case
            # the estimate stays booked.
            job = await self._context.driver.save(dataclasses.replace(job, settled=True))
        self._context.budget.settle(job.job_uuid, job.holds, tally.booked, reserved=job.reserved)
        return job


def _breaks_schema(call: Call) -> bool:
    """Whether the call failed only because its reply does not match the schema."""
    schema = call.request.schema
    if schema is None or not call.replies:
        return False
    try:
        schema.check(call.replies[-1].code)
    except ValueError:
        return True
    return False
