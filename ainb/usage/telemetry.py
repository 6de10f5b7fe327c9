"""OpenTelemetry spans and metrics of calls, made from usage rows.

`ATTRIBUTES` has all names of attributes. Spans and metrics go to the tracer and meter providers that the
program has set up (``trace.set_tracer_provider``, ``opentelemetry-instrument``, …); ainb sets up none, and
imports opentelemetry only when telemetry is switched on.

Source: OpenTelemetry GenAI semantic conventions v1.41: client spans, ``gen_ai.client.*`` metrics and their
bucket boundaries.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from ainb.errors import ConfigError
from ainb.events import CallFinished, Event, Notice, Sink, silent
from ainb.messages import Call, Message
from ainb.redaction import redact
from ainb.usage.rows import Row, build_row, canonical_json, storable_text

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

_CONVENTIONS: Final[Mapping[str, str]] = {
    "operation_name": "gen_ai.operation.name",
    "provider_name": "gen_ai.provider.name",
    "request_model": "gen_ai.request.model",
    "response_model": "gen_ai.response.model",
    "finish_reason": "gen_ai.response.finish_reasons",
    "time_to_first_chunk_s": "gen_ai.response.time_to_first_chunk",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cache_read_input_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_creation_input_tokens": "gen_ai.usage.cache_creation.input_tokens",
    "reasoning_output_tokens": "gen_ai.usage.reasoning.output_tokens",
    "prompt": "gen_ai.input.messages",
    "reply": "gen_ai.output.messages",
    "error_type": "error.type",
    "http_status": "http.response.status_code",
    "user": "enduser.id",
}
# The span itself has these as its start, end and status.
_ELSEWHERE: Final = frozenset({"started_at", "duration_s", "error_message"})
# Span attribute by column of the row; "ainb." and the column where the conventions have no name.
ATTRIBUTES: Final[Mapping[str, str]] = {
    column: _CONVENTIONS.get(column, f"ainb.{column}") for column in Row._fields if column not in _ELSEWHERE
}
# Dimensions of the metrics: columns with few distinct values.
DIMENSIONS: Final = (
    "operation_name",
    "provider_name",
    "request_model",
    "response_model",
    "error_type",
    "status",
    "cache_hit",
    "coalesced",
    "replayed",
)
# Flags are set only when true.
_FLAGS: Final = frozenset({"cache_hit", "coalesced", "stale", "replayed"})
# Services that have another name in the conventions.
_PROVIDERS: Final[Mapping[str, str]] = {
    "azure": "azure.ai.openai",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
}
DURATION: Final = "gen_ai.client.operation.duration"
TOKENS: Final = "gen_ai.client.token.usage"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 - the name of an attribute
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
_DURATION_BUCKETS: Final = tuple(0.01 * 2**step for step in range(14))
_TOKEN_BUCKETS: Final = tuple(4**step for step in range(14))
_TOKEN_COLUMNS: Final = {"input": "input_tokens", "output": "output_tokens"}
_NANO: Final = 1_000_000_000


def attributes_of(row: Row) -> dict[str, Any]:
    """Attributes of a row's span; unknown values are left out."""
    found: dict[str, Any] = {}
    for column, name in ATTRIBUTES.items():
        value = getattr(row, column)
        if value is None or (column in _FLAGS and not value):
            continue
        write = _WRITERS.get(column)
        found[name] = value if write is None else write(value)
    return found


_WRITERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "provider_name": lambda name: _PROVIDERS.get(name, name),
    "finish_reason": lambda reason: (reason,),
    "cost_usd": float,
    "saved_usd": float,
    "provider_saved_usd": float,
}


def conversation(messages: Sequence[Message]) -> str:
    """Texts of messages, redacted, in the JSON form of the conventions; images are left out."""
    turns = [
        {"role": message.role, "parts": [{"type": "text", "content": storable_text(message.text)}]}
        for message in messages
    ]
    return canonical_json(turns).decode()


