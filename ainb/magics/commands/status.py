"""``%ai``: a short status; ``%ai status``: also tables of circuits, queues, buckets, cache and budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ainb.errors import ConfigError
from ainb.magics.commands.budget import budget_tables
from ainb.magics.commands.cache import cache_tables
from ainb.magics.commands.frame_report import FrameReport
from ainb.magics.commands.list import pulled_models
from ainb.magics.commands.replay import replay_row
from ainb.magics.display.numbers import (
    as_text,
    byte_size,
    duration,
    is_known,
    local_midnight,
    money,
    percent,
)
from ainb.magics.parsing.arguments import Arguments
from ainb.magics.shell import NotebookShell
from ainb.panels.formatting import UNKNOWN, count
from ainb.panels.markup import Column, Report, Table
from ainb.plain import counted
from ainb.pricing import format_usd

LEVEL = "_level"
StatusRow = Callable[[NotebookShell], tuple[str, str] | None]


def model_row(shell: NotebookShell) -> tuple[str, str]:
    """Default model of cells."""
    try:
        return "model", ":".join(shell.session().find_model())
    except ConfigError:
        return "model", "none set; name one after %%ai, or see %ai help model"


def aliases_row(shell: NotebookShell) -> tuple[str, str] | None:
    """Aliases; None without any."""
    aliases = shell.session().config.aliases
    return ("aliases", ", ".join(sorted(aliases))) if aliases else None


def pulled_row(_shell: NotebookShell) -> tuple[str, str] | None:
    """Pulled models; None without any."""
    models = pulled_models()
    return ("on this machine", ", ".join(f"local:{model}" for model in models)) if models else None


def spent_row(shell: NotebookShell) -> tuple[str, str]:
    """Cost of today's calls of the home, those of other notebooks included."""
    session = shell.session()
    costs = session.costs(since=local_midnight(session.runtime.clock.unix())).iloc[0]
    unpriced = int(costs["unpriced"])
    known = money(costs["cost_usd"] if is_known(costs["cost_usd"]) else 0)
    return "spent today", known + (
        f", besides {counted(unpriced, 'call')} without a price" if unpriced else ""
    )


def budget_row(shell: NotebookShell) -> tuple[str, str] | None:
    """Budget and what is left; None without one."""
    session = shell.session()
    if session.budget is None:
        return None
    items = session.budget_status()
    left = f", {format_usd(items[0].left_usd)} left" if len(items) == 1 else ""
    return "budget", f"{session.budget}{left}"


def cache_row(shell: NotebookShell) -> tuple[str, str]:
    """Number and size of the stored answers."""
    state = shell.session().cache_status()
    return "cache", f"{count(state['entries'])} stored, {byte_size(state['size_bytes'])}" if state else "off"


def circuits_row(shell: NotebookShell) -> tuple[str, str] | None:
    """Circuits that are not closed; None without any."""
    frame = shell.session().status()
    states = frame["circuit"].dropna()
    unusual = [f"{name} {state}" for name, state in states.items() if state != "closed"]
    return ("circuits", ", ".join(unusual)) if unusual else None


def learnt_row(shell: NotebookShell) -> tuple[str, str] | None:
    """Parameters that models refused and that are now left out or renamed; None without any."""
    models: dict[str, list[str]] = {}
    for _, model, item in shell.session().core.learnt():
        models.setdefault(model, []).append(f"{item.lesson.field.partition(':')[0]} {item.lesson.outcome}")
    text = "; ".join(f"{model}: {', '.join(found)}" for model, found in models.items())
    return ("learnt", text) if text else None


def state_row(shell: NotebookShell) -> tuple[str, str] | None:
    """The Redis server that shares the state: endpoint, round trip, other clients; None without one."""
    row = shell.session().state_status()
    if not row:
        return None
    if not row["connected"]:
        return "shared state", f"{row['endpoint']}, not reachable; this kernel's own meanwhile"
    away = "" if row["distance_ms"] is None else f", {row['distance_ms']:.1f} ms away"
    others = f" ({row['peer_names']})" if row["peers"] else ""
    return "shared state", f"{row['endpoint']}{away}, {count(row['peers'])} others connected{others}"


