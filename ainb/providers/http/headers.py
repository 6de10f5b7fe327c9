"""Parser of response headers: rate limits, Retry-After, request ids, in the forms that providers use."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

REQUEST_ID_NAMES = (
    "x-request-id", "request-id", "apim-request-id", "x-ms-request-id", "mistral-correlation-id",
    "x-generation-id", "cf-ray",
)  # fmt: skip
_KEPT = frozenset({"retry-after", "retry-after-ms", "x-should-retry"})
_NUMBER = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?|\.[0-9]{1,20}")
_DURATION_PART = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)(ms|us|µs|ns|s|m|h|d)")
_UNIT_SECONDS = {
    "ns": 1e-09, "us": 1e-06, "µs": 1e-06, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0,
}  # fmt: skip
_EPOCH_SECONDS = 1e9
_EPOCH_MILLISECONDS = 1e12


def rate_limit_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The headers about limits and waits (``…ratelimit…``, Retry-After, x-should-retry), in lower case."""
    return {
        lower: value for name, value in headers if "ratelimit" in (lower := name.lower()) or lower in _KEPT
    }


def request_id(headers: Mapping[str, str]) -> str | None:
    """The provider's id of the request, or None; `headers` look names up without regard to case."""
    for name in REQUEST_ID_NAMES:
        value = headers.get(name)
        if value:
            return value[:200] if value.isprintable() else None
    return None


def should_retry(headers: Mapping[str, str]) -> bool | None:
    """Value of ``x-should-retry``, or None."""
    return {"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower())


def parse_retry_after(headers: Mapping[str, str], *, unix_now: float) -> float | None:
    """Seconds to wait before a retry, as requested by the provider.

    Args:
        headers: Headers with lower-case names; ``retry-after-ms`` takes precedence over ``retry-after``
            (seconds or an HTTP date).
        unix_now: Wall-clock seconds, for dates.

    Returns:
        Seconds above 0; None without a header or with an unusable value: 0, negative, a date in the past,
        NaN, garbage.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds:
        return milliseconds / 1000.0
    text = headers.get("retry-after")
    seconds = _number(text)
    if seconds is None and text:
        seconds = _seconds_until(_http_date(text), unix_now)
    return seconds or None


def parse_duration(text: object) -> float | None:
    """Seconds of "12ms", "6m0s", "45.8s", "1h2m3.5s" or plain seconds; None for anything else."""
    if not isinstance(text, str):
        return None
    text = text.strip()
    plain = _number(text)
    if plain is not None:
        return plain
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts)


def parse_reset(text: str | None, *, unix_now: float) -> float | None:
    """Seconds until a limit is reset.

    Args:
        text: A duration ("12ms", "6m0s"), seconds, a time since 1970 in seconds or milliseconds, or an RFC
            3339 time.
        unix_now: Wall-clock seconds, for times.

    Returns:
        Seconds, 0 for a time in the past; None when absent or garbage.
    """
    if text is None:
        return None
    seconds = parse_duration(text)
    if seconds is None:
        return _seconds_until(_rfc3339(text), unix_now)
    if seconds >= _EPOCH_MILLISECONDS:
        return max(0.0, seconds / 1000.0 - unix_now)
    return max(0.0, seconds - unix_now) if seconds >= _EPOCH_SECONDS else seconds


def _number(text: str | None) -> float | None:
    if text is None:
        return None
    digits = text.strip()  # also removes separators such as \x1f, which float does not accept
    if not _NUMBER.fullmatch(digits):
        return None
    value = float(digits)
    return value if math.isfinite(value) else None


def _http_date(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _rfc3339(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        return None


def _seconds_until(moment: datetime | None, unix_now: float) -> float | None:
    if moment is None:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - unix_now)