def server_of(url: str) -> dict[str, Any]:
    """Attributes of the server of a base URL; empty if it is not a URL."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return {}
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return {}
    return {SERVER_ADDRESS: parts.hostname, SERVER_PORT: port or {"http": 80, "https": 443}[parts.scheme]}


class Telemetry:
    """Exports a span and metrics of every finished call.

    The span is made after the call has ended, in the context variables of the caller, so that it is a child
    of the caller's span although the call ran on another thread.

    Args:
        session_id: The session that the spans belong to.
        content: Whether prompts and replies (redacted) go into the spans.
        sink: Receiver of one notice when export fails.
        tracer_provider: Provider of the tracer; None means the global one.
        meter_provider: Provider of the meter; None means the global one.

    Raises:
        ConfigError: opentelemetry is not installed.
    """

    def __init__(
        self,
        session_id: str,
        *,
        content: bool = False,
        sink: Sink = silent,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        try:
            from opentelemetry import metrics, trace
        except ImportError:
            raise ConfigError(
                "otel is on, but opentelemetry is not installed; "
                "pip install 'ainb-notebook[otel]', or set AINB_OTEL=0"
            ) from None
        self._trace = trace
        self._session_id = session_id
        self._content = content
        self._sink = sink
        self._failed = False
        self._tracer = trace.get_tracer("ainb", tracer_provider=tracer_provider)
        meter = metrics.get_meter("ainb", meter_provider=meter_provider)
        self._durations = meter.create_histogram(
            DURATION,
            unit="s",
            description="GenAI operation duration.",
            explicit_bucket_boundaries_advisory=_DURATION_BUCKETS,
        )
        self._tokens = meter.create_histogram(
            TOKENS,
            unit="{token}",
            description="Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=_TOKEN_BUCKETS,
        )

    def listener(self, event: Event) -> None:
        """Export a finished call; never raises."""
        if not isinstance(event, CallFinished):
            return
        with self._safely():
            row = build_row(event, session_id=self._session_id)
            if self._content:
                answer = None if event.reply is None else event.reply.text
                row = _with_content(row, event.call.request.messages, answer)
            self._export(row, server_of(_endpoint(event.call)))

    def take(self, row: Row) -> None:
        """Export a row of `Session.record` or `Session.monitored`; never raises."""
        with self._safely():
            asked = () if row.prompt is None else (Message("user", row.prompt),)
            bare = row._replace(prompt=None, reply=None)
            self._export(_with_content(bare, asked, row.reply) if self._content else bare, {})

    @contextlib.contextmanager
    def _safely(self) -> Iterator[None]:
        """Report an error of an exporter in one notice; the call continues."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - exporters may raise anything
            if self._failed:
                return
            self._failed = True
            text = redact(f"{type(error).__name__}: {error}")
            with contextlib.suppress(Exception):
                self._sink(
                    Notice(
                        f"calls cannot be exported to opentelemetry ({text}); the usage log has them", "otel"
                    )
                )

    def _export(self, row: Row, server: Mapping[str, Any]) -> None:
        attributes = attributes_of(row)
        attributes.update(server)
        self._make_span(row, attributes)
        labels = {name: attributes[name] for name in _DIMENSION_NAMES if name in attributes}
        if row.duration_s is not None:
            self._durations.record(row.duration_s, labels)
        if not (row.cache_hit or row.coalesced or row.replayed):  # else counted before
            for kind, column in _TOKEN_COLUMNS.items():
                count = getattr(row, column)
                if count is not None:
                    self._tokens.record(count, {**labels, TOKEN_TYPE: kind})

    def _make_span(self, row: Row, attributes: Mapping[str, Any]) -> None:
        trace = self._trace
        began = round(row.started_at.timestamp() * _NANO)
        asked = row.attempts > 0 and not row.replayed
        span = self._tracer.start_span(
            f"{row.operation_name} {row.request_model}",
            kind=trace.SpanKind.CLIENT if asked else trace.SpanKind.INTERNAL,
            attributes=attributes,
            start_time=began,
        )
        if row.status in _FAILED:
            span.set_status(trace.StatusCode.ERROR, row.error_message)
        span.end(began + round((row.duration_s or 0.0) * _NANO))


def _with_content(row: Row, asked: Sequence[Message], answer: str | None) -> Row:
    return row._replace(
        prompt=conversation(asked) if asked else None,
        reply=None if answer is None else conversation([Message("assistant", answer)]),
    )


def _endpoint(call: Call) -> str:
    """Base URL of a call; "" for one that was not sent."""
    if call.attempts == 0:
        return ""
    with contextlib.suppress(Exception):
        return call.resolve_endpoint()
    return ""


_FAILED: Final[Sequence[str]] = ("error", "rejected")
_DIMENSION_NAMES: Final = (*(ATTRIBUTES[column] for column in DIMENSIONS), SERVER_ADDRESS, SERVER_PORT)
