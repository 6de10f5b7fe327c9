"""`Progress`: counts of a batch, updated by the runner and shown by panels."""

from __future__ import annotations

import dataclasses
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ainb.batch.results.row_result import RowResult
from ainb.plain import counted

if TYPE_CHECKING:
    from ainb.jobs import JobRecord

LAST_ERRORS = 3
LAST_ANSWERS = 3
QUARTERS = 4


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
        resumed: Rows that an earlier, interrupted run had finished, with any status.
        resumed_answers: Of these, rows with an answer.
        failed: Rows that ended in an error.
        rejected: Rows that were not sent.
        in_flight: Rows whose calls are sent or wait for a permit.
        paused: Rows in flight that wait for an open circuit; their calls are not sent.
        concurrency: Limit of rows in flight.
        input_tokens: Input tokens of all rows with known counts.
        output_tokens: Output tokens of all rows with known counts.
        reasoning_tokens: Known thinking tokens, a part of the output.
        cost_nano_usd: Sum of the known costs, in 1e-9 USD.
        unpriced: Rows that were sent and have no known price.
        elapsed_s: Seconds since the start.
        rows_per_s: Rows per second over the last 10 s, or over the whole run if no row ended in that time;
            None before the first row has ended.
        kinds: Number of errors by class name and HTTP status (None without one).
        last_errors: Position, kind and message of the newest failures, newest last.
        last_answers: Position, input and result of the newest answered rows, newest last.
        waiting_until: Monotonic second until which the batch waits for an open circuit, or None.
        jobs: Batch jobs of the run, oldest first; empty for live calls.
        saved_nano_usd: Known savings of the batch rate compared with the live rate, in 1e-9 USD.
        provider_saved_nano_usd: Known savings of the provider's prompt cache, in 1e-9 USD.
        pack_saved_tokens: Approximate input tokens saved by packs compared with one call per row.
        pack_saved_nano_usd: Price of these tokens in 1e-9 USD; 0 when unknown.
        next_try_s: Seconds until `waiting_until`; None without a wait.
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
    resumed_answers: int = 0
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
    jobs: tuple[JobRecord, ...] = ()
    saved_nano_usd: int = 0
    provider_saved_nano_usd: int = 0
    pack_saved_tokens: int = 0
    pack_saved_nano_usd: int = 0
    next_try_s: float | None = None
    state: str = "running"

    @property
    def jobs_under_way(self) -> list[JobRecord]:
        """Jobs whose rows are not merged yet."""
        return [job for job in self.jobs if job.is_open]

    @property
    def jobs_line(self) -> str | None:
        """State of the open batch jobs, and that the kernel may be closed; None without open jobs."""
        jobs = self.jobs_under_way
        if not jobs:
            return None
        rows, answered = sum(job.rows for job in jobs), sum(job.answered or 0 for job in jobs)
        return (
            f"{counted(rows, 'row')} sent to {jobs[0].provider} in {counted(len(jobs), 'job')}, "
            f"{answered:,} answered. "
            "You can interrupt or close: the job continues; run the cell again to collect."
        )

    @property
    def left_s(self) -> float | None:
        """Estimated seconds for the remaining rows at the current rate; None when unknown."""
        if self.total is None or not self.rows_per_s:
            return None
        return max(0, self.total - self.done) / self.rows_per_s

    @property
    def average_rows_per_s(self) -> float | None:
        """Rows per second over the whole run, without unsent rows; None before a row has ended."""
        ended = self.done - self.rejected
        return ended / self.elapsed_s if ended and self.elapsed_s > 0 else None

    @property
    def projected_nano_usd(self) -> int | None:
        """Projected cost of this run from the rows that ended in it; None when unknown.

        Failed rows often cost nothing, so they alone say nothing about the others.
        """
        ended = self.done - self.resumed
        known = self.answered or self.cached or self.cost_nano_usd
        if self.total is None or not ended or not known or self.unpriced:
            return None
        return round(self.cost_nano_usd * (1 + (self.total - self.done) / ended))

    @property
    def plain_nano_usd(self) -> int | None:
        """Approximate cost of the rows so far as one plain message each; None if it is the same."""
        saved = self.provider_saved_nano_usd + self.pack_saved_nano_usd
        return self.cost_nano_usd + saved if saved and not self.unpriced else None

    @property
    def succeeded(self) -> int:
        """Rows with an answer, including cached and resumed ones."""
        return self.answered + self.cached + self.resumed_answers

    @property
    def quarters(self) -> int:
        """Completed quarters of the rows, 0 to 4; 0 while the total is unknown."""
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
        self.resumed += resumed
        if result.status == "ok":
            self.resumed_answers += resumed
            self.last_answers.append((position, item, result))
        elif result.status == "rejected":
            self.rejected += 1
        elif result.status == "error":
            self.failed += 1
        if not resumed:
            self._count_sent(result)
        if result.error_type is not None:
            self.kinds[result.error_type, result.http_status] += 1
            self.last_errors.append((position, result.error_type, result.error_message or ""))

    @property
    def errors(self) -> Counter[str]:
        """Number of errors by class name."""
        sums: Counter[str] = Counter()
        for (name, _), number in self.kinds.items():
            sums[name] += number
        return sums

    def _count_sent(self, result: RowResult) -> None:
        """Add source and cost of a row that ended in this run."""
        if result.status == "ok" and result.cached:
            self.cached += 1
        elif result.status == "ok":
            self.answered += 1
            if result.output_tokens is not None:
                self.counted_replies += 1
                self.reply_tokens += result.output_tokens
        if result.status in {"ok", "error"}:
            self._count_cost(result)

    def _count_cost(self, result: RowResult) -> None:
        self.provider_saved_nano_usd += result.provider_saved_nano_usd or 0
        if result.cost_nano_usd is None:
            self.unpriced += 1
        else:
            self.cost_nano_usd += result.cost_nano_usd

    def snapshot(self) -> Progress:
        """A copy of the current state, for a thread that reads it while the batch runs."""
        return dataclasses.replace(
            self,
            kinds=self.kinds.copy(),
            last_errors=self.last_errors.copy(),
            last_answers=self.last_answers.copy(),
        )
