"""How far a batch is: counts that the runner keeps and panels draw."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ainb.batch.results import Outcome

if TYPE_CHECKING:
    from ainb.clock import Clock

PERIOD_SECONDS = 0.2
RATE_WINDOW_SECONDS = 10.0
LAST_ERRORS = 3
QUARTERS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class JobProgress:
    """One batch job of a run.

    Attributes:
        provider: Service name.
        job_id: The provider's id; None before it has one.
        state: How far it is ("submitted", "merged", …; see `ainb.jobs.state_machine.State`).
        status: The provider's last word for it; "" before there is one.
        rows: Rows that it answers.
        answered: Rows with an answer so far; None when unknown.
        failed: Rows without one so far; None when unknown.
    """

    provider: str
    job_id: str | None
    state: str
    status: str
    rows: int
    answered: int | None
    failed: int | None


@dataclass(slots=True, kw_only=True)
class Progress:
    """The state of a batch at one moment.

    Attributes:
        title: The beginning of the template, for people.
        model: ``provider:model``.
        total: Rows of the source; None while nobody knows.
        done: Rows that have ended, however they ended.
        answered: Rows answered by the provider in this run.
        cached: Rows answered from the cache or by another's identical call.
        resumed: Rows that an earlier, interrupted run had finished.
        failed: Rows that ended in an error.
        rejected: Rows that were not sent.
        in_flight: Rows under way.
        concurrency: Rows that may be under way.
        input_tokens: Of all rows whose tokens are known.
        output_tokens: The same.
        cost_nano_usd: Sum of what is known, in 1e-9 USD.
        unpriced: Rows that were sent and have no known price.
        elapsed_s: Seconds since the start.
        rows_per_s: Over the last 10 s; None before anything has ended.
        kinds: How often each kind of error came, by class name and HTTP status (None without one).
        last_errors: Position, kind and message of the newest failures, newest last.
        waiting_until: Monotonic second until which an open circuit is waited for, or None.
        jobs: Batch jobs of the run, oldest first; empty where rows are sent live.
        saved_nano_usd: What the batch rate has saved against the live one, in 1e-9 USD, of what is known.
        state: "running", "finished", "stopped" (by the person) or "failed".
    """

    title: str = ""
    model: str = ""
    total: int | None = None
    done: int = 0
    answered: int = 0
    cached: int = 0
    resumed: int = 0
    failed: int = 0
    rejected: int = 0
    in_flight: int = 0
    concurrency: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nano_usd: int = 0
    unpriced: int = 0
    elapsed_s: float = 0.0
    rows_per_s: float | None = None
    kinds: Counter[tuple[str, int | None]] = field(default_factory=Counter)
    last_errors: deque[tuple[int, str, str]] = field(default_factory=lambda: deque(maxlen=LAST_ERRORS))
    waiting_until: float | None = None
    jobs: tuple[JobProgress, ...] = ()
    saved_nano_usd: int = 0
    state: str = "running"

    @property
    def jobs_line(self) -> str | None:
        """How far the batch jobs are, and that they need nobody to wait; None without jobs under way."""
        under_way = [job for job in self.jobs if job.state != "merged"]
        if not under_way:
            return None
        rows, count = sum(job.rows for job in under_way), len(under_way)
        answered = sum(job.answered or 0 for job in under_way)
        return (
            f"{rows:,} rows sent to {under_way[0].provider} in {count} job{'s' if count > 1 else ''}, {answered:,} answered. "
            "You can interrupt or close: the job goes on; run the cell again to collect."
        )

    @property
    def left_s(self) -> float | None:
        """Seconds that the rest will take at the present rate; None when nobody can tell."""
        if self.total is None or not self.rows_per_s:
            return None
        return max(0, self.total - self.done) / self.rows_per_s

    @property
    def projected_nano_usd(self) -> int | None:
        """What the whole run will cost if the rest is like the rows so far; None when nobody can tell."""
        if self.total is None or not self.done or self.unpriced:
            return None
        return round(self.cost_nano_usd * self.total / self.done)

    @property
    def succeeded(self) -> int:
        """Rows that have an answer, wherever it came from."""
        return self.answered + self.cached + self.resumed

    @property
    def quarters(self) -> int:
        """Whole quarters of the rows that have ended; 0 while nobody knows how many there are."""
        return QUARTERS * self.done // self.total if self.total else 0

    def count(self, position: int, outcome: Outcome, *, resumed: bool) -> None:
        """Add a row that has ended."""
        self.done += 1
        self.input_tokens += outcome.input_tokens or 0
        self.output_tokens += outcome.output_tokens or 0
        if resumed:
            self.resumed += 1
        elif outcome.status == "ok":
            self._count_answer(outcome)
        if outcome.status == "rejected":
            self.rejected += 1
        elif outcome.status == "error":
            self.failed += 1
            self._count_cost(outcome)
        if outcome.error_type is not None:
            self.kinds[outcome.error_type, outcome.http_status] += 1
            self.last_errors.append((position, outcome.error_type, outcome.error_message or ""))

    @property
    def errors(self) -> Counter[str]:
        """How often each class of error came."""
        counted: Counter[str] = Counter()
        for (name, _), number in self.kinds.items():
            counted[name] += number
        return counted

    def _count_answer(self, outcome: Outcome) -> None:
        if outcome.cached:
            self.cached += 1
        else:
            self.answered += 1
        self._count_cost(outcome)

    def _count_cost(self, outcome: Outcome) -> None:
        if outcome.cost_nano_usd is None:
            self.unpriced += 1
        else:
            self.cost_nano_usd += outcome.cost_nano_usd


Watcher = Callable[[Progress], None]


class Ticker:
    """Tells a watcher of progress at most five times a second, and always of the last state.

    A watcher that raises is not asked again; the batch goes on.
    """

    def __init__(self, progress: Progress, watcher: Watcher | None, clock: Clock) -> None:
        self.progress = progress
        self._watcher = watcher
        self._clock = clock
        self._started = clock.monotonic()
        self._told_at = float("-inf")
        self._marks: deque[tuple[float, int]] = deque([(self._started, 0)])

    def tick(self, *, last: bool = False) -> None:
        """Something changed; tell the watcher when it is time."""
        now = self._clock.monotonic()
        if not last and now - self._told_at < PERIOD_SECONDS:
            return
        self._told_at = now
        self._measure(now)
        if self._watcher is None:
            return
        try:
            self._watcher(self.progress)
        except Exception:  # noqa: BLE001 - a display error never fails a batch
            self._watcher = None

    def _measure(self, now: float) -> None:
        progress = self.progress
        progress.elapsed_s = now - self._started
        self._marks.append((now, progress.done))
        while len(self._marks) > 2 and now - self._marks[0][0] > RATE_WINDOW_SECONDS:  # noqa: PLR2004 - two ends of a span
            self._marks.popleft()
        (then, before) = self._marks[0]
        if now > then and progress.done > before:
            progress.rows_per_s = (progress.done - before) / (now - then)
