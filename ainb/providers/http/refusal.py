"""Parser of error bodies in the forms of all providers."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from ainb.providers.http.headers import parse_duration
from ainb.providers.http.json_body import parse_json, word_or_none

MAX_READ: Final = 20_000
CONTEXT_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error", "string_above_max_length"})
_FINAL_CODE = re.compile(
    r"insufficient_(quota|balance|credit|funds)|credit|billing|per_?day|daily", re.IGNORECASE
)
_FINAL_WORDS = re.compile(
    r"insufficient[ _](quota|balance|credits?|funds)|credit balance|out of credits|spend(ing)?[ _]limit"
    r"|\bper[ _-]day\b|PerDay|\b(RPD|TPD)\b|\bdaily (limit|quota)",
    re.IGNORECASE,
)
_CONTEXT_WORDS = re.compile(
    r"(maximum|available) context (length|size)|context window|prompt is too long|too many tokens",
    re.IGNORECASE,
)
_LIMIT_AND_REQUESTED = re.compile(
    r"\blimit:? *([\d,_]+)\b.*?\brequested:? *([\d,_]+)", re.IGNORECASE | re.DOTALL
)
_FILTER_CODES = frozenset({"content_filter", "content_policy_violation", "responsibleaipolicyviolation"})
_PICTURE_WORDS = re.compile(r"image input is not supported", re.IGNORECASE)
_EXTRA_1, _EXTRA_2 = "extra_forbidden", "value_error.extra"
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A parsed error body.

    Attributes:
        said: The provider's message, unchanged; "" without one.
        code: Error code (or type), or None.
        status: HTTP status in the body itself, or None.
        retry_after: Seconds to wait in the body (Google's RetryInfo), or None.
        final: Whether it is about quota, credit or a daily limit.
        tokens: Prompt tokens and the model's context; None unless the body has both.
        param: The parameter that the body names, or None.
        extra: Unknown fields of the request, from a list of problems; () when the list holds another problem
            too.
    """

    said: str = field(default="", repr=False)  # a server may echo the key
    code: str | None = None
    status: int | None = None
    retry_after: float | None = None
    final: bool = False
    tokens: tuple[int, int] | None = None
    param: str | None = None
    extra: tuple[str, ...] = ()

    @property
    def context(self) -> bool:
        """Whether the prompt is too long for the model."""
        return self.code in CONTEXT_CODES or bool(_CONTEXT_WORDS.search(self.said))

    @property
    def oversized(self) -> tuple[int, int] | None:
        """Tokens requested and the limit, when one request exceeds the limit by itself; otherwise None.

        Source: OpenAI and Groq, "Request too large … Limit 30000, Requested 45210" with status 413 or 429.
        """
        found = _LIMIT_AND_REQUESTED.search(self.said)
        if found is None:
            return None
        limit, requested = (int(re.sub("[,_]", "", text) or 0) for text in found.groups())
        # "Limit 30000, Used 29000, Requested 2000" fits after a wait.
        return (requested, limit) if requested > limit else None

    @property
    def filtered(self) -> bool:
        """Whether a content filter withheld the prompt or the reply."""
        return (self.code or "").lower() in _FILTER_CODES

    @property
    def picture(self) -> bool:
        """Whether the model reads no images; llama.cpp sends this with status 500."""
        return bool(_PICTURE_WORDS.search(self.said))


def read_refusal(body: bytes) -> Refusal:
    """Parse an error body: OpenAI's, Google's, FastAPI's or Ollama's JSON, an HTML page, text, or empty."""
    try:
        data = parse_json(body)
    except ValueError:
        return Refusal(said=_plain(body))
    return refusal_of(data)


