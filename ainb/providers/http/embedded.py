"""Errors in the body of a response with status 200, and the HTTP status that corresponds to them."""

from __future__ import annotations

import re
from typing import Any, Final

from ainb.providers.http.json_body import mapping
from ainb.providers.http.refusal import Refusal, refusal_of

_ANSWER_KEYS: Final = ("content", "candidates", "output")
_FINE_CODES: Final = frozenset({"none", "0", "200", "", "ok", "success"})
# Finish reasons of replies that the service broke off.
_BROKEN: Final = re.compile(
    r"(?:\w+_)?error$|insufficient_system_resource|abort(?:ed)?$|cancell?ed$|failed$|timeout$", re.IGNORECASE
)
_STATUSES: Final = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "model_not_found": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "slow_down": 429,
    "server_is_overloaded": 503,
    "timeout_error": 504,
    "overloaded_error": 529,
}


def embedded_status(refusal: Refusal) -> int:
    """HTTP status for an error in a body with status 200; 500 when the body names none."""
    return refusal.status or status_of(refusal.code)


def status_of(code: str | None) -> int:
    """HTTP status for an error code; 500 for an unknown code."""
    return _STATUSES.get(code or "", 500)


def embedded_refusal(data: Any) -> Refusal | None:
    """The error in a body or event with status 200, beside an answer or alone; None without an error.

    Forms in use: ``{"error": …}`` beside or in place of ``choices`` (OpenRouter, vLLM, llama.cpp), an
    error in a choice, a ``finish_reason`` such as "error", ``{"object": "error"}``, ``{"type": "error"}``,
    ``{"code": …, "msg": …}``, ``{"success": false}``, ``{"detail": …}``, a list around any of these (Gemini).
    """
    if isinstance(data, list):
        data = data[0] if data else None
    if not isinstance(data, dict):
        return None
    if _says_something(data.get("error")) or data.get("object") == "error" or data.get("type") == "error":
        return refusal_of(data)
    choices = data.get("choices")
    refusal = _choice_refusal(choices)
    if refusal is not None or choices:
        return refusal
    is_answer = any(data.get(key) for key in _ANSWER_KEYS)
    return refusal_of(data) if not is_answer and _is_error_alone(data) else None


def _choice_refusal(choices: Any) -> Refusal | None:
    for item in choices if isinstance(choices, list) else ():
        choice = mapping(item)
        if _says_something(choice.get("error")):
            return refusal_of({"error": choice["error"]})
        reason = choice.get("finish_reason")
        if isinstance(reason, str) and reason != "stop" and _BROKEN.match(reason):
            return Refusal(said=f"the reply ended with finish_reason {reason}")
    return None


def _says_something(error: Any) -> bool:
    """Whether a field "error" reports an error: null, "", {}, 0 and false do not."""
    return bool(error) and not (isinstance(error, dict) and not any(error.values()))


def _is_error_alone(data: dict[str, Any]) -> bool:
    """Whether a body reports an error instead of an answer."""
    code, words = data.get("code"), data.get("msg") or data.get("message")
    if words and str(code).lower() not in _FINE_CODES:
        return True
    if data.get("success") is False:
        return True
    return bool(data.get("detail")) and "type" not in data and "usage" not in data
