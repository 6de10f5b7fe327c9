"""Failed calls by kind, with advice for each kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ainb.usage.filters import sql_condition
from ainb.usage.frames.billed import NOT_SENT
from ainb.usage.frames.calls import failures
from ainb.usage.frames.fetching import TEXT_DTYPE, fetch_columns
from ainb.usage.frames.hours import SLICE_US, local_hours
from ainb.usage.frames.totals import costs, errors
from ainb.usage.log import checked
from ainb.usage.windows import Window

if TYPE_CHECKING:
    from ainb.usage.log import UsageLog

GROUPS: Mapping[str, tuple[str, ...]] = {
    "kind": (),
    "kind and provider": ("provider_name",),
    "kind and model": ("provider_name", "request_model"),
}
LATEST = 20
FAILED = ("error", NOT_SENT)
_SERVER_FAULT = 500

# By HTTP status: name and advice.
STATUSES: Mapping[int, tuple[str, str]] = {
    400: ("request refused", "the message names the parameter; correct it or leave it out"),
    401: ("key", "the provider does not accept the key; %ai list names its variable"),
    402: ("no credit", "add credit at the provider, or try another model"),
    403: ("not allowed", "this key may not use this model; ask for access or try another"),
    404: ("unknown model", "check the model's name and the base URL; %ai list shows both"),
    408: ("timeout", "ask again later, or lower max_tokens"),
    409: ("conflict", "ask again later"),
    413: ("too long", "shorten or split the prompt"),
    422: ("request refused", "the message names the parameter; correct it or leave it out"),
    425: ("too early", "ask again later"),
    429: ("rate limit", "send less at once: lower requests_per_minute or concurrency in RateLimit"),
    529: ("overloaded", "the provider is busy; ask again later or try another model"),
}
# By class of the error, for failures without an HTTP status: name and advice.
KINDS: Mapping[str, tuple[str, str]] = {
    "TransientProviderError": (
        "no answer",
        "raise attempt_seconds, lower max_tokens, or check the connection",
    ),
    "PermanentProviderError": (
        "refused by the provider",
        "the message says why; another attempt would not help",
    ),
    "InvalidReplyError": (
        "reply does not match the schema",
        "simplify the schema, show an example, or try a larger model",
    ),
    "DeadlineExceededError": ("deadline", "raise --timeout (timeout_seconds), or lower max_tokens"),
    "BudgetExceededError": ("budget", "raise the budget that the message names, or lower --max-tokens"),
    "RateLimitError": ("rate limit, own", 'try again later, or set RateLimit(on_full="wait")'),
    "CircuitOpenError": ("circuit open", "the provider failed too often; it is probed again by itself"),
    "InvalidPromptError": ("prompt blocked", "the message names what was found in the prompt"),
    "ReplayMissError": ("not on the cassette", "record the notebook again"),
    "ConfigError": ("option", "the message names the option and the fix"),
}
UNKNOWN_KIND = ("other", "read the message")


def describe(error_type: str | None, http_status: int | None = None) -> tuple[str, str]:
    """Name of a kind of failure, and advice for it.

    Args:
        error_type: Class name of the error; None means unknown.
        http_status: HTTP status, or None when there was none.

    Returns:
        Name such as "429 rate limit", and one sentence.
    """
    if http_status is not None and error_type in {"TransientProviderError", "PermanentProviderError", None}:
        server = ("server fault", "the provider has trouble; ask again later or try another model")
        name, advice = STATUSES.get(http_status, server if http_status >= _SERVER_FAULT else UNKNOWN_KIND)
        return f"{http_status} {name}", advice
    if error_type not in KINDS and error_type is not None:
        return error_type, "raised by your own function or by a fault in ainb; read the message"
    return KINDS.get(error_type or "", UNKNOWN_KIND)


def kinds(log: UsageLog, by: str = "kind", *, window: Window) -> pd.DataFrame:
    """Failed calls of a window by kind, the most frequent first.

    Args:
        log: The usage log.
        by: A key of GROUPS.
        window: Which calls.

    Returns:
        Frame of shape (n_groups, 7) indexed by `kind` (str, such as "429 rate limit"): `where` str (provider
        or ``provider:model``; NA for "kind"), `calls` Int64, `last_at` datetime64[us, UTC], `last_message`
        str, `error_type` str, `advice` str, `sent` bool (False: refused on this machine).
    """
    frame = errors(log, ["error_type", "http_status", "status", *GROUPS[by]], since=window.since(log.now()))
    keys = frame.index.to_frame(index=False).astype(object)
    described = [
        describe(_plain(error_type), _plain(status))
        for error_type, status in zip(keys["error_type"], keys["http_status"], strict=True)
    ]
    places = [":".join(str(row[name]) for name in GROUPS[by]) or None for _, row in keys.iterrows()]
    return pd.DataFrame(
        {
            "where": pd.array(places, dtype=TEXT_DTYPE),
            "calls": frame["calls"].array,
            "last_at": frame["last_at"].array,
            "last_message": frame["last_message"].array,
            "error_type": pd.array([_plain(name) for name in keys["error_type"]], dtype=TEXT_DTYPE),
            "advice": pd.array([advice for _, advice in described], dtype=TEXT_DTYPE),
            "sent": (keys["status"] != NOT_SENT).to_numpy(dtype=bool),
        },
        index=pd.Index([name for name, _ in described], dtype=TEXT_DTYPE, name="kind"),
    )


@checked
def over_time(
    log: UsageLog, *, window: Window, most: int = 7, statuses: Sequence[str] = FAILED
) -> pd.DataFrame:
    """Number of failed calls over time.

    Args:
        log: The usage log.
        window: Which calls.
        most: Kinds with a column of their own; the others share "other kinds".
        statuses: "error" (sent and failed), "rejected" (not sent).

    Returns:
        Frame indexed by `at` (local time without a zone; hours for a window of up to two days, else days; no
        gaps), one column per kind, most frequent first: Int64 counts, 0 where nothing failed. Empty without
        failures.
    """
    with log.reading() as connection:
        where = {"status": statuses}
        condition, values = sql_condition(
            connection, since=window.since(log.now()), where=where, now=log.now()
        )
        cursor = connection.execute(
            f"SELECT started_us / {SLICE_US}, (SELECT word FROM words WHERE id = error_type), "  # noqa: S608 - bound values
            f"http_status, count(*) FROM calls WHERE error_type > 0 AND {condition} GROUP BY 1, 2, 3",
            values,
        )
        slices, types, codes, counts = fetch_columns(cursor, [np.int64, object, object, np.int64])
    names = [describe(kind, status)[0] for kind, status in zip(types, codes, strict=True)]
    hours = local_hours(slices)
    frame = pd.DataFrame(
        {"at": hours if window.hourly else hours.normalize(), "kind": names, "calls": counts}
    )
    table = frame.pivot_table(index="at", columns="kind", values="calls", aggfunc="sum", fill_value=0)
    if len(table):
        steps = pd.date_range(table.index.min(), table.index.max(), freq="h" if window.hourly else "D")
        table = table.reindex(pd.DatetimeIndex(steps, name="at"), fill_value=0)
    order = table.sum().sort_values(ascending=False, kind="stable").index
    table = table[order].astype("Int64")
    if len(order) <= most:
        return table
    return table[order[:most]].assign(**{"other kinds": table[order[most:]].sum(axis=1)})


def sent(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of a frame of `kinds` whose calls were sent and failed."""
    return frame[frame["sent"]]