def refusal_of(data: Any) -> Refusal:
    """The error in decoded JSON; an empty `Refusal()` without one."""
    if isinstance(data, list):
        data = data[0] if data else None
    if not isinstance(data, dict):
        return Refusal(said=data if isinstance(data, str) else "")
    error = data.get("error", data)
    if isinstance(error, str):
        return Refusal(said=error, code=word_or_none(data.get("code")))
    if not isinstance(error, dict):
        error = data
    said = _words(error)
    kind = word_or_none(error.get("type"))
    code = word_or_none(error.get("code")) or kind or word_or_none(error.get("status"))
    details = error.get("details")
    details = [item for item in details if isinstance(item, dict)] if isinstance(details, list) else []
    return Refusal(
        said=said,
        code=code,
        status=_status(error.get("code"))
        or _status(error.get("status"))
        or _status(error.get("status_code")),
        retry_after=_retry_info(details),
        final=_is_final(code, kind, said, details),
        tokens=_tokens(error),
        param=word_or_none(error.get("param")),
        extra=_extra_fields(error),
    )


def _plain(body: bytes) -> str:
    text = body[:MAX_READ].decode("utf-8", "replace")
    if not text.lstrip().startswith("<"):
        return text
    title = _TITLE.search(text)
    return f"an HTML page {title.group(1).strip()!r}" if title else "an HTML page"


def _words(error: dict[str, Any]) -> str:
    for name in ("message", "detail", "error", "msg", "title"):
        value = error.get(name)
        if isinstance(value, dict):  # Mistral: {"message": {"detail": [...]}}
            value = value.get("detail") or value.get("message")
        if isinstance(value, list):
            value = _field_words(value)
        if isinstance(value, str) and value:
            return value + _upstream(error.get("metadata"))
    return ""


def _field_words(items: list[Any]) -> str | None:
    # FastAPI puts the field's path in a list beside the message.
    item = items[0] if items else None
    if not isinstance(item, dict):
        return None
    message = item.get("msg") or item.get("message")
    place = item.get("loc")
    where = ".".join(str(part) for part in place) + ": " if isinstance(place, list) else ""
    return where + message if isinstance(message, str) else None


def _extra_fields(error: dict[str, Any]) -> tuple[str, ...]:
    """Unknown fields in an error list of FastAPI or pydantic that holds no other problem."""
    for name in ("detail", "message"):
        value = error.get(name)
        if isinstance(value, dict):
            value = value.get("detail")
        if not isinstance(value, list) or not value:
            continue
        items = [item if isinstance(item, dict) else {} for item in value]
        places = [item.get("loc") for item in items]
        fields = [
            place[-1] for place in places if isinstance(place, list) and place and isinstance(place[-1], str)
        ]
        unknown = all(str(item.get("type", "")).endswith((_EXTRA_1, _EXTRA_2)) for item in items)
        return tuple(fields) if unknown and len(fields) == len(items) else ()
    return ()


def _upstream(metadata: Any) -> str:
    # OpenRouter's own message is only "Provider returned error"; the provider's message is in the metadata.
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    return f" ({raw})" if isinstance(raw, str) and raw else ""


def _status(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:4])
    return value if isinstance(value, int) and 400 <= value < 600 else None  # noqa: PLR2004 - HTTP errors


def _tokens(error: dict[str, Any]) -> tuple[int, int] | None:
    prompt, context = error.get("n_prompt_tokens"), error.get("n_ctx")
    return (prompt, context) if isinstance(prompt, int) and isinstance(context, int) else None


def _retry_info(details: list[dict[str, Any]]) -> float | None:
    for item in details:
        if str(item.get("@type", "")).endswith("RetryInfo"):
            return parse_duration(item.get("retryDelay")) or None
    return None


def _is_final(code: str | None, kind: str | None, said: str, details: list[dict[str, Any]]) -> bool:
    if any(_FINAL_CODE.search(text) for text in (code, kind) if text) or _FINAL_WORDS.search(said):
        return True
    quotas = [
        violation.get("quotaId")
        for item in details
        if isinstance(item.get("violations"), list)
        for violation in item["violations"]
        if isinstance(violation, dict)
    ]
    return any("PerDay" in quota for quota in quotas if isinstance(quota, str))
