"""Recorder of calls outside the pipeline: `Session.record` and monitored functions."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol, TypeVar, cast

from ainb.clock import Clock
from ainb.messages import UNKNOWN_USAGE, Message, Reply, Usage, is_duration, is_reply_cost, is_token_count
from ainb.redaction import encodable
from ainb.replies import TOKEN_COUNTS
from ainb.usage.rows import (
    Row,
    failure_fields,
    label,
    prompt_digest,
    storable_text,
    tags_json,
    utc,
)

F = TypeVar("F", bound=Callable[..., Any])


class CountTokens(Protocol):
    """``ainb.count_tokens``, or a function with its signature."""

    def __call__(self, prompt: str, /, model: str) -> int:
        """Number of tokens of a text."""
        ...


class Price(Protocol):
    """``ainb.price``, or a function with its signature."""

    def __call__(self, model: str, *, input_tokens: int, output_tokens: int) -> Decimal | None:
        """Price in USD, or None when unknown."""
        ...


@dataclass(frozen=True, kw_only=True)
class Estimators:
    """Functions that estimate tokens and cost of a call outside the pipeline.

    Attributes:
        count_tokens: Tokens of a text for a model; None leaves them unknown.
        price: Price of tokens; None leaves the cost unknown.
        prepare: Loads the data that both need for a model, which is slow once a process; None means nothing
            to load.
    """

    count_tokens: CountTokens | None = None
    price: Price | None = None
    prepare: Callable[[str], None] | None = None


class Recorder:
    """Makes rows and appends them to the log."""

    def __init__(
        self,
        append: Callable[[Row], None],
        ids: Callable[[], str],
        clock: Clock,
        session_id: str,
        estimators: Estimators | None = None,
        *,
        content: bool = False,
    ) -> None:
        self._append = append
        self._ids = ids
        self._clock = clock
        self._session_id = session_id
        self._estimators = estimators or Estimators()
        self._content = content
        self._prepared: set[str] = set()

    def record(
        self,
        *,
        prompt: str,
        reply: str | Reply | None = None,
        model: str,
        provider: str = "unknown",
        operation: str = "chat",
        usage: Usage | None = None,
        cost_usd: Decimal | float | None = None,
        duration_s: float | None = None,
        error: BaseException | None = None,
        user: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Row:
        """Log a call that was made outside the pipeline.

        Args:
            prompt: The prompt.
            reply: The reply; None without one.
            model: Model name.
            provider: Provider name.
            operation: Name of the operation.
            usage: Tokens as reported; None means the reply's usage, or else estimates, marked as such. An
                impossible count, cost or duration is unknown in the row.
            cost_usd: Cost in USD; None means the cost by the price list.
            duration_s: Duration in seconds; None means unknown.
            error: The exception of a failed call, or None.
            user: User of the call, or None.
            tags: Labels by name.

        Returns:
            The row as written to the log.
        """
        text = reply.text if isinstance(reply, Reply) else reply
        tokens = _plausible(self._tokens(model, prompt, reply) if usage is None else usage)
        duration_s = duration_s if is_duration(duration_s) else None
        cost, cost_source = self._cost(model, tokens, cost_usd)
        row = Row(
            call_id=self._ids(),
            started_at=utc(self._clock.unix() - (duration_s or 0.0)),
            operation_name=encodable(operation),
            provider_name=encodable(provider),
            request_model=encodable(model),
            response_model=label(reply.model) if isinstance(reply, Reply) else None,
            cost_usd=cost,
            cost_source=cost_source,
            duration_s=duration_s,
            attempts=1,
            session_id=self._session_id,
            user=label(user),
            tags=tags_json(tags),
            prompt_sha256=prompt_digest([Message("user", prompt)]),
            prompt=storable_text(prompt) if self._content else None,
            reply=storable_text(text) if self._content and text is not None else None,
            input_tokens=tokens.input_tokens,
            output_tokens=tokens.output_tokens,
            cache_read_input_tokens=tokens.cache_read_input_tokens,
            cache_creation_input_tokens=tokens.cache_creation_input_tokens,
            reasoning_output_tokens=tokens.reasoning_output_tokens,
            tokens_source=tokens.source,
            **failure_fields(error),
        )
        self._append(row)
        return row

    def monitored(self, *, operation: str, model: str, provider: str = "unknown") -> Callable[[F], F]:
        """Decorate an async or plain function so that each of its calls is logged as a row.

        The prompt is its argument `prompt`, else its first text argument; the reply is its result, if that is
        a text or a `Reply`. Tokens of texts are estimates and marked as such.

        Args:
            operation: Operation name of the rows.
            model: Model name of the rows.
            provider: Provider name of the rows.
        """
        record = functools.partial(self.record, operation=operation, model=model, provider=provider)

        def decorate(function: F) -> F:
            @functools.wraps(function)
            async def watch_async(*arguments: Any, **named: Any) -> Any:
                if model not in self._prepared:
                    await asyncio.to_thread(self._prepare, model)
                with self._recording(record, arguments, named) as outcome:
                    outcome.append(await function(*arguments, **named))
                return outcome[0]

            @functools.wraps(function)
            def watch(*arguments: Any, **named: Any) -> Any:
                if model not in self._prepared:
                    self._prepare(model)
                with self._recording(record, arguments, named) as outcome:
                    outcome.append(function(*arguments, **named))
                return outcome[0]

            return cast(F, watch_async if inspect.iscoroutinefunction(function) else watch)

        return decorate

    def _prepare(self, model: str) -> None:
        """Load vocabulary and prices before a call begins.

        Loading them with the first row would block the loop and add to the durations of other calls in
        flight.
        """
        if self._estimators.prepare is not None:
            with contextlib.suppress(Exception):
                self._estimators.prepare(model)
        self._prepared.add(model)

    @contextlib.contextmanager
    def _recording(
        self, record: Callable[..., Row], arguments: tuple[Any, ...], named: Mapping[str, Any]
    ) -> Iterator[list[Any]]:
        started = self._clock.monotonic()
        outcome: list[Any] = []
        failure: BaseException | None = None
        try:
            yield outcome
        except BaseException as error:
            failure = error
            raise
        finally:
            result = outcome[0] if outcome else None
            # The user's function must not fail because its row cannot be made.
            with contextlib.suppress(Exception):
                record(
                    prompt=_find_prompt(arguments, named),
                    reply=result if isinstance(result, str | Reply) else None,
                    duration_s=self._clock.monotonic() - started,
                    error=failure,
                )

    def _tokens(self, model: str, prompt: str, reply: str | Reply | None) -> Usage:
        if isinstance(reply, Reply) and reply.usage.source != "unknown":
            return reply.usage
        count = self._estimators.count_tokens
        if count is None:
            return UNKNOWN_USAGE
        return Usage(
            input_tokens=count(prompt, model=model),
            output_tokens=None if reply is None else count(str(reply), model=model),
            source="estimate",
        )

    def _cost(self, model: str, usage: Usage, given: Decimal | float | None) -> tuple[Decimal | None, str]:
        if given is not None:
            cost = _read_usd(given)
            return cost, "unpriced" if cost is None else "provider"
        price = self._estimators.price
        if price is None or usage.input_tokens is None or usage.output_tokens is None:
            return None, "unpriced"
        counted = price(model, input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)
        return (None, "unpriced") if counted is None else (counted, "table")


def _find_prompt(arguments: tuple[Any, ...], named: Mapping[str, Any]) -> str:
    candidates = (named.get("prompt"), *arguments, *named.values())
    return next((value for value in candidates if isinstance(value, str)), "")


def _plausible(usage: Usage) -> Usage:
    """The usage with impossible counts set to None."""
    counts = {name: getattr(usage, name) for name in TOKEN_COUNTS}
    bad: dict[str, Any] = {name: None for name, value in counts.items() if not is_token_count(value)}
    return dataclasses.replace(usage, **bad)


def _read_usd(value: object) -> Decimal | None:
    """Read the cost of a call in USD; None for any impossible value."""
    try:
        cost = Decimal("NaN" if isinstance(value, bool) else str(value))
    except InvalidOperation:
        return None
    return cost if is_reply_cost(cost) else None
