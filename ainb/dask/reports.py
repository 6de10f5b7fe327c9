"""Progress reports of a partition from a worker to the notebook, as JSON text."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ainb.batch import Progress
from ainb.usage.rows import Row

COUNTS = (
    "done", "answered", "cached", "resumed", "resumed_answers", "failed", "rejected", "in_flight",
    "concurrency", "input_tokens", "output_tokens", "cost_nano_usd", "unpriced",
)  # fmt: skip
_MONEY = ("cost_usd", "saved_usd", "provider_saved_usd")


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionReport:
    """State of one attempt at a partition.

    Attributes:
        partition: Its number.
        attempt: Id of the attempt.
        counts: The numbers of its `Progress`.
        total: Its rows; None when unknown.
        errors: Class name, HTTP status and count of each kind of error.
        last_errors: Position in the partition, kind and message of the newest failures.
        state: As in `Progress`.
        notices: Kind and text of notices for the user.
        rows: Usage rows that are not in the notebook's log yet.
    """

    partition: int
    attempt: str
    counts: Mapping[str, int]
    total: int | None
    errors: list[tuple[str, int | None, int]]
    last_errors: list[tuple[int, str, str]]
    state: str
    notices: list[tuple[str, str]]
    rows: list[Row]

    def to_json(self) -> str:
        """Serialise for the scheduler."""
        import orjson

        plain = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        plain["rows"] = [row._asdict() for row in self.rows]
        return orjson.dumps(plain, default=str).decode()

    @classmethod
    def from_json(cls, text: str) -> PartitionReport:
        """Parse the result of `to_json`."""
        import orjson

        plain = orjson.loads(text)
        for name in ("errors", "last_errors", "notices"):
            plain[name] = [tuple(item) for item in plain[name]]
        plain["rows"] = [_row(item) for item in plain["rows"]]
        return cls(**plain)


def add_up(reports: Mapping[int, PartitionReport], into: Progress, *, partitions: int | None) -> None:
    """Write the sums of all partitions' newest reports into one `Progress`.

    Args:
        reports: The newest report of each partition.
        into: Changed in place, except for its amounts of money.
        partitions: Number of partitions; the total is known once all have reported. None means unknown.
    """
    for name in COUNTS:
        if name != "cost_nano_usd":
            setattr(into, name, sum(report.counts[name] for report in reports.values()))
    totals = [report.total for report in reports.values() if report.total is not None]
    into.total = sum(totals) if len(totals) == partitions else None
    into.kinds = Counter()
    for report in reports.values():
        for kind, status, count in report.errors:
            into.kinds[kind, status] += count
    into.last_errors.clear()
    for number, report in sorted(reports.items()):
        into.last_errors.extend(
            (position, kind, f"partition {number}: {message}")
            for position, kind, message in report.last_errors
        )
    states = {report.state for report in reports.values()}
    if len(reports) == partitions and "running" not in states:
        into.state = "finished" if states == {"finished"} else "failed" if "failed" in states else "stopped"
    else:
        into.state = "running"


def _row(plain: dict[str, Any]) -> Row:
    plain["started_at"] = dt.datetime.fromisoformat(plain["started_at"])
    for name in _MONEY:
        plain[name] = None if plain[name] is None else Decimal(plain[name])
    return Row(**plain)
