"""View of a batch's progress: rows done, rates, tokens and cost, failures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ainb.panels import formatting
from ainb.panels.base import ROWS
from ainb.panels.markup import Cell, Table
from ainb.panels.view import SEPARATOR, Block, Line, ProgressBar, View

if TYPE_CHECKING:
    from ainb.batch import Progress


def progress_view(
    progress: Progress,
    *,
    title: str = "",
    budget_usd: Decimal | float | None = None,
    now: Mapping[str, Any] | None = None,
) -> View:
    """View of a batch at one moment.

    Args:
        progress: Counts of the batch.
        title: Title; empty means the batch's own.
        budget_usd: Budget of the run in US dollars, or None.
        now: Row of the model in `Session.state`, while the batch runs.
    """
    running = progress.state == "running"
    title = title or progress.title or "batch"
    headlines = [
        _headline(progress),
        Line(_counts(progress), "quiet"),
        Line(_money(progress, budget_usd), "quiet"),
    ]
    headline, counts, money = headlines
    bar = [] if progress.state == "finished" else [ProgressBar("rows done", progress.done, progress.total)]
    if progress.jobs:
        under_way = _jobs(progress)
    else:
        under_way = [Line(_under_way(progress, now or {}), "quiet")] if running else []
    blocks: list[Block] = [
        Line([title, Cell(text=progress.model, tone="quiet")], "title"),
        headline,
        *bar,
        counts,
        *under_way,
        money,
        *_failures(progress),
    ]
    return View(
        label=f"ainb batch {title}",
        blocks=blocks,
        line=_one_line(headlines),
        deterministic_line=_one_line(headlines, deterministic=True),
        status=_status(progress, headline.text(deterministic=True)),
    )


def _one_line(headlines: Sequence[Line], *, deterministic: bool = False) -> str:
    texts = (line.text(deterministic=deterministic) for line in headlines)
    return f"ainb: {SEPARATOR.join(text for text in texts if text)}"


def _done_of_total(progress: Progress) -> str:
    return f"{progress.done:,} of {progress.total:,}" if progress.total is not None else f"{progress.done:,}"


def _headline(progress: Progress) -> Line:
    rows = Cell(text=f"{_done_of_total(progress)} rows", strong=True)
    if progress.state == "running":
        left = "" if progress.left_s is None else f"about {formatting.seconds(progress.left_s)} left"
        return Line([rows, left])
    took = [Cell(text=f"in {formatting.seconds(progress.elapsed_s)}", volatile=True)]
    if progress.rows_per_s is not None:
        took.append(Cell(text=f"{progress.rows_per_s:.1f} rows/s", volatile=True))
    ended = {"finished": Cell(text="done", tone="good"), "failed": Cell(text="ended by an error", tone="bad")}
    return Line([rows, ended.get(progress.state) or Cell(text=_why_stopped(progress), tone="warn"), *took])


def _why_stopped(progress: Progress) -> str:
    if progress.total is not None and progress.done >= progress.total:
        return f"{progress.rejected:,} not sent; run it again to send these"
    return "stopped; run it again to go on"


def _counts(progress: Progress) -> list[Any]:
    """Rows by outcome; where an answer came from differs from run to run."""
    pieces: list[Any] = [f"{progress.succeeded:,} answered"]
    if progress.cached:
        pieces.append(Cell(text=f"{progress.cached:,} of them from cache", volatile=True))
    if progress.resumed:
        pieces.append(Cell(text=f"{progress.resumed:,} of them by an earlier run", volatile=True))
    if progress.failed:
        pieces.append(Cell(text=f"{progress.failed:,} failed", tone="bad"))
    if progress.rejected:
        pieces.append(Cell(text=f"{progress.rejected:,} not sent", tone="warn"))
    return pieces


def _under_way(progress: Progress, now: Mapping[str, Any]) -> list[Any]:
    most = f" of at most {progress.concurrency:,}" if progress.concurrency else ""
    pieces: list[Any] = [f"{progress.in_flight:,} in flight{most}"]
    if progress.rows_per_s is not None:
        pieces.append(f"{progress.rows_per_s:.1f} rows/s")
    if now.get("requests_limit"):
        pieces.append(f"rate limit {formatting.compact(now['requests_limit'])} requests/min")
    if now.get("tokens_limit"):
        pieces.append(f"{formatting.compact(now['tokens_limit'])} tokens/min")
    if now.get("waiting"):
        pieces.append(f"{now['waiting']:,} waiting for a permit")
    if now.get("circuit"):
        state = formatting.circuit(now["circuit"], now.get("probe_in_s"))
        pieces.append(Cell(text=f"circuit {state}", tone=state.tone))
    elif progress.waiting_until is not None:
        pieces.append(Cell(text="waits for an open circuit", tone="warn"))
    return pieces


def _jobs(progress: Progress) -> list[Block]:
    """The batch jobs of the run, and that nobody need wait for them."""
    rows = [
        (
            job.job_id or "",
            job.state if job.state != "submitted" else job.status or job.state,
            f"{job.rows:,}",
            formatting.count(job.answered),
            formatting.count(job.failed),
        )
        for job in progress.jobs
    ]
    table = Table(
        caption="Batch jobs",
        columns=("job", "state", "rows", "answered", "failed"),
        rows=rows,
        numeric={2, 3, 4},
        limit=ROWS,
        history=True,  # a run that a cassette answers has no jobs
    )
    line = progress.jobs_line
    return [*([Line([line])] if line else []), table]


def _money(progress: Progress, budget_usd: Decimal | float | None) -> list[Any]:
    """Tokens and cost; the cost differs from run to run, because cached answers cost nothing."""
    tokens_in, tokens_out = (formatting.compact(n) for n in (progress.input_tokens, progress.output_tokens))
    tokens = f"{tokens_in} tokens in, {tokens_out} out"
    if progress.reasoning_tokens:
        tokens += f" ({formatting.compact(progress.reasoning_tokens)} thinking)"
    spent = formatting.nano_dollars(progress.cost_nano_usd)
    if progress.unpriced:
        rows = formatting.counted(progress.unpriced, "row")
        money = [f"{spent} known", f"cost of {rows} unknown"]
    elif progress.state != "running":
        money = [f"{spent} in all"]
    elif progress.projected_nano_usd is None:
        money = [f"{spent} so far"]
    else:
        money = [f"{spent} so far", f"about {formatting.nano_dollars(progress.projected_nano_usd)} in all"]
    if progress.saved_nano_usd:
        money.append(f"{formatting.nano_dollars(progress.saved_nano_usd)} saved against live calls")
    budget = [] if budget_usd is None else [f"budget {formatting.dollars(budget_usd)}"]
    return [tokens, *(Cell(text=text, volatile=True) for text in money), *budget]


def _failures(progress: Progress) -> list[Block]:
    from ainb.usage.frames.failures import describe

    if not progress.kinds:
        return []
    rows = [
        (describe(*kind)[0], f"{number:,}", describe(*kind)[1])
        for kind, number in progress.kinds.most_common()
    ]
    kinds = Table(
        caption="What failed",
        columns=("kind", "rows", "what to do"),
        rows=rows,
        numeric={1},
        nowrap={0},
        wide={2},
        limit=ROWS,
    )
    # Which are the newest depends on which rows ended last, unless they are all there are.
    all_shown = len(progress.last_errors) == progress.kinds.total()
    last = [
        Line([Cell(text=f"row {position:,} · {kind}: {message}", volatile=not all_shown)], "quiet")
        for position, kind, message in sorted(progress.last_errors)
    ]
    return [kinds, *last]


def _status(progress: Progress, headline: str) -> str:
    """Status for screen readers: changes at each quarter and at the end."""
    if progress.state != "running":
        return f"ainb batch: {headline}"
    if not progress.total:
        return "ainb batch: running"
    parts = ("started", "a quarter done", "half done", "three quarters done", "all rows done")
    return f"ainb batch of {progress.total:,} rows: {parts[min(progress.quarters, len(parts) - 1)]}"
