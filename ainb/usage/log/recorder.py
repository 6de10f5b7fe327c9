"""Rows for calls that did not go through the pipeline: made elsewhere and recorded, or made by a function that is monitored."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol, TypeVar, cast

from ainb.clock import Clock
from ainb.messages import UNKNOWN_USAGE, Message, Reply, Usage
from ainb.redaction.filter import encodable
from ainb.usage.rows import Row, failure_fields, label, prompt_digest, tags_of, usage_fields, utc, written

F = TypeVar("F", bound=Callable[..., Any])


class CountTokens(Protocol):
    """``ainb.count_tokens``, or a function of that shape."""

    def __call__(self, prompt: str, /, model: str) -> int:
        """Tokens of a text."""
        ...


class Price(Protocol):
    """``ainb.price``, or a function of that shape."""

    def __call__(self, model: str, *, input_tokens: int, output_tokens: int) -> Decimal | None:
        """US dollars, or None when no price is known."""
        ...


@dataclass(frozen=True, kw_only=True)
class Estimators:
    """How tokens and money of a call made elsewhere are estimated.

    Attributes:
        count_tokens: Tokens of a text for a model; None leaves them unknown.
        price: What so many tokens cost; None leaves it unknown.
    """

    count_tokens: CountTokens | None = None
    price: Price | None = None


class Recorder:
    """Makes rows and hands them to the log.

    Args:
        append: Where rows go.
        ids: Where call ids come from.
        clock: Where time comes from.
        session_id: The session that the rows belong to.
        estimators: How tokens and money are estimated; None leaves them unknown.
        content: Whether prompts and replies (redacted) are kept in the row.
    """

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
        """Log a call that was made elsewhere.

        Args:
            prompt: What was sent.
            reply: What came back; None when nothing did.
            model: Who was asked.
            provider: Where.
            operation: Name of the operation.
            usage: Tokens as reported; None means the reply's, or estimates that are marked so.
            cost_usd: What it cost in US dollars; None means ask the price table.
            duration_s: Seconds it took; None means unknown.
            error: What it raised, or None.
            user: On whose behalf, or None.
            tags: Free labels.

        Returns:
            The row as it goes into the log.
        """
        text = reply.text if isinstance(reply, Reply) else reply
        tokens = self._tokens(model, prompt, reply) if usage is None else usage
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
            tags=tags_of(tags),
            prompt_sha256=prompt_digest([Message("user", prompt)]),
            prompt=written(prompt) if self._content else None,
            reply=written(text) if self._content and text is not None else None,
            **usage_fields(tokens),
            **failure_fields(error),
        )
        self._append(row)
        return row

    def monitored(self, *, operation: str, model: str, provider: str = "unknown") -> Callable[[F], F]:
        """Decorate an async or plain function so that each call of it is a row.

        The prompt is its argument `prompt`, else its first text argument; the reply is what it returns when that is a text or a
        `Reply`. Tokens of texts are estimates and marked so.

        Args:
            operation: Operation name of the rows.
            model: Model name of the rows.
            provider: Provider name of the rows.
        """
        record = functools.partial(self.record, operation=operation, model=model, provider=provider)

        def decorate(function: F) -> F:
            @functools.wraps(function)
            async def watch_async(*arguments: Any, **named: Any) -> Any:
                with self._watching(record, arguments, named) as outcome:
                    outcome.append(await function(*arguments, **named))
                return outcome[0]

            @functools.wraps(function)
            def watch(*arguments: Any, **named: Any) -> Any:
                with self._watching(record, arguments, named) as outcome:
                    outcome.append(function(*arguments, **named))
                return outcome[0]

            return cast(F, watch_async if inspect.iscoroutinefunction(function) else watch)

        return decorate

    @contextlib.contextmanager
    def _watching(
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
            # The person's function is not to fail because its row cannot be made.
            with contextlib.suppress(Exception):
                record(
                    prompt=_prompt_among(arguments, named),
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
            return Decimal(str(given)), "provider"
        price = self._estimators.price
        if price is None or usage.input_tokens is None or usage.output_tokens is None:
            return None, "unpriced"
        cost = price(model, input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)
        return (None, "unpriced") if cost is None else (cost, "table")


def _prompt_among(arguments: tuple[Any, ...], named: Mapping[str, Any]) -> str:
    candidates = (named.get("prompt"), *arguments, *named.values())
    return next((value for value in candidates if isinstance(value, str)), "")
