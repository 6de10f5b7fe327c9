"""Workers that pull rows from a lazy source and send each through the pipeline; one failure never takes another row along."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ainb.batch import outcomes
from ainb.batch.journal import Entry, Journal
from ainb.batch.results import Outcome, failed
from ainb.errors import AinbError, CallRejectedError, CircuitOpenError, ConfigError, ProviderError
from ainb.events import Notice

if TYPE_CHECKING:
    from ainb.batch.concurrency import Concurrency
    from ainb.batch.progress import Ticker
    from ainb.clock import Clock
    from ainb.events import Sink
    from ainb.messages import Call, Reply

OVERLOAD_STATUSES = frozenset({429, 529})
RECENT_ROWS = 10_000
MAX_REQUEUES = 20
# More than the log keeps of what it cannot write, so that a broken log holds no batch up.
MAX_BACKLOG = 20_000
CAUGHT_UP_BACKLOG = 15_000
CATCH_UP_SECONDS = 0.02
CATCH_UP_LOOKS = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One row, ready to be sent.

    Attributes:
        key: Hash of what it sends; rows of one key share one call.
        call: The call, not yet started.
        send: Takes the call through the pipeline.
    """

    key: str
    call: Call
    send: Callable[[Call], Awaitable[Reply]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How a run treats its rows.

    Attributes:
        fail_fast: Take no more rows after the first that fails, and cancel those under way.
        retry_failed: Send rows again that the run being resumed had ended with an error.
        circuit_wait_seconds: How long all waits for an open circuit may take together.
    """

    fail_fast: bool = False
    retry_failed: bool = False
    circuit_wait_seconds: float = 120.0


class Runner:
    """One run of a batch, on the running loop.

    Args:
        rows: Position and item of each row, read as workers become free.
        prepare: Makes the Work of an item; an error it raises rejects that row alone.
        keep: Called with position and outcome when a row has ended and its commit is through.
        fields: Turns a reply into its schema values; None without a schema.
        concurrency: How many rows are under way.
        journal: Where finished rows are kept; None means nowhere, and the run cannot be resumed.
        run_id: The run in the journal.
        ticker: Told of every row that has ended.
        clock: Time.
        sink: Told of notices.
        backlog: How many calls wait to be logged.
        options: How rows are treated.
    """

    def __init__(
        self,
        *,
        rows: Iterator[tuple[int, Any]],
        prepare: Callable[[Any], Work],
        keep: Callable[[int, Outcome], None],
        fields: Callable[[Reply], dict[str, Any]] | None,
        concurrency: Concurrency,
        journal: Journal | None,
        run_id: str,
        ticker: Ticker,
        clock: Clock,
        sink: Sink,
        backlog: Callable[[], int],
        options: RunOptions,
    ) -> None:
        self._rows = rows
        self._prepare = prepare
        self._keep = keep
        self._fields = fields
        self._concurrency = concurrency
        self._journal = journal
        self._run_id = run_id
        self._resuming = journal is not None and journal.has_rows(run_id)
        self._ticker = ticker
        self._clock = clock
        self._sink = sink
        self._backlog = backlog
        self._options = options
        self._flights: dict[str, asyncio.Future[Outcome]] = {}
        self._recent: OrderedDict[str, Outcome] = OrderedDict()
        self._workers: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._source_ended = False
        self._source_error: BaseException | None = None
        self._circuit_wait_left = options.circuit_wait_seconds
        self.unfinished = 0

    @property
    def complete(self) -> bool:
        """Whether every row of the source was read and none is left for a later run."""
        return self._source_ended and not self.unfinished and not self._stopping

    def stop(self) -> None:
        """Take no more rows; those under way go on."""
        self._stopping = True

    async def run(self) -> None:
        """Go through all rows.

        Raises:
            Exception: What the source itself raised while it was read; rows before it have ended and are kept.
        """
        try:
            self._hire()
            while self._workers:
                ended, _ = await asyncio.wait(self._workers, return_when=asyncio.FIRST_COMPLETED)
                for worker in ended:
                    self._workers.discard(worker)
                    if not worker.cancelled():
                        worker.result()
        finally:
            for worker in self._workers:
                worker.cancel()
            await asyncio.gather(*self._workers, return_exceptions=True)
        if self._source_error is not None:
            raise self._source_error

    def _hire(self) -> None:
        while len(self._workers) < self._concurrency.limit and not self._source_ended and not self._stopping:
            worker = asyncio.get_running_loop().create_task(self._work())
            self._workers.add(worker)

    async def _work(self) -> None:
        while not self._stopping and (row := self._next_row()) is not None:
            position, item = row
            progress = self._ticker.progress
            progress.in_flight += 1
            try:
                outcome, resumed = await self._row(item)
            finally:
                progress.in_flight -= 1
            self._end(position, outcome, resumed=resumed)
            if self._backlog() > MAX_BACKLOG:
                await self._let_log_catch_up()
            if len(self._workers) > self._concurrency.limit:
                return

    async def _let_log_catch_up(self) -> None:
        """A run faster than the log would hold ever more finished calls in memory; a log that cannot be written lets them go itself."""
        for _ in range(CATCH_UP_LOOKS):
            await self._clock.sleep(CATCH_UP_SECONDS)
            if self._backlog() <= CAUGHT_UP_BACKLOG:
                return

    def _next_row(self) -> tuple[int, Any] | None:
        if self._source_ended:
            return None
        try:
            return next(self._rows)
        except StopIteration:
            self._source_ended = True
        except Exception as error:  # noqa: BLE001 - the source is the caller's code; its rows so far are kept
            self._source_ended = True
            self._stopping = True
            self._source_error = error
        return None

    async def _row(self, item: Any) -> tuple[Outcome, bool]:
        try:
            work = self._prepare(item)
        except Exception as error:  # noqa: BLE001 - whatever a row's own data does to the template stays with that row
            return failed(error, status="rejected"), False
        known = self._known(work.key)
        if known is not None:
            return known
        flight = self._flights.get(work.key)
        if flight is not None:
            return outcomes.shared(await asyncio.shield(flight)), False
        flight = self._flights[work.key] = asyncio.get_running_loop().create_future()
        try:
            outcome = await self._send(work, item)
            await self._commit(work.key, outcome)
        except BaseException:
            flight.cancel()
            raise
        finally:
            del self._flights[work.key]
        flight.set_result(outcome)
        return outcome, False

    def _known(self, key: str) -> tuple[Outcome, bool] | None:
        recent = self._recent.get(key)
        if recent is not None:
            self._recent.move_to_end(key)
            return outcomes.shared(recent), False
        if not self._resuming or self._journal is None:
            return None
        entry = self._journal.find(self._run_id, key)
        if entry is None or (entry.status == "error" and self._options.retry_failed):
            return None
        try:
            return Outcome.from_json(entry.outcome), True
        except ValueError:
            return None

    async def _send(self, work: Work, item: Any) -> Outcome:
        for _ in range(MAX_REQUEUES):
            started = self._clock.monotonic()
            try:
                reply = await work.send(work.call)
            except CircuitOpenError as error:
                if not await self._wait_for_circuit(error):
                    self.unfinished += 1
                    return failed(error, status="rejected")
                work = self._prepare(item)
                continue
            except Exception as error:  # noqa: BLE001 - also of a function of the caller's own; it is this row's outcome
                return self._failed(work.call, error, started)
            self._measure(work.call, None, started)
            return outcomes.of_reply(reply, self._fields)
        self.unfinished += 1
        return failed(
            AinbError(f"the circuit opened {MAX_REQUEUES} times on this row; run the batch again later"),
            status="rejected",
        )

    def _failed(self, call: Call, error: Exception, started: float) -> Outcome:
        self._measure(call, error, started)
        refused = isinstance(error, CallRejectedError | ConfigError) and not call.attempts
        if refused:
            self.unfinished += 1
        took = self._clock.monotonic() - started if call.duration_s is None else call.duration_s
        return outcomes.of_failure(call, error, was_sent=not refused, took_s=took)

    def _measure(self, call: Call, error: Exception | None, started: float) -> None:
        faults = [*call.errors, error] if error is not None else call.errors
        if any(
            isinstance(fault, ProviderError) and fault.status_code in OVERLOAD_STATUSES for fault in faults
        ):
            self._concurrency.overloaded(started_at=started, now=self._clock.monotonic())
        elif error is None and not self._stopping:
            self._concurrency.succeeded(in_flight=self._ticker.progress.in_flight)
            self._hire()
        self._ticker.progress.concurrency = self._concurrency.limit

    async def _commit(self, key: str, outcome: Outcome) -> None:
        if outcome.status in {"ok", "error"}:
            await self._write(key, outcome)
        self._recent[key] = outcome
        if len(self._recent) > RECENT_ROWS:
            self._recent.popitem(last=False)

    async def _write(self, key: str, outcome: Outcome) -> None:
        if self._journal is None:
            return
        entry = Entry(
            row_key=key, status=outcome.status, cost_nano_usd=outcome.cost_nano_usd, outcome=outcome.to_json()
        )
        try:
            await self._journal.write(self._run_id, entry)
        except AinbError as error:
            self._journal = None
            self._sink(Notice(f"{error}; the batch goes on, but cannot be resumed", "journal"))

    async def _wait_for_circuit(self, error: CircuitOpenError) -> bool:
        """Wait until the circuit probes again; False when the time for such waits is used up."""
        progress, now = self._ticker.progress, self._clock.monotonic()
        wait = error.retry_after if error.retry_after is not None else 1.0
        wait = max(wait, 0.05)
        if progress.waiting_until is None or progress.waiting_until <= now:
            if wait > self._circuit_wait_left:
                return False
            self._circuit_wait_left -= wait
            progress.waiting_until = now + wait
            self._sink(Notice(f"{error}; the batch waits {wait:.0f} s for it", "circuit"))
            self._ticker.tick()
        await self._clock.sleep(max(0.0, progress.waiting_until - now))
        return not self._stopping

    def _end(self, position: int, outcome: Outcome, *, resumed: bool) -> None:
        self._keep(position, outcome)
        self._ticker.progress.count(position, outcome, resumed=resumed)
        self._ticker.tick()
        if self._options.fail_fast and outcome.status == "error" and not resumed:
            self._stopping = True
            current = asyncio.current_task()
            for worker in self._workers:
                if worker is not current:
                    worker.cancel()
