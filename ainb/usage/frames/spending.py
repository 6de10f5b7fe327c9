"""Cost of calls: in total, by model, day or notebook, and cumulative over time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from ainb.usage.frames.billed import NOT_SENT, Only, billed_costs
from ainb.usage.frames.fetching import TEXT_DTYPE
from ainb.usage.frames.hours import calls_by_hour
from ainb.usage.frames.totals import SUMS, costs
from ainb.usage.rows import label
from ainb.usage.windows import Window, local_day

if TYPE_CHECKING:
    from ainb.usage.log import UsageLog

# Groupings, with the columns of the log that they use.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "model": ("provider_name", "request_model"),
    "day": ("day",),
    "provider": ("provider_name",),
    "notebook": ("notebook",),
    "user": ("user",),
    "all models": ("provider_name", "request_model"),
}
ALL_MODELS = "all models"
UNNAMED = "(none)"


def spent(log: UsageLog, *, notebook: str | None = None) -> pd.DataFrame:
    """Cost of today, of this notebook or session, and of all time.

    Args:
        log: The usage log; "this session" is the one that it belongs to.
        notebook: Name of the notebook or script in its rows; None means unknown, and the session is used
            instead.

    Returns:
        Frame of shape (3, 14) indexed by `span`: "today" (since local midnight), "this notebook" or "this
        script" (all its calls, ever) or "this session", "all time". Columns as of `costs`, then `ok` Int64
        and `ok_share` Float64: answered calls, and their share of those that were not cancelled (NA without
        any); `not_sent` Int64: calls that were refused before they were sent, and `sent_ok_share` Float64:
        the share of answered calls with these left out.
    """
    session: dict[str, Any] = {"session_id": log.session_id}
    here, place = [session], "this session"
    if notebook is not None:
        place = "this notebook" if notebook.endswith(".ipynb") else "this script"
        # Calls from `record` have no notebook name; those of this session are included.
        here = [{"notebook": label(notebook)}, {**session, "notebook": None}]
    spans = {
        "today": _sum(log, [{}], since=local_day(log.now())),
        place: _sum(log, here),
        "all time": _sum(log, [{}]),
    }
    frame = pd.concat(spans.values(), ignore_index=True)
    frame.index = pd.Index(list(spans), dtype=TEXT_DTYPE, name="span")
    return frame


def cost_by(log: UsageLog, by: str = "model", *, window: Window, only: Only = "all") -> pd.DataFrame:
    """Tokens and cost of a window by group.

    Args:
        log: The usage log.
        by: A key of GROUPS.
        window: Which calls.
        only: "sent" leaves out calls that were refused before they were sent, "billed" also models whose
            calls are free.

    Returns:
        Frame of shape (n_groups, 12) indexed by `by`: dates for "day" (newest first), else texts (most
        expensive first; ``provider:model`` for "model", "(none)" where unknown). Columns as of `costs`, then
        `share` Float64 of the window's known cost (NA when that is unknown or 0) and `free` bool (answered at
        no cost, and not by the cache alone). `attrs` has `not_sent` and `free_calls`, the numbers of calls
        that are left out, and `free_models`.
    """
    since = window.since(log.now())
    billed = billed_costs(log, GROUPS[by], since=since, only=only)
    frame = billed.frame
    if by == "day":
        frame = frame.sort_index(ascending=False)
    else:
        frame.index = pd.Index(_names(frame.index), dtype=TEXT_DTYPE, name=by)
        frame = frame.sort_values(["cost_usd", "calls"], ascending=False, na_position="last", kind="stable")
    total = frame["cost_usd"].sum()
    # The share of a total of 0 is unknown, and so is that of a group with unpriced calls only.
    known = (frame["cost_usd"] > 0) | (frame["unpriced"] == 0)
    frame["share"] = (frame["cost_usd"] / (total or pd.NA)).astype("Float64").where(known)
    saved = frame["saved_usd"].fillna(0) > 0
    frame["free"] = (
        ((frame["cost_usd"] == 0) & frame["output_tokens"].notna() & ~saved & (frame["unpriced"] == 0))
        .fillna(value=False)
        .astype(bool)
    )
    frame.attrs = {
        "not_sent": billed.not_sent,
        "free_calls": billed.free_calls,
        "free_models": billed.free_models,
    }
    return frame


def unpriced_models(log: UsageLog, *, window: Window) -> list[str]:
    """Models of answered calls in the window whose price is unknown, as ``provider:model``."""
    frame = costs(log, GROUPS["model"], since=window.since(log.now()), status="ok")
    return _names(frame.index[frame["unpriced"] > 0])


def total(frame: pd.DataFrame) -> dict[str, Any]:
    """Totals of a frame of `costs` or `cost_by`: nine sums, NA where all values are unknown."""
    return {name: frame[name].sum(min_count=1) for name in SUMS}


def thinks(frame: pd.DataFrame) -> bool:
    """Whether any group of a frame of `cost_by` has reasoning tokens."""
    return bool((frame["reasoning_output_tokens"].fillna(0) > 0).any())


def cumulative_cost(log: UsageLog, *, window: Window) -> pd.DataFrame:
    """Cost over time, per step and cumulative.

    Returns:
        Frame indexed by `at` (local time without a zone; hours for a window of up to two days, else days; no
        gaps): `cost_usd` Float64 (known cost of that hour or day), `unpriced` Int64, `total_usd` Float64
        (spent from the window's start to the end of that step). Empty without calls.
    """
    if window.hourly:
        frame = calls_by_hour(log, window)
    else:
        frame = costs(log, "day", since=window.since(log.now()))[["cost_usd", "unpriced"]]
    frame.index.name = "at"
    if len(frame):
        steps = pd.date_range(frame.index.min(), frame.index.max(), freq="h" if window.hourly else "D")
        frame = frame.reindex(pd.DatetimeIndex(steps, name="at"))
    frame["unpriced"] = frame["unpriced"].fillna(0).astype("Int64")
    frame["cost_usd"] = frame["cost_usd"].fillna(0.0).astype("Float64")
    frame["total_usd"] = frame["cost_usd"].cumsum()
    return frame


def final_total(frame: pd.DataFrame) -> tuple[float, int]:
    """Totals of a frame of `cumulative_cost`: known cost in US dollars, and number of unpriced calls."""
    return (float(frame["total_usd"].iloc[-1]), int(frame["unpriced"].sum())) if len(frame) else (0.0, 0)


def _sum(log: UsageLog, where: Sequence[Mapping[str, Any]], *, since: dt.date | None = None) -> pd.DataFrame:
    """One row with the sums over all calls that match one of the filters, and the number of answered ones."""
    frame = pd.concat([costs(log, "status", since=since, **item) for item in where])
    sums = total(frame)
    sums["ok"] = frame.loc[frame.index == "ok", "calls"].sum()
    tried = frame.loc[frame.index != "cancelled", "calls"].sum()
    sums["ok_share"] = sums["ok"] / tried if tried else pd.NA
    sums["not_sent"] = frame.loc[frame.index == NOT_SENT, "calls"].sum()
    sent = tried - sums["not_sent"]
    sums["sent_ok_share"] = sums["ok"] / sent if sent else pd.NA
    whole = {name for name in sums if name.endswith("_tokens")} | {"calls", "unpriced", "ok", "not_sent"}
    # Without any call the cost is known: zero.
    if not sums["ok"] and pd.isna(sums["calls"]):
        sums |= dict.fromkeys(("calls", "cost_usd", "unpriced"), 0)
    return pd.DataFrame(
        {
            name: pd.array([value], dtype="Int64" if name in whole else "Float64")
            for name, value in sums.items()
        }
    )


def _names(index: pd.Index) -> list[str]:
    keys = index.to_frame(index=False).astype(object)
    return [
        ":".join(UNNAMED if pd.isna(part) else str(part) for part in row)
        for row in keys.itertuples(index=False)
    ]
