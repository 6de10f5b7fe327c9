"""``%ai status``: circuits, queues, buckets, retries, cache, budget, a table each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ainb.magics.commands.budget import budget_tables
from ainb.magics.commands.cache import cache_tables
from ainb.magics.commands.frames import Framed
from ainb.magics.commands.summary import status
from ainb.magics.display.numbers import UNKNOWN, count, duration, is_known, share, word
from ainb.magics.parsing.arguments import Arguments
from ainb.magics.shell import Front
from ainb.panels.markup import Report, Table

LEVEL = "_level"


def show_status(front: Front, arguments: Arguments) -> Framed:
    """What every part of the session is doing now."""
    short = status(front, arguments)
    session = front.session()
    frame = session.status()
    models = [
        {"name": name, **{key: value for key, value in row.items() if is_known(value)}}
        for name, row in zip(frame.index, frame.to_dict("records"), strict=True)
        if row["part"] == "model"
    ]
    tables = [*short.tables, *_model_tables(models), *cache_tables(session), *budget_tables(session)]
    lines = [] if models else ["No model was called yet."]
    return Framed(Report(lines, tables), frame)


def _model_tables(models: Sequence[Mapping[Any, Any]]) -> Iterator[Table]:
    circuits = [_circuit(row) for row in models if "circuit" in row]
    if circuits:
        yield Table(
            caption="Circuits",
            columns=("model", "endpoint", "state", "failures", "next probe"),
            rows=circuits,
        )
    queues = [_queue(row) for row in models if "waiting" in row]
    if queues:
        yield Table(
            caption="Queues",
            columns=("model", "waiting", "in flight", "at most", "paused", "retries left"),
            rows=queues,
        )
    buckets = [bucket for row in models for bucket in _buckets(row)]
    if buckets:
        yield Table(caption="Buckets", columns=("model", "limit of", "left", "a minute"), rows=buckets)


def _circuit(row: Mapping[Any, Any]) -> tuple[str, ...]:
    failures = f"{share(row.get('failure_rate'))} of {count(row.get('calls_in_window'))}"
    return (
        row["name"],
        word(row.get("endpoint")),
        word(row["circuit"]),
        failures if "failure_rate" in row else "no calls lately",
        duration(row.get("probe_in_s")),
    )


def _queue(row: Mapping[Any, Any]) -> tuple[str, ...]:
    slowed = row.get("share", 1)
    at_most = count(row["concurrency"]) if "concurrency" in row else "no limit"
    return (
        row["name"],
        count(row["waiting"]),
        count(row.get("in_flight")),
        at_most if slowed == 1 else f"{at_most}, slowed to {share(slowed)}",
        duration(row["paused_s"]) if row.get("paused_s") else UNKNOWN,
        count(row.get("retries_left")),
    )


def _buckets(row: Mapping[Any, Any]) -> Iterator[tuple[str, ...]]:
    for key in row:
        if key.endswith(LEVEL):
            name = key.removesuffix(LEVEL)
            left = f"{count(row[key])} of {count(row.get(f'{name}_capacity'))}"
            yield row["name"], name.replace("_", " "), left, count(row.get(f"{name}_limit"))
