"""View of a batch's progress: rows done, rates, tokens and cost, failures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from ainb.batch import Progress
from ainb.panels import formatting
from ainb.panels.base import ROWS
from ainb.panels.escapes import one_line
from ainb.panels.markup import Cell, Column, Table
from ainb.panels.view import SEPARATOR, Block, Line, ProgressBar, View
from ainb.plain import counted
from ainb.redaction import redact
from ainb.usage.frames.failures import describe

SHOWN_CHARACTERS = 90


def progress_view(
    progress: Progress,
    *,
    title: str = "",
    budget_usd: Decimal | float | None = None,
    now: Mapping[str, Any] | None = None,
    unix: float | None = None,
) -> View:
    """View of a batch at one moment.

    Args:
        progress: Counts of the batch.
        title: Title; empty means the batch's own.
        budget_usd: Budget of the run in US dollars, or None.
        now: Row of the model in `Session.state`, while the batch runs.
        unix: Current time in seconds since 1970, for a file that is saved meanwhile; None leaves it out.
    """
    running = progress.state == "running"
    title = title or progress.title or "batch"
    headline = _headline(progress)
    counts, money = Line(_counts(progress), "quiet"), Line(_money(progress, budget_usd), "quiet")
    under_way = Line(_under_way(progress, now or {}), "quiet")
    jobs = _jobs(progress) if progress.jobs else []

    def blocks(first: Line, *middle: Line) -> list[Block]:
        bar = (
            [] if progress.state == "finished" else [ProgressBar("rows done", progress.done, progress.total)]
        )
        last = _last_answers(progress) if progress.state != "finished" else []
        head = Line([title, Cell(text=progress.model, tone="quiet")], "title")
        return [head, first, *bar, counts, *(jobs or middle), money, *last, *_failures(progress)]

    label = f"ainb batch {title}"
    # A narrow terminal cuts the end of the line.
    cost = Line([piece for piece in money.pieces if "$" in str(piece)][:1])
    failed = Line([f"{progress.failed:,} failed" if progress.failed else ""])
    lines = (
        (headline, failed, cost, under_way, Line(counts.pieces[:1])) if running else (headline, counts, money)
    )
    return View(
        label=label,
        blocks=blocks(headline, *([under_way] if running else [])),
        line=_one_line(lines),
        deterministic_line=_one_line((headline, counts, money), deterministic=True),
        status=_status(progress, headline.text(deterministic=True)),
        saved=View(label, blocks(_saved_headline(progress, unix))) if running else None,
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
        return Line([rows, left, f"{formatting.elapsed(progress.elapsed_s)} elapsed"])
    took = [Cell(text=f"in {formatting.seconds(progress.elapsed_s)}", volatile=True)]
    if progress.average_rows_per_s is not None:
        took.append(Cell(text=formatting.rate(progress.average_rows_per_s), volatile=True))
    ended = {"finished": Cell(text="done", tone="good"), "failed": Cell(text="ended by an error", tone="bad")}
    return Line([rows, ended.get(progress.state) or Cell(text=_why_stopped(progress), tone="warn"), *took])


def _saved_headline(progress: Progress, unix: float | None) -> Line:
    """Headline for a saved file, when the kernel that ran the batch may have ended."""
    pieces: list[Any] = [
        Cell(text=f"stopped at {_done_of_total(progress)} rows", strong=True),
        "run the cell again to continue",
    ]
    if unix is not None:
        pieces.append(Cell(text=f"state at {formatting.time_of_day(unix)}", volatile=True))
    return Line(pieces)


def _why_stopped(progress: Progress) -> str:
    if progress.total is not None and progress.done >= progress.total:
        return f"{progress.rejected:,} not sent; run it again to send these"
    return "stopped; run it again to continue"


def _counts(progress: Progress) -> list[Any]:
    """Rows by outcome; the source of an answer (cache, earlier run) differs from run to run."""
    pieces: list[Any] = [f"{progress.succeeded:,} answered"]
    if progress.cached:
        pieces.append(Cell(text=f"{progress.cached:,} of them from cache", volatile=True))
    if progress.resumed_answers:
        pieces.append(Cell(text=f"{progress.resumed_answers:,} of them by an earlier run", volatile=True))
    if progress.failed:
        pieces.append(Cell(text=f"{progress.failed:,} failed", tone="bad"))
    if progress.rejected:
        pieces.append(Cell(text=f"{progress.rejected:,} not sent", tone="warn"))
    return pieces


def _under_way(progress: Progress, now: Mapping[str, Any]) -> list[Any]:
    waiting = int(now.get("waiting") or 0)
    out = max(0, progress.in_flight - progress.paused - waiting)
    most = f" of at most {progress.concurrency:,}" if progress.concurrency else ""
    pieces: list[Any] = [f"{out:,} in flight{most}"]
    if progress.rows_per_s is not None:
        pieces.append(formatting.rate(progress.rows_per_s))
    if now.get("requests_limit"):
        pieces.append(f"rate limit {formatting.compact(now['requests_limit'])} requests/min")
    if now.get("tokens_limit"):
        pieces.append(f"{formatting.compact(now['tokens_limit'])} tokens/min")
    if waiting:
        pieces.append(f"{waiting:,} waiting for the rate limit")
    if now.get("activity"):
        pieces.append(Cell(text=str(now["activity"]), tone="warn"))
    elif now.get("circuit") or progress.next_try_s is not None:
        state = formatting.provider(now.get("circuit") or "open", _next_try_s(progress, now))
        pieces.append(
            Cell(text=f"provider {state.text}" if state.text == "OK" else state.text, tone=state.tone)
        )
    return pieces


def _jobs(progress: Progress) -> list[Block]:
    """Table of the batch jobs of the run, and a line that the kernel need not run meanwhile."""
    columns = [
        Column("job", lambda job: job.job_id or ""),
        Column("state", lambda job: job.state if job.state != "submitted" else job.status or job.state),
        Column("rows", lambda job: f"{job.rows:,}", "number"),
        Column("answered", lambda job: formatting.count(job.answered), "number"),
        Column("failed", lambda job: formatting.count(job.failed), "number"),
    ]
    jobs = ((job,) for job in progress.jobs)
    table = Table.of("Batch jobs", jobs, columns, limit=ROWS, history=True)  # a replayed run has no jobs
    line = progress.jobs_line
    return [*([Line([line])] if line else []), table]


def _next_try_s(progress: Progress, now: Mapping[str, Any]) -> float | None:
    """Seconds until calls are sent again; None while they are sent."""
    waits = (progress.next_try_s, now.get("probe_in_s"), now.get("paused_s"))
    return max((float(wait) for wait in waits if wait), default=None)


def _last_answers(progress: Progress) -> list[Block]:
    """Table of the rows answered last, which depend on the order of arrival."""
    if not progress.last_answers:
        return []
    newest = [(position, _input(item), result) for position, item, result in progress.last_answers]
    fields = list(newest[-1][2].fields or ())
    rows = [
        (
            f"{position:,}",
            text,
            *([_shown((result.fields or {}).get(name)) for name in fields] or [_shown(result.reply)]),
        )
        for position, text, result in newest
    ]
    return [
        Table(
            caption="Last answers",
            columns=("row", "input", *(fields or ["reply"])),
            rows=rows,
            looks={0: "number", 1: "wide"},
            history=True,
        )
    ]


def _input(item: Any) -> str:
    """The fields that the prompt uses, or the item; empty when unknown."""
    if item is None:
        return ""
    values = list(item.values()) if isinstance(item, Mapping) else [item]
    return _shown(SEPARATOR.join(str(value) for value in values))


def _shown(value: Any) -> str:
    text = "" if value is None else redact(one_line(str(value)[: 4 * SHOWN_CHARACTERS]))
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"


def _money(progress: Progress, budget_usd: Decimal | float | None) -> list[Any]:
    """Tokens of all rows, and cost of this run; it differs from run to run: cached answers are free."""
    tokens_in, tokens_out = (formatting.compact(n) for n in (progress.input_tokens, progress.output_tokens))
    tokens = f"{tokens_in} tokens in, {tokens_out} out"
    if progress.reasoning_tokens:
        tokens += f" ({formatting.compact(progress.reasoning_tokens)} thinking)"
    spent = formatting.nano_dollars(progress.cost_nano_usd)
    whole = "in this run" if progress.resumed else "total"
    if progress.unpriced:
        rows = counted(progress.unpriced, "row")
        money = [f"{spent} known", f"cost of {rows} unknown"]
    elif progress.state != "running" and not progress.jobs_under_way:
        money = [f"{spent} {whole}"]
    elif progress.projected_nano_usd is None:
        money = [f"{spent} so far"]
    else:
        money = [f"{spent} so far", f"about {formatting.nano_dollars(progress.projected_nano_usd)} {whole}"]
    if progress.saved_nano_usd:
        money.append(f"{formatting.nano_dollars(progress.saved_nano_usd)} saved against live calls")
    if progress.plain_nano_usd is not None:
        plain = formatting.nano_dollars(progress.plain_nano_usd)
        more = progress.pack_saved_tokens
        tokens_too = f" and {formatting.compact(progress.input_tokens + more)} tokens in" if more else ""
        money.append(f"about {plain}{tokens_too} as one plain message a row")
    budget = [] if budget_usd is None else [f"budget {formatting.dollars(budget_usd)}"]
    return [tokens, *(Cell(text=text, volatile=True) for text in money), *budget]


def _failures(progress: Progress) -> list[Block]:
    if not progress.kinds:
        return []
    columns = [
        Column("kind", lambda kind, _: describe(*kind)[0], "short"),
        Column("rows", lambda _, number: f"{number:,}", "number"),
        Column("what to do", lambda kind, _: describe(*kind)[1], "wide"),
    ]
    kinds = Table.of("What failed", progress.kinds.most_common(), columns, limit=ROWS)
    # Unless all failures are shown, the newest ones depend on the order in which rows ended.
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