def display_row(shell: NotebookShell) -> tuple[str, str]:
    """The display mode."""
    return "display", shell.display()


ROWS: list[StatusRow] = [
    model_row,
    aliases_row,
    pulled_row,
    spent_row,
    budget_row,
    cache_row,
    circuits_row,
    learnt_row,
    state_row,
    display_row,
    replay_row,
]


def short_status(shell: NotebookShell) -> Report:
    """The short status: every row that applies."""
    rows = [row for make in ROWS if (row := make(shell)) is not None]
    return Report(
        tables=[Table(caption="ainb (%ai help lists the options)", columns=("what", "now"), rows=rows)]
    )


def show_status(shell: NotebookShell, _arguments: Arguments) -> FrameReport:
    """State of the model, its circuit, queue and buckets, of the cache and the budget."""
    short = short_status(shell)
    session = shell.session()
    frame = session.status()
    models = [
        {"name": name, **{key: value for key, value in row.items() if is_known(value)}}
        for name, row in zip(frame.index, frame.to_dict("records"), strict=True)
        if row["part"] == "model"
    ]
    tables = [*short.tables, *_model_tables(models), *cache_tables(session), *budget_tables(session)]
    lines = [] if models else ["No model was called yet."]
    return FrameReport(Report(lines, tables), frame)


def _model_tables(models: Sequence[Mapping[Any, Any]]) -> Iterator[Table]:
    circuits = [(row,) for row in models if "circuit" in row]
    queues = [(row,) for row in models if "waiting" in row]
    buckets = [bucket for row in models for bucket in _buckets(row)]
    if circuits:
        yield Table.of("Circuits", circuits, CIRCUIT_COLUMNS)
    if queues:
        yield Table.of("Queues", queues, QUEUE_COLUMNS)
    if buckets:
        columns = ("model", "limit of", "left", "per minute")
        yield Table(caption="Buckets", columns=columns, rows=buckets, looks={2: "number", 3: "number"})


def _failures(row: Mapping[Any, Any]) -> str:
    if "failure_rate" not in row:
        return "no calls lately"
    return f"{percent(row['failure_rate'])} of {count(row.get('calls_in_window'))}"


def _at_most(row: Mapping[Any, Any]) -> str:
    slowed = row.get("share", 1)
    at_most = count(row["concurrency"]) if "concurrency" in row else "no limit"
    return at_most if slowed == 1 else f"{at_most}, slowed to {percent(slowed)}"


CIRCUIT_COLUMNS = (
    Column("model", lambda row: row["name"]),
    Column("endpoint", lambda row: as_text(row.get("endpoint"))),
    Column("state", lambda row: as_text(row["circuit"])),
    Column("failures", _failures),
    Column("next probe", lambda row: duration(row.get("probe_in_s")), "number"),
)
QUEUE_COLUMNS = (
    Column("model", lambda row: row["name"]),
    Column("waiting", lambda row: count(row["waiting"]), "number"),
    Column("in flight", lambda row: count(row.get("in_flight")), "number"),
    Column("at most", _at_most, "number"),
    Column("paused", lambda row: duration(row["paused_s"]) if row.get("paused_s") else UNKNOWN, "number"),
    Column("retries left", lambda row: count(row.get("retries_left")), "number"),
)


def _buckets(row: Mapping[Any, Any]) -> Iterator[tuple[str, ...]]:
    for key in row:
        if key.endswith(LEVEL):
            name = key.removesuffix(LEVEL)
            left = f"{count(row[key])} of {count(row.get(f'{name}_capacity'))}"
            yield row["name"], name.replace("_", " "), left, count(row.get(f"{name}_limit"))
