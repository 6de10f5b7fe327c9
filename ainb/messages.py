"""The nouns of the house: what goes out, what comes back, and what is gathered on the way.

A `Request` is what the person asked for; a `Call` is one request on its way through the stages; a `Reply` is the
outcome. A `Provider` turns a request into bytes and bytes into a reply.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any, Literal, Protocol

from ainb.errors import InvalidReplyError

Role = Literal["system", "user", "assistant", "tool", "developer"]
CacheMode = Literal["use", "refresh", "off"]
Form = Literal["markdown", "text", "code", "json", "html", "math"]
_FENCE = re.compile(r"^[ \t]*(```+|~~~+)[^\n`]*\n(.*?)^[ \t]*\1[ \t]*$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    Attributes:
        role: Who speaks.
        content: Text, or the OpenAI protocol's list of content parts (dicts) for pictures.
    """

    role: Role
    content: str | Sequence[Mapping[str, Any]]

    @property
    def text(self) -> str:
        """The textual part of the content, parts joined by a line break."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(str(part.get("text", "")) for part in self.content if part.get("type") == "text")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What leaves, before an adapter gives it the provider's shape.

    Attributes:
        provider: Service name, such as "openai" or "local".
        model: The service's own model name.
        messages: The conversation, oldest first.
        parameters: Sampling and other body parameters under OpenAI's names (``temperature``, ``max_tokens``, …).
        api_base: Base URL for this call only; None means the provider's own.
        api_key_name: Name of the environment variable that holds the key, for this call only; None means the provider's own.
        schema: What the reply must be, for providers that can be told; None means anything.
        operation: Operation name of the usage row.
    """

    provider: str
    model: str
    messages: tuple[Message, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    api_base: str | None = None
    api_key_name: str | None = None
    schema: ReplySchema | None = None
    operation: str = "chat"


class ReplySchema(Protocol):
    """What a reply must be; made by ``pipeline.schema.read_schema``."""

    @property
    def name(self) -> str:
        """For messages and for the provider."""
        ...

    @property
    def json_schema(self) -> Mapping[str, Any]:
        """As the provider is told."""
        ...

    @property
    def check(self) -> Callable[[str], Any]:
        """Turns a reply's text into the checked value, or raises ValueError that says what is wrong."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOptions:
    """How one call is treated; nothing of it reaches the provider.

    Attributes:
        timeout_seconds: Total time of this call; None means the session's.
        cache: Use, overwrite ("refresh") or leave aside ("off") the cached answer.
        ttl_seconds: Age up to which a cached answer counts; None means the session's.
        replica: Which of several answers to the same prompt this is; None means the only one.
        budget_usd: Hard limit of this call; None means none of its own.
        user: On whose behalf; has limits and a budget of its own. None means nobody in particular.
        tags: Free labels for the usage row.
        notebook: Notebook name or script path, for the usage row.
        cell_id: The front end's cell id, for the usage row.
        batch_id: The batch run this call belongs to, or None.
        fallback: Models that are asked, in order, when the one before is down.
        values: Texts that were filled into the prompt from elsewhere (a notebook's names, a row's columns), the rest having been
            typed; None means unknown, and then validation takes the whole prompt for one.
        on_text: Called with each piece of a streamed reply on the engine's thread; None means do not stream.
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
    """A model that may answer in the place of another.

    Attributes:
        provider: The adapter of its service.
        model: The service's own model name.
    """

    provider: Provider
    model: str


DEFAULT_OPTIONS = CallOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one reply; None means unknown, never zero.

    Attributes:
        input_tokens: Includes cached tokens.
        output_tokens: Includes reasoning tokens.
        cache_read_input_tokens: Part of the input that the provider read from its own cache.
        cache_creation_input_tokens: Part of the input that the provider wrote to its own cache.
        cache_creation_1h_input_tokens: Part of these that it keeps for an hour, at a higher price.
        reasoning_output_tokens: Part of the output that was reasoning.
        source: Who counted.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation_1h_input_tokens: int | None = field(default=None, repr=False)
    reasoning_output_tokens: int | None = None
    source: Literal["provider", "estimate", "unknown"] = "unknown"


UNKNOWN_USAGE = Usage()
_COUNTS = tuple(item.name for item in fields(Usage) if item.name != "source")


@dataclass(slots=True, kw_only=True)
class Reply:
    """What came back, and what it took; its repr leaves out what differs from run to run.

    Attributes:
        text: The model's answer as it came.
        model: The model that answered, as the provider names it.
        provider: The service that answered.
        usage: Tokens.
        finish_reason: "stop", "length", "tool_calls", "content_filter", another word of the provider's, or None.
        request_id: The provider's id of the request, or None.
        duration_s: Seconds from submit to reply, waits included; None until the call has ended.
        attempts: Provider calls made; 0 for a hit.
        cost_usd: What it cost; None when no price is known; 0 for a hit or a free model.
        cost_source: "table" (genai-prices or the user's own), "provider" (reported), "free", "unpriced", or None until known.
        saved_usd: What a hit would have cost; None when it is no hit or no price is known.
        cached: Whether it came from the cache (or from another's identical call in flight).
        coalesced: Whether it came from another's identical call in flight.
        stale: Whether the cached answer was older than asked for, and given because the circuit is open.
        replayed: Whether it came from a cassette.
        parsed: The checked value when a schema was asked for, else None.
        headers: Rate-limit headers of the response, lower-case names.
        form: The form that was asked for, and so the one it is shown in.
    """

    text: str
    model: str = ""
    provider: str = ""
    usage: Usage = UNKNOWN_USAGE
    finish_reason: str | None = None
    request_id: str | None = field(default=None, repr=False)
    duration_s: float | None = field(default=None, repr=False)
    attempts: int = field(default=1, repr=False)
    cost_usd: Decimal | None = None
    cost_source: Literal["table", "provider", "free", "unpriced"] | None = None
    saved_usd: Decimal | None = field(default=None, repr=False)
    cached: bool = field(default=False, repr=False)
    coalesced: bool = field(default=False, repr=False)
    stale: bool = field(default=False, repr=False)
    replayed: bool = field(default=False, repr=False)
    parsed: Any = None
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    form: Form = field(default="markdown", repr=False, compare=False)

    def __str__(self) -> str:
        return self.text

    @property
    def has_code(self) -> bool:
        """Whether something in the answer is fenced."""
        return _FENCE.search(self.text) is not None

    @property
    def code(self) -> str:
        """The fenced blocks of the answer joined by a blank line, or the whole answer where nothing is fenced."""
        blocks = [match.group(2).rstrip("\n") for match in _FENCE.finditer(self.text)]
        return "\n\n".join(blocks) if blocks else self.text.strip()

    def json(self) -> Any:
        """The answer read as JSON, fences stripped.

        Raises:
            InvalidReplyError: The answer is not JSON; its ``text`` holds the raw reply.
        """
        try:
            return json.loads(self.code)
        except ValueError as error:
            raise InvalidReplyError(
                f"the reply is not JSON ({error}); ask with -f json or a schema, or read Reply.text",
                text=self.text,
            ) from None


@dataclass(slots=True, kw_only=True)
class Call:
    """One request on its way, and what the stages gathered about it.

    Attributes:
        request: What leaves; a stage that changes it puts a new Request here.
        provider: The adapter that will send it.
        options: How it is treated.
        call_id: ULID of the usage row.
        started_at: Monotonic seconds at submit.
        deadline: Monotonic second at which the caller stops waiting; None means never.
        attempts: Provider calls made so far.
        queue_wait_s: Seconds spent in line for permits so far.
        first_text_at: Monotonic second of the first streamed piece, or None.
        duration_s: Seconds that a cassette says the call took, which stand for the measured ones; None where they are measured.
        replayed: Whether a cassette answered it, with a reply or an error.
        shown: Whether a streamed piece was handed to the caller: no attempt may follow.
        cache_key: Digest of what is sent, once somebody has needed it; whoever changes `request` sets it back to None.
        endpoint: What `place` found, or None.
        account: What `payer` found, or None.
        row_key: The row of a batch: digest of what it sends; None outside one.
        replies: Every reply that a provider gave to this call, oldest first; more than one when an answer was asked for again.
        errors: The error of every failed attempt, oldest first.
        notes: Lines for the person beside the reply (unfilled names, redactions, fallback).
        placeholders: Placeholder to the personal detail that it stands for in the request; never leaves the process.
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
    replayed: bool = False
    shown: bool = False
    cache_key: str | None = None
    endpoint: str | None = None
    account: str | None = None
    row_key: str | None = None
    replies: list[Reply] = field(default_factory=list, repr=False)
    errors: list[Exception] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    placeholders: dict[str, str] = field(default_factory=dict, repr=False)

    def place(self) -> str:
        """The provider's endpoint for this request, looked up once."""
        if self.endpoint is None:
            self.endpoint = self.provider.endpoint(self.request)
        return self.endpoint

    def payer(self) -> str:
        """The account whose limits apply, looked up once."""
        if self.account is None:
            self.account = self.provider.account(self.request)
        return self.account

    def emit(self, text: str, now: float) -> None:
        """Hand a streamed piece to whoever watches; called by adapters only."""
        if self.first_text_at is None:
            self.first_text_at = now
        if self.options.on_text is not None:
            self.shown = True
            self.options.on_text(text)


def add_up(replies: Sequence[Reply]) -> tuple[Usage, Decimal | None]:
    """Tokens and money of several replies to one call; a part that is unknown makes its sum unknown.

    Args:
        replies: At least one.
    """
    if len(replies) == 1:
        return replies[0].usage, replies[0].cost_usd
    sums: dict[str, int | None] = {}
    for name in _COUNTS:
        counts = [getattr(reply.usage, name) for reply in replies]
        known = [count for count in counts if count is not None]
        sums[name] = sum(known) if len(known) == len(counts) else None
    costs = [reply.cost_usd for reply in replies if reply.cost_usd is not None]
    cost = sum(costs, Decimal(0)) if len(costs) == len(replies) else None
    return Usage(**sums, source=replies[-1].usage.source), cost


class Provider(Protocol):
    """An adapter: one protocol, request out, reply in, faults as our errors."""

    @property
    def name(self) -> str:
        """Service name, as in ``provider:model``."""
        ...

    @property
    def free(self) -> bool:
        """Whether calls cost nothing (a model on this machine, a script)."""
        ...

    def body(self, request: Request) -> dict[str, Any]:
        """The whole outgoing body, with nothing secret in it; what the cache key is made of."""
        ...

    def endpoint(self, request: Request) -> str:
        """The base URL (or another name of the place) that this request goes to; no key in it."""
        ...

    def account(self, request: Request) -> str:
        """Names whose rate limits apply: the endpoint and a short digest of the key, never the key."""
        ...

    async def send(self, call: Call) -> Reply:
        """One attempt.

        Raises:
            ProviderError: It failed.
            ConfigError: The key is missing or the model does not exist here.
        """
        ...


Handler = Callable[[Call], Awaitable[Reply]]


class Stage(Protocol):
    """A step of the pipeline: does its part, then lets the call proceed, or does not."""

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        """Handle the call; `proceed` is everything further in."""
        ...
