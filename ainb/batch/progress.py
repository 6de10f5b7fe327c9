"""Progress of a batch: counts that the runner updates and panels show."""

from __future__ import annotations

import dataclasses
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from ainb.batch.results.row_result import RowResult

LAST_ERRORS = 3
LAST_ANSWERS = 3
QUARTERS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class JobProgress:
    """One batch job of a run.

    Attributes:
        provider: Service name.
        job_id: The provider's id; None before it has one.
        state: How far it is ("submitted", "merged", …; see `ainb.jobs.State`).
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
        title: Beginning of the template, for display.
        model: ``provider:model``.
        total: Rows of the source; None while unknown.
        done: Rows that have ended, with any status.
        answered: Rows answered by the provider in this run.
        counted_replies: Of these, rows whose output tokens are known.
        reply_tokens: Their output tokens, thinking included.
        cached: Rows answered from the cache or by an identical row.
        resumed: Rows that an earlier, interrupted run had finished.
        failed: Rows that ended in an error.
        rejected: Rows that were not sent.
        in_flight: Rows under way: their calls are out, or wait for a permit.
        paused: Of these, rows that wait for an open circuit; their calls are not out.
        concurrency: Rows that may be in flight.
        input_tokens: Of all rows whose tokens are known.
        output_tokens: The same.
        reasoning_tokens: Part of the output that was thinking, as far as it is known.
        cost_nano_usd: Sum of the known costs, in 1e-9 USD.
        unpriced: Rows that were sent and have no known price.
        elapsed_s: Seconds since the start.
        rows_per_s: Over the last 10 s, or over all of them where no row has ended in these; None before
            anything has ended.
        kinds: Number of errors by class name and HTTP status (None without one).
        last_errors: Position, kind and message of the newest failures, newest last.
        last_answers: Position, input and result of the newest answered rows, newest last.
        waiting_until: Monotonic second until which the batch waits for an open circuit, or None.
        jobs: Batch jobs of the run, oldest first; empty where rows are sent live.
        saved_nano_usd: What the batch rate has saved against the live one, in 1e-9 USD, of what is known.
        provider_saved_nano_usd: What the provider's prompt cache has saved, in 1e-9 USD, of what is known.
        pack_saved_tokens: Input tokens that one call for many rows saved against one call a row, about.
        pack_saved_nano_usd: Their price, in 1e-9 USD; 0 where none is known.
        next_try_s: Seconds until then; None while it does not wait.
        state: "running", "finished", "stopped" (by the user) or "failed".
    """

    title: str = ""
    model: str = ""
    total: int | None = None
    done: int = 0
    answered: int = 0
    counted_replies: int = 0
    reply_tokens: int = 0
    cached: int = 0
    resumed: int = 0
    failed: int = 0
    rejected: int = 0
    in_flight: int = 0
    paused: int = 0
    concurrency: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost_nano_usd: int = 0
    unpriced: int = 0
    elapsed_s: float = 0.0
    rows_per_s: float | None = None
    kinds: Counter[tuple[str, int | None]] = field(default_factory=Counter)
    last_errors: deque[tuple[int, str, str]] = field(default_factory=lambda: deque(maxlen=LAST_ERRORS))
    last_answers: deque[tuple[int, Any, RowResult]] = field(
        default_factory=lambda: deque(maxlen=LAST_ANSWERS)
    )
    waiting_until: float | None = None
    jobs: tuple[JobProgress, ...] = ()
    saved_nano_usd: int = 0
    provider_saved_nano_usd: int = 0
    pack_saved_tokens: int = 0
    pack_saved_nano_usd: int = 0
    next_try_s: float | None = None
    state: str = "running"

    @property
    def jobs_under_way(self) -> list[JobProgress]:
        """Jobs whose rows are not merged yet."""
        return [job for job in self.jobs if job.state != "merged"]

    @property
    def jobs_line(self) -> str | None:
        """How far the batch jobs are, and that nobody need wait for them; None without jobs under way."""
        jobs = self.jobs_under_way
        if not jobs:
            return None
        rows, answered = sum(job.rows for job in jobs), sum(job.answered or 0 for job in jobs)
        many = f"{len(jobs)} job{'s' if len(jobs) > 1 else ''}"
        return (
            f"{rows:,} rows sent to {jobs[0].provider} in {many}, {answered:,} answered. "
            "You can interrupt or close: the job continues; run the cell again to collect."
        )

    @property
    def left_s(self) -> float | None:
        """Seconds that the rest will take at the present rate; None when unknown."""
        if self.total is None or not self.rows_per_s:
            return None
        return max(0, self.total - self.done) / self.rows_per_s

    @property
    def average_rows_per_s(self) -> float | None:
        """Rows per second over the whole run, without those that were not sent; None before any has ended."""
        ended = self.done - self.rejected
        return ended / self.elapsed_s if ended and self.elapsed_s > 0 else None

    @property
    def projected_nano_usd(self) -> int | None:
        """What the whole run will cost if the rest is like the rows so far; None when unknown."""
        if self.total is None or not self.done or self.unpriced:
            return None
        return round(self.cost_nano_usd * self.total / self.done)

    @property
    def plain_nano_usd(self) -> int | None:
        """About what the rows so far would have cost as one plain message each; None where that is equal."""
        saved = self.provider_saved_nano_usd + self.pack_saved_nano_usd
        return self.cost_nano_usd + saved if saved and not self.unpriced else None

    @property
    def succeeded(self) -> int:
        """Rows that have an answer, cached and resumed ones included."""
        return self.answered + self.cached + self.resumed

    @property
    def quarters(self) -> int:
        """Whole quarters of the rows that have ended; 0 while the total is unknown."""
        return QUARTERS * self.done // self.total if self.total else 0

    def count(self, position: int, result: RowResult, *, resumed: bool, item: Any = None) -> None:
        """Add a row that has ended.

        Args:
            position: Its position.
            result: Its result.
            resumed: Whether an earlier run had finished it.
            item: The input row.
        """
        self.done += 1
        self.input_tokens += result.input_tokens or 0
        self.output_tokens += result.output_tokens or 0
        self.reasoning_tokens += result.reasoning_tokens or 0
        if resumed:
            self.resumed += 1
        elif result.status == "ok":
            self._count_answer(result)
        if result.status == "ok":
            self.last_answers.append((position, item, result))
        if result.status == "rejected":
            self.rejected += 1
        elif result.status == "error":
            self.failed += 1
            self._count_cost(result)
        if result.error_type is not None:
            self.kinds[result.error_type, result.http_status] += 1
            self.last_errors.append((position, result.error_type, result.error_message or ""))

    @property
    def errors(self) -> Counter[str]:
        """Number of errors by class name."""
        counted: Counter[str] = Counter()
        for (name, _), number in self.kinds.items():
            counted[name] += number
        return counted

    def _count_answer(self, result: RowResult) -> None:
        if result.cached:
            self.cached += 1
        else:
            self.answered += 1
            if result.output_tokens is not None:
                self.counted_replies += 1
                self.reply_tokens += result.output_tokens
        self._count_cost(result)

    def _count_cost(self, result: RowResult) -> None:
        self.provider_saved_nano_usd += result.provider_saved_nano_usd or 0
        if result.cost_nano_usd is None:
            self.unpriced += 1
        else:
            self.cost_nano_usd += result.cost_nano_usd

    def snapshot(self) -> Progress:
        """The state as it is now, for a thread that reads it while the batch goes on."""
        return dataclasses.replace(
            self,
            kinds=self.kinds.copy(),
            last_errors=self.last_errors.copy(),
            last_answers=self.last_answers.copy(),
        )
