"""Maps a provider's error response (status, code, text) to one of ainb's errors, with a one-line message."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from http import HTTPStatus

from ainb.errors import ContentFilteredError, PermanentProviderError, ProviderError, TransientProviderError
from ainb.providers.http.headers import parse_retry_after, should_retry
from ainb.providers.http.refusal import MAX_READ, Refusal, read_refusal
from ainb.redaction import redact

MAX_SAID = 300
HIDDEN = "***"
TRANSIENT_STATUSES = frozenset({408, 409, 425, 429, *range(500, 600)})
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The service that an error is about, and the variables that its advice names.

    Attributes:
        service: Service name.
        base_url: Base URL of the request.
        key_variable: Environment variable that holds the key, or None.
        base_url_variable: Environment variable that holds the base URL, or None.
        secrets: Texts that must not appear in any message.
    """

    service: str
    base_url: str
    key_variable: str | None = None
    base_url_variable: str | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def base_url_option(self) -> str:
        """Options that set the base URL, for messages."""
        return f"--api-base or {self.base_url_variable}" if self.base_url_variable else "--api-base"


def clean(text: str, secrets: tuple[str, ...] = ()) -> str:
    """One line, shortened, without escape sequences, control characters or secrets."""
    text = _ESCAPES.sub("", text[:MAX_READ])
    text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    # Redact before shortening: half a key would not be recognised.
    text = redact(text)
    return text if len(text) <= MAX_SAID else text[: MAX_SAID - 1] + "…"


def response_fault(
    origin: Origin,
    status: int,
    body: bytes | Refusal,
    *,
    headers: dict[str, str],
    request_id: str | None = None,
    location: str | None = None,
    model: str = "",
    unix_now: float = 0.0,
) -> ProviderError:
    """The exception for a refused request.

    Args:
        origin: The service that refused.
        status: HTTP status, or the one in the body of a response with status 200.
        body: The error body, raw or parsed.
        headers: Rate-limit headers with lower-case names.
        request_id: The provider's id of the request.
        location: Target of a redirect.
        model: Model of the request.
        unix_now: Wall-clock seconds, for Retry-After dates.
    """
    refusal = body if isinstance(body, Refusal) else read_refusal(body)
    kind: type[ProviderError] = (
        TransientProviderError if is_transient(status, refusal) else PermanentProviderError
    )
    if refusal.filtered:
        kind = ContentFilteredError
    code = clean(refusal.code or "", origin.secrets)[:80]
    said = clean(refusal.said, origin.secrets)
    message = f"{origin.service} answered {status}{f' ({code})' if code else ''}{f': {said}' if said else ''}"
    fault = kind(
        f"{message}; {advice(origin, status, refusal, model=model, location=location)}",
        status_code=status,
        code=code or None,
        request_id=request_id,
        retry_after=parse_retry_after(headers, unix_now=unix_now) or refusal.retry_after,
        should_retry=should_retry(headers),
        headers=headers,
    )
    fault.out_of_quota = refusal.final
    return fault


def is_transient(status: int, refusal: Refusal) -> bool:
    """Whether another attempt may succeed.

    Source: the clients of OpenAI, Anthropic and Google agree on the statuses. Exceptions: a quota, credit or
    daily limit is permanent although its status is 429; so is a prompt that is too long or holds an image for
    a model that reads none, although some servers answer with 500.
    """
    if refusal.context or refusal.picture or refusal.oversized or refusal.filtered:
        return False
    if status == HTTPStatus.TOO_MANY_REQUESTS and refusal.final:
        return False
    return status in TRANSIENT_STATUSES


def advice(
    origin: Origin, status: int, refusal: Refusal, *, model: str = "", location: str | None = None
) -> str:
    """Advice at the end of the message: what the user can do."""
    if (about_prompt := _prompt_advice(refusal, model)) is not None:
        return about_prompt
    if 300 <= status < 400:  # noqa: PLR2004 - redirects
        where = f" to {clean(location, origin.secrets)}" if location else ""
        return (
            f"redirects{where} are not followed, so that no key goes to another host; set "
            f"{origin.base_url_option} to the final address"
        )
    if status == HTTPStatus.TOO_MANY_REQUESTS and refusal.final:
        return (
            "quota, credit or the limit per day is used up and waiting a minute does not help; add credit, "
            "or use another model"
        )
    ways: dict[int, str] = {
        HTTPStatus.UNAUTHORIZED: _check_key(origin),
        HTTPStatus.PAYMENT_REQUIRED: "add credit with the provider, or use another model",
        HTTPStatus.FORBIDDEN: f"{_check_key(origin)}, and whether it may use {model or 'this model'}",
        HTTPStatus.NOT_FOUND: f"%ai list {origin.service} shows its models; check the model's name and "
        f"{origin.base_url_option}",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "shorten the prompt",
        HTTPStatus.TOO_MANY_REQUESTS: "wait, or set requests_per_minute (tokens_per_minute) to the "
        "provider's limit",
    }
    if status in ways:
        return ways[status]
    if status in TRANSIENT_STATUSES:
        return "the fault is on the provider's side; another attempt may succeed"
    return "change the request; another attempt would fail the same way"


def _prompt_advice(refusal: Refusal, model: str) -> str | None:
    """What to change in the prompt; None when the refusal is not about the prompt."""
    if refusal.filtered:
        return "the provider's content filter withheld it; change the prompt"
    if refusal.context:
        return _shorten(refusal)
    if refusal.picture:
        reader = model or "this model"
        return f"{reader} reads no pictures; leave the picture out, or use a model that reads them"
    if refusal.oversized is None:
        return None
    requested, limit = refusal.oversized
    return (
        f"one request of {requested} tokens is larger than the limit of {limit} per minute and no wait "
        "helps; shorten the prompt, or lower max_tokens"
    )


def _check_key(origin: Origin) -> str:
    if origin.key_variable is None:
        return "the server requires a key; name its variable with --api-key-name"
    verb = "check the key in" if origin.secrets else "set a key in"
    return f"{verb} {origin.key_variable}"


def _shorten(refusal: Refusal) -> str:
    if refusal.tokens is None:
        return (
            "the prompt is longer than the model's context; shorten the prompt, or use a model with a longer "
            "context"
        )
    prompt, context = refusal.tokens
    return (
        f"the prompt of {prompt} tokens is longer than the model's context of {context} tokens; shorten the "
        "prompt"
    )
