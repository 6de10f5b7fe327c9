"""What a session can tell: calls, costs and errors from its log, and how its parts stand now. Methods of `Session`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from decimal import Decimal

    import pandas as pd

    from ainb.session import Session
    from ainb.usage.filters import Since
    from ainb.usage.rows import Row

F = TypeVar("F", bound=Callable[..., Any])


def usage(
    session: Session, since: Since = None, columns: Iterable[str] | None = None, **where: Any
) -> pd.DataFrame:
    """Every call of every session of the home, a row each, oldest first; see `ainb.usage.frames.calls.usage`."""
    from ainb.usage.frames import calls as frames

    return frames.usage(session.log, since=since, columns=columns, **where)


def costs(
    session: Session, by: str | Sequence[str] | None = None, *, since: Since = None, **where: Any
) -> pd.DataFrame:
    """Tokens and money by any columns of the log; see `ainb.usage.frames.totals.costs`."""
    from ainb.usage.frames import totals

    return totals.costs(session.log, by, since=since, **where)


def errors(
    session: Session, by: str | Sequence[str] | None = None, *, since: Since = None, **where: Any
) -> pd.DataFrame:
    """The failed calls, or how many there were of each kind; see `ainb.usage.frames.totals.errors`."""
    from ainb.usage.frames import totals

    return totals.errors(session.log, by, since=since, **where)


def summary(
    session: Session, *, hours: float | None = None, days: float | None = None, **where: Any
) -> pd.DataFrame:
    """How the calls of the last hours or days went; see `ainb.usage.frames.summary.summary`."""
    from ainb.usage.frames import summary

    return summary.summary(session.log, hours=hours, days=days, **where)


def record(session: Session, *, prompt: str, model: str, **facts: Any) -> Row:
    """Log a call that was made elsewhere; see `ainb.usage.log.recorder.Recorder.record`."""
    return session.log.recorder.record(prompt=prompt, model=model, **facts)


def take_over(session: Session, rows: Iterable[Row], cost_usd: Decimal) -> None:
    """Log calls that other processes made for this session, and book what they cost in its own budget.

    Args:
        session: Whose calls they are.
        rows: Rows that are not in this home's log yet.
        cost_usd: What is known of their cost, and of that of others whose rows are in the log.
    """
    for row in rows:
        session.log.add(row)
    session.book_elsewhere(cost_usd)


def monitored(session: Session, *, operation: str, model: str, provider: str = "unknown") -> Callable[[F], F]:
    """Decorate a function so that each call of it is a row; see `ainb.usage.log.recorder.Recorder.monitored`."""
    return session.log.recorder.monitored(operation=operation, model=model, provider=provider)


def status(session: Session) -> pd.DataFrame:
    """What circuits, queues, buckets, retry budgets and the cache are doing now.

    Returns:
        Frame indexed by `name`: a row a model that was called (``provider:model``), one for the cache, one a budget, one
        for shared state. Columns, NA where they do not apply: `part`, `endpoint`, `circuit` (closed, open, half-open, forced-open, disabled), `probe_in_s`
        (seconds), `failure_rate`, `calls_in_window`, `waiting`, `in_flight`, `concurrency`, `paused_s`, `share`,
        `…_level`, `…_capacity`, `…_limit` of each limited dimension, `retries_left`, `store`, `hits`, `misses`,
        `coalesced`, `stale`, `hit_rate`, `entries`, `size_bytes`; `limit_usd`, `spent_usd`, `reserved_usd`, `left_usd`; of shared state
        `connected`, `distance_ms` (there and back), `peers` (how many others) and `peer_names`.
    """
    from ainb.usage.frames.status import status_frame

    return status_frame(session.state())