def not_sent(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of a frame of `kinds` whose calls were refused before they were sent."""
    return frame[~frame["sent"]]


def total(frame: pd.DataFrame) -> int:
    """Number of calls in a frame of `kinds`."""
    return int(frame["calls"].sum())


def per_kind(frame: pd.DataFrame) -> dict[str, int]:
    """Calls of each kind in a frame of `over_time`, in the order of its columns."""
    return {str(kind): int(count) for kind, count in frame.sum().items()}


@checked
def latest(
    log: UsageLog, *, window: Window, count: int = LATEST, statuses: Sequence[str] = FAILED
) -> pd.DataFrame:
    """The newest failures of a window, newest first.

    Args:
        log: The usage log.
        window: Which calls.
        count: Maximum number of rows.
        statuses: As for `over_time`.

    Returns:
        Frame of shape (<= count, 17) with a RangeIndex; columns as of `errors`, then `kind` str.
    """
    since: Any = window.since(log.now())
    with log.reading() as connection:
        condition, values = sql_condition(connection, since=since, where={"status": statuses}, now=log.now())
        oldest = connection.execute(
            f"SELECT started_us FROM calls WHERE error_type > 0 AND {condition} "  # noqa: S608 - bound values
            "ORDER BY started_us DESC LIMIT 1 OFFSET ?",
            [*values, count - 1],
        ).fetchone()
    if oldest is not None:
        since = pd.Timestamp(oldest[0], unit="us", tz="UTC").to_pydatetime()
    frame = failures(log, since=since, status=statuses).tail(count).iloc[::-1].reset_index(drop=True)
    pairs = zip(frame["error_type"].astype(object), frame["http_status"].astype(object), strict=True)
    frame["kind"] = pd.array(
        [describe(_plain(kind), _plain(status))[0] for kind, status in pairs], dtype=TEXT_DTYPE
    )
    return frame


def retried(log: UsageLog, *, window: Window) -> int:
    """Number of calls of a window that were answered after at least one failed attempt."""
    frame = costs(log, "attempts", since=window.since(log.now()), status="ok")
    return int(frame.loc[frame.index > 1, "calls"].sum())


def _plain(value: Any) -> Any:
    return None if pd.isna(value) else value
