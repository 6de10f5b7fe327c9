"""Worker pool of a batch: reads rows from a lazy source and sends each through the pipeline."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, NoReturn

from ainb.batch.context import BatchContext
from ainb.batch.input.reader import RowReader
from ainb.batch.reporter import ProgressReporter
from ainb.batch.results import outcomes
from ainb.batch.results.row_result import RowResult
from ainb.batch.running.ahead import CallsAhead
from ainb.batch.running.circuit_wait import CircuitWait
from ainb.batch.running.finished import FinishedRows
from ainb.batch.running.refusals import AccountRefusals, not_sent, stop_notice
from ainb.batch.running.throttled import ThrottledRow
from ainb.batch.running.warm_up import WarmUp
from ainb.errors import (
    CallRejectedError,
    CircuitOpenError,
    ConfigError,
    InvalidReplyError,
    ProviderError,
)
from ainb.event_loop import Contained, RaisedByUser, ends_program
from ainb.pipeline.rate_limit import OVERLOAD_STATUSES

if TYPE_CHECKING:
    from ainb.messages import Call, Reply

MAX_REQUEUES = 20
STOP_SECONDS = 1.5
# More than a log that cannot be written keeps, so that it does not delay the batch.
MAX_BACKLOG = 20_000
CAUGHT_UP_BACKLOG = 15_000
CATCH_UP_SECONDS = 0.02
CATCH_UP_LOOKS = 250
# Rejected and resumed rows never wait; without a pause they would block all other calls on the loop.
YIELD_ROWS = 100


class Runner:
    """Sends the rows of one batch on the running loop; an error of a row affects that row only.

    Args:
        context: Context of the batch.
        rows: Reads the next row when a worker becomes free.
        reporter: Counts results and shows progress.

    Attributes:
        finished: Rows that have a result.
        unfinished: Rows left for a later run.
    """

    def __init__(self, context: BatchContext, rows: RowReader, reporter: ProgressReporter) -> None:
        self._context = context
        self._rows = rows
        self._reporter = reporter
        self._progress = reporter.progress
        self.finished = FinishedRows(context)
        self._circuit = CircuitWait(context, reporter)
        self._warm_up = WarmUp(context.clock)
        self._ahead = CallsAhead(context, rows)
        self._refusals = AccountRefusals()
        self._in_flight: dict[str, asyncio.Future[RowResult]] = {}
        self._workers: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._source_error: Exception | None = None
        self._exit: Exception | None = None
        self._exit_timer: asyncio.TimerHandle | None = None
        self.unfinished = 0

    @property
    def all_ended(self) -> bool:
        """Whether every row of the source has a result, rejected ones included."""
        return self._rows.ended and not self._stopping

    @property
    def complete(self) -> bool:
        """Whether every row of the source was read and none is left for a later run."""
        return self.all_ended and not self.unfinished and not self.finished.holds_back

    def stop(self) -> None:
        """Start no further rows; those in flight continue."""
        self._stopping = True

    def end_program(self, error: Exception) -> None:
        """Start no further rows, cancel those in flight after 1.5 s, and raise `error` from `run`.

        Args:
            error: SystemExit or KeyboardInterrupt of the user's code, wrapped for the event loop.
        """
        self._stopping = True
        if self._exit is None:
            self._exit = error
            self._exit_timer = asyncio.get_running_loop().call_later(STOP_SECONDS, self._cancel_workers)

    async def run(self) -> None:
        """Send all rows.

        Raises:
            Exception: An error of the source itself; the rows before it have ended and are kept. Or
                SystemExit or KeyboardInterrupt of the user's code, wrapped for the event loop.
        """
        try:
            self._context.pace.begin()
            self._start_workers()
            while self._workers:
                ended, _ = await asyncio.wait(self._workers, return_when=asyncio.FIRST_COMPLETED)
                for worker in ended:
                    self._workers.discard(worker)
                    if not worker.cancelled():
                        worker.result()
        finally:
            if self._exit_timer is not None:
                self._exit_timer.cancel()
            self._cancel_workers()
            self._rows.close()
            await asyncio.gather(*self._workers, return_exceptions=True)
            self._context.pace.end()
        error = self._exit or self._source_error
        if error is not None:
            raise error

    def _cancel_workers(self) -> None:
        for worker in self._workers:
            worker.cancel()

    def _start_workers(self) -> None:
        while len(self._workers) < self._context.pace.limit and not self._rows.ended and not self._stopping:
            self._workers.add(asyncio.get_running_loop().create_task(self._work()))

    async def _work(self) -> None:
        while not self._stopping and (row := await self._next_row()) is not None:
            position, item = row
            self._progress.in_flight += 1
            # Not right after the previous row has ended: at that moment the rows in flight are one too few.
            self._reporter.update()
            try:
                result, resumed = await self._row(item)
            finally:
                self._progress.in_flight -= 1
            self._end(position, item, result, resumed=resumed)
            if await self._may_leave():
                break
        self._reporter.update()

    async def _may_leave(self) -> bool:
        """Yield to other calls and to the log; returns whether this worker exceeds the limit."""
        if not self._progress.done % YIELD_ROWS:
            await asyncio.sleep(0)
        if self._context.core.log.backlog > MAX_BACKLOG:
            await self._wait_for_log()
        if len(self._workers) <= self._context.pace.limit:
            return False
        # At once and not when the task ends: otherwise workers that end together would all leave.
        task = asyncio.current_task()
        if task is not None:
            self._workers.discard(task)
        return True

    async def _wait_for_log(self) -> None:
        """Wait for the usage log: the finished calls of a faster batch would fill the memory."""
        for _ in range(CATCH_UP_LOOKS):
            await self._context.clock.sleep(CATCH_UP_SECONDS)
            if self._context.core.log.backlog <= CAUGHT_UP_BACKLOG:
                return

    async def _next_row(self) -> tuple[int, Any] | None:
        try:
            self._ahead.look()
            row = await self._rows.read()
        except Exception as error:  # noqa: BLE001 - the source is user code; rows so far are kept
            self._stopping = True
            self._source_error = error
            if ends_program(error):
                self.end_program(error)
            return None
        return None if self._stopping else row

    async def _make_call(self, item: Any) -> Call | RowResult:
        """The call of a row, or its result if its data prevents sending."""
        if (call := self._ahead.take(item)) is not None:
            return call
        try:
            return await self._context.open_row(item)
        except RaisedByUser as error:
            self._leave(error)

    async def _row(self, item: Any) -> tuple[RowResult, bool]:
        """Result of a row, and whether an earlier run had finished it."""
        call = await self._make_call(item)
        if isinstance(call, RowResult):
            return call, False
        key = call.row_key or ""
        if (known := self.finished.find(key)) is not None:
            return known
        if (first := self._in_flight.get(key)) is not None:
            return (await asyncio.shield(first)).shared(), False
        first = self._in_flight[key] = asyncio.get_running_loop().create_future()
        try:
            result = await self._send_or_refuse(call, item)
        except BaseException:
            first.cancel()
            raise
        finally:
            del self._in_flight[key]
        first.set_result(result)
        return result, False

    async def _send_or_refuse(self, call: Call, item: Any) -> RowResult:
        """Result of a row, stored in the journal unless another run should send the row again."""
        key = call.row_key or ""
        cause = self._refusals.cause
        if cause is not None:
            self.unfinished += 1
            return not_sent(cause)
        if self._context.under_way is not None:
            self._context.under_way.check(call)
        result, error = await self._send(call, item)
        return await self._settle(key, result, error)

    async def _settle(self, key: str, result: RowResult, error: Exception | None) -> RowResult:
        """Store a result with its error or None, unless another run should send the row again."""
        if error is not None and self._refusals.add_error(error):
            self.finished.hold_back(key, result)
            if error is self._refusals.cause:
                self._context.core.notify(stop_notice(error), "batch")
            return result
        if isinstance(error, InvalidReplyError) or (error is None and result.attempts and not result.cached):
            self._refusals.add_success()
            await self.finished.release()
        await self.finished.add(key, result)
        return result

    async def _send(self, call: Call, item: Any) -> tuple[RowResult, Exception | None]:
        again = functools.partial(self._context.make_call, item)
        call, ended, started = await self._ask(call, self._context.core.handle, again)
        if isinstance(ended, Exception):
            return self._failed(call, ended, started), ended
        try:
            return await self._context.read_result(ended), None
        except RaisedByUser as error:
            self._leave(error)

    async def _ask(
        self,
        call: Call,
        handle: Callable[[Call], Coroutine[Any, Any, Reply]],
        again: Callable[[], Awaitable[Call]],
    ) -> tuple[Call, Reply | Exception, float]:
        """The last call of a row or a pack, its reply or error, and the time it was sent.

        After a wait for an open circuit, or after 429, the call that `again` returns is sent.
        """
        throttled = None
        for _ in range(MAX_REQUEUES):
            started = self._context.clock.monotonic()
            # Errors are returned where they are caught: a variable would make a cycle with the traceback.
            try:
                reply = await Contained(self._warm_up.send(call, handle))
            except CircuitOpenError as error:
                if not await self._circuit.wait(error) or self._stopping:
                    return call, error, started
            except Exception as error:  # noqa: BLE001 - any exception, also of a user function, becomes this row's result
                if ends_program(error):
                    self._leave(error)
                self._adapt(call, error, started)
                throttled = throttled or ThrottledRow(self._context, self._progress)
                if self._stopping or not await throttled.wait(call, error) or self._stopping:
                    return call, error, started
            else:
                self._adapt(call, None, started)
                return call, reply, started
            call = await again()
        text = f"this row was sent {MAX_REQUEUES} times and refused each time; run the batch again later"
        return call, CallRejectedError(text), started

    def _leave(self, error: Exception) -> NoReturn:
        """End the row without a result, so that another run sends it again, and stop the batch."""
        self.end_program(error)
        raise asyncio.CancelledError

    def _failed(self, call: Call, error: Exception, started: float) -> RowResult:
        refused = isinstance(error, CallRejectedError | ConfigError) and not call.attempts
        refused = refused or isinstance(error, CircuitOpenError)
        if refused:
            self.unfinished += 1
        took = call.duration_s
        if took is None:
            took = max(0.0, self._context.clock.monotonic() - started - call.queue_wait_s)
        return outcomes.of_failure(call, error, was_sent=not refused, took_s=took)

    def _adapt(self, call: Call, error: Exception | None, started: float) -> None:
        """Adapt the number of rows in flight to the result of a call."""
        pace = self._context.pace
        faults = [*call.errors, error] if error is not None else call.errors
        if any(
            isinstance(fault, ProviderError) and fault.status_code in OVERLOAD_STATUSES for fault in faults
        ):
            pace.overloaded(started_at=started)
        elif error is None and not self._stopping:
            # Counts workers and not rows in flight: a new worker has not taken its row yet.
            pace.succeeded(workers=len(self._workers), asked=call.attempts > 0)
            self._start_workers()
        self._progress.concurrency = pace.limit

    def _end(self, position: int, item: Any, result: RowResult, *, resumed: bool) -> None:
        self._context.output.put(position, result)  # the journal has it already
        self._progress.count(position, result, resumed=resumed, item=item)
        if self._context.options.fail_fast and result.status == "error" and not resumed:
            self._stopping = True
            current = asyncio.current_task()
            for worker in self._workers:
                if worker is not current:
                    worker.cancel()
