"""Core types: messages, requests, calls, options, and the protocols of providers and stages.

A `Request` is a request as the user made it; a `Call` is one request in the pipeline with everything recorded
about it; a `Reply` (`ainb.replies`) is its result. A `Provider` sends a request and returns the reply.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any, Literal, Protocol, runtime_checkable

from ainb.model_rules import SharedPrefix
from ainb.replies import (
    MAX_TOKENS,
    UNKNOWN_USAGE,
    Form,
    Reply,
    Usage,
    add_up,
    is_duration,
    is_reply_cost,
    is_token_count,
    provider_savings,
)

__all__ = [
    "DEFAULT_OPTIONS",
    "MAX_TOKENS",
    "OUTPUT_LIMITS",
    "UNKNOWN_USAGE",
    "Alternative",
    "CacheMode",
    "Call",
    "CallOptions",
    "Delivery",
    "Effort",
    "Form",
    "Handler",
    "Message",
    "Provider",
    "Reply",
    "ReplySchema",
    "Request",
    "Role",
    "Stage",
    "Usage",
    "add_up",
    "is_duration",
    "is_reply_cost",
    "is_token_count",
    "provider_savings",
]

# Transport options, and parameters that `Request` holds in its own fields.
_NOT_ASKED = frozenset({"model", "messages", "stream", "stream_options"})
_SECRET_NAME = re.compile(r"auth|key|token|secret|cookie|password|credential", re.IGNORECASE)
HIDDEN = "***"
OUTPUT_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
DEFAULT_OUTPUT_TOKENS = 4_096
OUTPUT_TOKENS_A_ROW = 256

Role = Literal["system", "user", "assistant", "tool", "developer"]
CacheMode = Literal["use", "refresh", "off"]
Delivery = Literal["live", "batch"]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    Attributes:
        role: Author of the message.
        content: Text, or a list of content parts (dicts) of the OpenAI protocol, as for images.
    """

    role: Role
    content: str | Sequence[Mapping[str, Any]]

    @property
    def text(self) -> str:
        """The text of the content; text parts are joined by a line break."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(str(part.get("text", "")) for part in self.content if part.get("type") == "text")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request in ainb's form; an adapter converts it to the provider's protocol.

    Attributes:
        provider: Service name, such as "openai" or "local".
        model: The service's own model name.
        messages: The conversation, oldest first.
        parameters: Sampling and other body parameters under OpenAI's names (``temperature``, ``max_tokens``,
            …).
        api_base: Base URL for this call only; None means the provider's own.
        api_key_name: Name of the environment variable with the API key, for this call only; None means the
            provider's own.
        schema: Schema that the reply must match; None means any text.
        operation: Operation name of the usage row.
        shared: Prefix that every row of a batch sends, marked for the provider's prompt cache; None outside a
            batch and when it is not marked. Not part of the request's identity.
        rows: Number of table rows that one reply answers; None outside a table.
    """

    provider: str
    model: str
    messages: tuple[Message, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    api_base: str | None = None
    api_key_name: str | None = None
    schema: ReplySchema | None = None
    operation: str = "chat"
    shared: SharedPrefix | None = None
    rows: int | None = None

    @property
    def output_limits(self) -> list[int]:
        """The output limits in tokens that the parameters set."""
        return [value for name in OUTPUT_LIMITS if isinstance(value := self.parameters.get(name), int)]

    @property
    def default_output_tokens(self) -> int:
        """Output limit for a request without one, for protocols that need it; it grows with the rows."""
        return DEFAULT_OUTPUT_TOKENS + OUTPUT_TOKENS_A_ROW * max(0, (self.rows or 1) - 1)

    def asked(self) -> dict[str, Any]:
        """Parameters and messages as given by the user: the identity of a request in cache and cassettes.

        Changes by an adapter (defaults, other names, refused parameters) are not part of it, so that a stored
        answer is still found when the rules for a model change. It contains no secret.
        """
        asked = {name: value for name, value in self.parameters.items() if name not in _NOT_ASKED}
        headers = asked.get("extra_headers")
        if isinstance(headers, Mapping):
            asked["extra_headers"] = {
                str(name).lower(): HIDDEN if _SECRET_NAME.search(str(name)) else value
                for name, value in headers.items()
            }
        asked["messages"] = [{"role": item.role, "content": item.content} for item in self.messages]
        return asked


class ReplySchema(Protocol):
    """Schema that a reply must match; made by `ainb.pipeline.answer.schema.read_schema`."""

    @property
    def name(self) -> str:
        """Name in messages and in the request."""
        ...

    @property
    def json_schema(self) -> Mapping[str, Any]:
        """JSON schema as it is sent to the provider."""
        ...

    @property
    def has_functions(self) -> bool:
        """Whether `check` runs the user's functions, which may block."""
        ...

    @property
    def check(self) -> Callable[[str], Any]:
        """Function from a reply's text to the checked value; raises ValueError if it does not match."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOptions:
    """Options of one call for the pipeline; none of them is sent to the provider.

    Attributes:
        timeout_seconds: Total time of this call; None means the session's.
        cache: "use" the cached answer, "refresh" (overwrite) it, or "off" for no cache.
        ttl_seconds: Age up to which a cached answer is valid; None means the session's.
        replica: Index among several answers to the same prompt; None means a single answer.
        budget_usd: Hard limit of this call in USD; None means no limit of its own.
        user: User of the call, with limits and a budget of its own; None means no named user.
        tags: Labels for the usage row, by name.
        notebook: Notebook name or script path, for the usage row.
        cell_id: The front end's cell id, for the usage row.
        batch_id: The batch run that this call belongs to, or None.
        fallback: Models to try in order when the previous one is unavailable.
        values: Texts that were filled into the prompt (a notebook's variables, a row's columns); the rest was
            typed. None means unknown: validation treats the whole prompt as filled in.
        on_text: Called with each piece of a streamed reply, in order, in a thread of the call and with the
            caller's context variables; None means no streaming.
    """

    timeout_seconds: float | None = None
    cache: CacheMode = "use"
    ttl_seconds: float | None = None
    replica: int | None = None
    budget_usd: Decimal | None = None
    user: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict, repr=False)
    notebook: str | None = None
    cell_id: str | None = None
    batch_id: str | None = None
    fallback: tuple[Alternative, ...] = ()
    values: tuple[str, ...] | None = field(default=None, repr=False)
    on_text: Callable[[str], None] | None = None


@dataclass(frozen=True, slots=True)
class Alternative:
    """A fallback model.

    Attributes:
        provider: Adapter of its service.
        model: The service's own model name.
    """

    provider: Provider
    model: str


DEFAULT_OPTIONS = CallOptions()


@dataclass(slots=True, kw_only=True)
class Call:
    """One request in the pipeline, and everything that the stages record about it.

    Attributes:
        request: The request to send; a stage that changes it assigns a new Request.
        provider: Adapter that will send it.
        options: Options of the call.
        call_id: ULID of the usage row.
        started_at: Monotonic second of the submission.
        deadline: Monotonic second at which the caller stops waiting; None means no deadline.
        attempts: Provider calls made so far.
        queue_wait_s: Seconds spent waiting for permits so far.
        first_text_at: Monotonic second of the first streamed piece, or None.
        duration_s: Recorded duration in seconds when a cassette answered, else None.
        ended_at: Wall-clock seconds since 1970 at which the batch job that answered ended, else None.
        delivery: "batch" when a provider's batch job answered, else "live".
        replayed: Whether a cassette answered it, with a reply or an error.
        shown: Whether a streamed piece was passed to the caller; then no further attempt may follow.
        cache_key: Cache key, computed on first use; code that changes `request` resets it to None.
        endpoint: Result of `resolve_endpoint`, or None.
        account: Result of `resolve_account`, or None.
        values: Texts filled into the prompt of this call alone (a row's columns); None means those of
            `options`.
        row_key: Digest of a batch row; None outside a batch.
        rows_per_call: Rows that the user wants one call to answer; part of the cache key if above 1.
        on_answer: Called when the first piece of a streamed reply arrives; None means no listener.
        replies: Every reply of a provider to this call, oldest first; several when an answer was requested
            again.
        errors: The error of every failed attempt, oldest first.
        notes: Lines shown to the user beside the reply (unfilled names, redactions, fallback).
        placeholders: Personal data by placeholder in the request; never leaves the process.
        pieces: Pieces of text that the current attempt has received.
    """

    request: Request
    provider: Provider
    options: CallOptions = DEFAULT_OPTIONS
    call_id: str = ""
    started_at: float = 0.0
    deadline: float | None = None
    attempts: int = 0
    queue_wait_s: float = 0.0
    first_text_at: float | None = None
    duration_s: float | None = None
    ended_at: float | None = None
    delivery: Delivery = "live"
    replayed: bool = False
    shown: bool = False
    cache_key: str | None = None
    endpoint: str | None = None
    account: str | None = None
    values: tuple[str, ...] | None = field(default=None, repr=False)
    row_key: str | None = None
    rows_per_call: int = 1
    on_answer: Callable[[], None] | None = field(default=None, repr=False)
    replies: list[Reply] = field(default_factory=list, repr=False)
    errors: list[Exception] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    placeholders: dict[str, str] = field(default_factory=dict, repr=False)
    pieces: list[str] = field(default_factory=list, repr=False)

    @property
    def text_so_far(self) -> str | None:
        """The part of the reply that has arrived; None without any."""
        return "".join(self.pieces) or None

    def fork(self) -> Call:
        """A copy for work that several callers share; records in the copy do not affect the original."""
        # ``dataclasses.replace`` takes three times as long, and this runs for every call.
        copied = object.__new__(Call)
        for name in _CALL_FIELDS:
            setattr(copied, name, getattr(self, name))
        copied.errors, copied.notes = list(self.errors), []
        return copied

    def resolve_endpoint(self) -> str:
        """The provider's endpoint for this request, looked up once."""
        if self.endpoint is None:
            self.endpoint = self.provider.endpoint(self.request)
        return self.endpoint

    def resolve_account(self) -> str:
        """The account whose limits apply, looked up once."""
        if self.account is None:
            self.account = self.provider.account(self.request)
        return self.account

    def emit(self, text: str, now: float) -> None:
        """Pass a streamed piece to the caller; called by adapters only."""
        self.pieces.append(text)
        if self.first_text_at is None:
            self.first_text_at = now
            if self.on_answer is not None:
                self.on_answer()
        if self.options.on_text is not None:
            self.shown = True
            self.options.on_text(text)


_CALL_FIELDS = tuple(item.name for item in fields(Call))


class Provider(Protocol):
    """Adapter of one protocol: sends requests, returns replies, raises ainb's errors."""

    @property
    def name(self) -> str:
        """Service name, as in ``provider:model``."""
        ...

    @property
    def free(self) -> bool:
        """Whether calls cost nothing (a local model, a script)."""
        ...

    def body(self, request: Request) -> dict[str, Any]:
        """The whole outgoing body, without secrets."""
        ...

    def endpoint(self, request: Request) -> str:
        """The base URL, or another name of the target, of this request; without a key."""
        ...

    def account(self, request: Request) -> str:
        """The account whose rate limits apply: endpoint and a short digest of the key, never the key."""
        ...

    def send(self, call: Call) -> Awaitable[Reply]:
        """Send one attempt.

        Raises:
            ProviderError: The attempt failed.
            ConfigError: The key is missing or the model does not exist.
        """
        ...


Handler = Callable[[Call], Awaitable[Reply]]


class Stage(Protocol):
    """A stage of the pipeline: handles a call, then passes it on or ends it."""

    def __call__(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Handle the call; `proceed` runs all inner stages.

        Usually a coroutine function. A stage that does nothing for most calls is a plain function that
        returns the result of `proceed`, because each coroutine that only awaits the next one adds a step to
        every resume.
        """
        ...


@runtime_checkable
class MarksPrefixes(Protocol):
    """An adapter that marks the shared prefix of a batch for the provider's prompt cache."""

    def cache_seconds(self, request: Request) -> float | None:
        """Seconds for which the provider keeps the prefix marked by this request; None if none is marked."""
        ...


@runtime_checkable
class HasActivities(Protocol):
    """An adapter whose calls may wait for an activity on this machine."""

    def activities(self) -> Mapping[str, str]:
        """Activity that calls wait for, such as "loading the model", by model."""
        ...
