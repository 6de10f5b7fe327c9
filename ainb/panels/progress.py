"""A batch's counts as a view: how far it is, what it takes, what failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ainb.panels import formatting as words
from ainb.panels.base import ROWS
from ainb.panels.markup import Cell, Table
from ainb.panels.view import BETWEEN, Bar, Block, Line, View

if TYPE_CHECKING:
    from ainb.batch.progress import Progress


def progress_view(
    progress: Progress,
    *,
    title: str = "",
    budget_usd: Decimal | float | None = None,
    now: Mapping[str, Any] | None = None,
) -> View:
    """A batch at one moment.

    Args:
        progress: Its counts.
        title: What it does; empty means the batch's own title.
        budget_usd: Money that the whole run may cost, or None.
        now: The model's row of `Session.state`, while it runs.
    """
    running = progress.state == "running"
    title = title or progress.title or "batch"
    gist = [
        _headline(progress),
        Line(_counts(progress), "quiet"),
        Line(_money(progress, budget_usd), "quiet"),
    ]
    headline, counts, money = gist
    bar = [] if progress.state == "finished" else [Bar("rows done", progress.done, progress.total)]
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
        line=_one_line(gist),
        steady_line=_one_line(gist, steady=True),
        status=_status(progress, headline.text(steady=True)),
    )


def _one_line(gist: Sequence[Line], *, steady: bool = False) -> str:
    texts = (line.text(steady=steady) for line in gist)
    return f"ainb: {BETWEEN.join(text for text in texts if text)}"


def _of(progress: Progress) -> str:
    return f"{progress.done:,} of {progress.total:,}" if progress.total is not None else f"{progress.done:,}"


def _headline(progress: Progress) -> Line:
    rows = Cell(text=f"{_of(progress)} rows", strong=True)
    if progress.state == "running":
        left = "" if progress.left_s is None else f"about {words.seconds(progress.left_s)} left"
        return Line([rows, left])
    took = [Cell(text=f"in {words.seconds(progress.elapsed_s)}", run=True)]
    if progress.rows_per_s is not None:
        took.append(Cell(text=f"{progress.rows_per_s:.1f} rows/s", run=True))
    ended = {"finished": Cell(text="done", tone="good"), "failed": Cell(text="ended by an error", tone="bad")}
    return Line([rows, ended.get(progress.state) or Cell(text=_why_stopped(progress), tone="warn"), *took])


def _why_stopped(progress: Progress) -> str:
    if progress.total is not None and progress.done >= progress.total:
        return f"{progress.rejected:,} not sent; run it again to send these"
    return "stopped; run it again to go on"


def _counts(progress: Progress) -> list[Any]:
    """How the rows ended; where an answer came from differs from run to run."""
    pieces: list[Any] = [f"{progress.succeeded:,} answered"]
    if progress.cached:
        pieces.append(Cell(text=f"{progress.cached:,} of them from cache", run=True))
    if progress.resumed:
        pieces.append(Cell(text=f"{progress.resumed:,} of them by an earlier run", run=True))
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
        pieces.append(f"rate limit {words.compact(now['requests_limit'])} requests/min")
    if now.get("tokens_limit"):
        pieces.append(f"{words.compact(now['tokens_limit'])} tokens/min")
    if now.get("waiting"):
        pieces.append(f"{now['waiting']:,} waiting for a permit")
    if now.get("circuit"):
        state = words.circuit(now["circuit"], now.get("probe_in_s"))
        pieces.append(Cell(text=f"circuit {state}", tone=state.tone))
    elif progress.waiting_until is not None:
        pieces.append(Cell(text="waits for an open circuit", tone="warn"))
    return pieces


def _money(progress: Progress, budget_usd: Decimal | float | None) -> list[Any]:
    """Tokens and money; money differs from run to run, for answers from the cache cost nothing."""
    tokens = f"{words.compact(progress.input_tokens)} tokens in, {words.compact(progress.output_tokens)} out"
    spent = words.nano_dollars(progress.cost_nano_usd)
    if progress.unpriced:
        rows = words.counted(progress.unpriced, "row")
        money = [f"{spent} known", f"cost of {rows} unknown"]
    elif progress.state != "running":
        money = [f"{spent} in all"]
    elif progress.projected_nano_usd is None:
        money = [f"{spent} so far"]
    else:
        money = [f"{spent} so far", f"about {words.nano_dollars(progress.projected_nano_usd)} in all"]
    budget = [] if budget_usd is None else [f"budget {words.dollars(budget_usd)}"]
    return [tokens, *(Cell(text=text, run=True) for text in money), *budget]


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
        numbers={1},
        whole={0},
        long={2},
        limit=ROWS,
    )
    # Which are the newest depends on which rows ended last, unless they are all there are.
    all_shown = len(progress.last_errors) == progress.kinds.total()
    last = [
        Line([Cell(text=f"row {position:,} · {kind}: {message}", run=not all_shown)], "quiet")
        for position, kind, message in sorted(progress.last_errors)
    ]
    return [kinds, *last]


def _status(progress: Progress, headline: str) -> str:
    """What a screen reader is told: at quarters and at the end."""
    if progress.state != "running":
        return f"ainb batch: {headline}"
    if not progress.total:
        return "ainb batch: running"
    parts = ("started", "a quarter done", "half done", "three quarters done", "all rows done")
    return f"ainb batch of {progress.total:,} rows: {parts[min(progress.quarters, len(parts) - 1)]}"
