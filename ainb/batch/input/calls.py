"""Builds the call of a row from a prompt template or for a function of one item."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from types import CodeType
from typing import Any

from ainb.batch.input.cells import check_fields
from ainb.batch.input.shared_prefix import shared_prefix
from ainb.batch.input.template import Template
from ainb.batch.options import MAP_OPTIONS, BatchOptions
from ainb.batch.results.row_result import RowResult
from ainb.core import CALL_OPTIONS, Core
from ainb.errors import ConfigError, InvalidReplyError
from ainb.event_loop import is_plain
from ainb.messages import Call, CallOptions, Delivery, Message, Reply, Request
from ainb.pipeline.answer import Schema
from ainb.pipeline.cache import reply_key
from ainb.providers.function import NOTHING, ItemProvider, fields_of, text_of
from ainb.providers.parameters import check_parameters
from ainb.redaction import redact
from ainb.suggestions import closest

_REQUEST_FIELDS = [item.name for item in dataclasses.fields(Request) if item.name != "messages"]


class TemplateCalls:
    """Calls of a prompt template: all rows have the same request except for the last message.

    Args:
        core: Core of the session.
        template: The prompt.
        given: Keyword arguments of ``Session.ask``.
        schema: Schema of the replies; None without one.
        options: Options of the batch.

    Attributes:
        title: The template, for display.
        model: ``provider:model``.
        uses: Columns that a row must have.
        identity: Hash of the work; with the session's home and the notebook it identifies a run.
        schema: Schema of the replies; None without one.
        fields: Columns of the replies' fields and their dtype.
        slots: Number of calls that the model answers at the same time; None when unknown.
        free: Whether calls cost nothing.
        fallback: Models that may answer instead of the first.
        rows_per_call: Number of rows in one call.
        delivery: Value of the log's column ``delivery``; "batch" when a cassette replaces batch jobs.

    Raises:
        ConfigError: The model or an option is invalid.
    """

    def __init__(
        self,
        core: Core,
        template: Template,
        given: dict[str, Any],
        *,
        schema: Schema | None,
        options: BatchOptions,
    ) -> None:
        check_parameters(
            given.keys() - CALL_OPTIONS,
            service=core.find_model(given.get("model"))[0],
            options=CALL_OPTIONS | MAP_OPTIONS,
        )
        # One call is built in full; the calls of rows differ in the last message only.
        first = core.make_call("a row's prompt comes here", **given)
        self.template = template
        self.request = dataclasses.replace(first.request, schema=schema, rows=1)
        if options.prompt_cache == "auto":
            self.request = dataclasses.replace(
                self.request, shared=shared_prefix(self.request, template.prefix, first.options.fallback)
            )
        self.title = redact(" ".join(template.text.split()))
        self.model = f"{self.request.provider}:{self.request.model}"
        self.uses: tuple[str, ...] | None = template.uses
        self.identity: tuple[Any, ...] = (
            template.text,
            _request_identity(self.request),
            names_digest(template),
            *([options.rows_per_call] if options.rows_per_call > 1 else []),
        )
        self.schema = schema
        self.fields: Mapping[str, str] | None = {} if schema is None else schema.fields
        self.slots: int | None = getattr(first.provider, "slots", None)
        self._before = self.request.messages[:-1]
        self._fields: dict[str, Any] = {name: getattr(self.request, name) for name in _REQUEST_FIELDS}
        self.free = first.provider.free
        self.fallback = first.options.fallback
        self.rows_per_call = options.rows_per_call
        self._provider, self._options = first.provider, first.options
        self._endpoint, self._account = first.resolve_endpoint(), first.resolve_account()
        self.delivery: Delivery = "live"

    def result(self, reply: Reply) -> RowResult:
        """Result of a row: the reply with the fields of its schema.

        Raises:
            Exception: A serialiser of the user's model failed.
        """
        return RowResult.of_reply(reply, _schema_fields(self.schema, reply))

    def is_plain_row(self, row: Mapping[str, Any]) -> bool:
        """Whether the used cells are plain values, so that `make` runs no user code, which may block."""
        return type(row) is dict and all(is_plain(row.get(name)) for name in self.template.uses)

    def is_plain_reply(self, reply: Reply) -> bool:
        """Whether the schema has no user functions, so that `result` runs no user code."""
        return self.schema is None or not self.schema.has_functions

    def make(self, row: Mapping[str, Any], *, run_id: str) -> Call:
        """The call of a row; its `row_key` is the hash of its request.

        Raises:
            InvalidPromptError: A used cell is empty or missing.
        """
        prompt, values = self.template.fill(row)
        return self.make_from(prompt, values, run_id=run_id)

    def sample(self, *, run_id: str = "") -> Call:
        """A call with everything but the prompt of a row."""
        return self.make_from("a row's prompt comes here", run_id=run_id)

    def make_from(self, prompt: str, values: tuple[str, ...] | None = None, *, run_id: str) -> Call:
        """Build the call of a filled prompt.

        Args:
            prompt: The last message.
            values: Texts in it that come from the row; None when unknown.
            run_id: Id of the run.
        """
        messages = (*self._before, Message("user", prompt))
        self._options = _with_run(self._options, run_id)
        call = Call(
            request=Request(messages=messages, **self._fields),
            provider=self._provider,
            options=self._options,
            endpoint=self._endpoint,
            account=self._account,
            values=values,
            delivery=self.delivery,
            rows_per_call=self.rows_per_call,
        )
        call.row_key = reply_key(call)
        return call


class FunctionCalls:
    """Calls of a user function; the function gets the item itself.

    Args:
        core: Core of the session.
        function: Async or plain function of one item.
        given: Options of `CallOptions`, and ``model`` as the name in the usage log.
        schema: Schema of the replies; None without one.

    Attributes:
        title: Name of the function, for display.
        model: Name in the usage log.
        uses: None, because the item is passed on as a whole.
        identity: As for `TemplateCalls`.
        schema: As for `TemplateCalls`.
        fields: Columns of the replies' fields and their dtype; None when the replies have their own.
        slots: None, because it is unknown.

    Raises:
        ConfigError: An option applies to models only.
    """

    uses: tuple[str, ...] | None = None
    slots: int | None = None

    def __init__(
        self, core: Core, function: Callable[..., Any], given: dict[str, Any], *, schema: Schema | None
    ) -> None:
        digest = hashlib.sha256(function_identity(function).encode()).hexdigest()[:12]
        self.title = str(getattr(function, "__qualname__", type(function).__name__))
        self.model: str = given.pop("model", None) or self.title
        self.identity: tuple[Any, ...] = (
            self.title,
            digest,
            None if schema is None else schema.json_schema,
        )
        self.schema = schema
        self.fields: Mapping[str, str] | None = None if schema is None else schema.fields
        self._provider = core.function_provider(function, name=f"{self.title}#{digest}")
        call_options = {name: value for name, value in given.items() if name in core.call_option_names}
        unknown = given.keys() - call_options.keys()
        if unknown:
            name = min(unknown)
            hint = closest(name, MAP_OPTIONS | core.call_option_names)
            if hint.startswith("did you mean"):
                raise ConfigError(f"{name!r} is not an option; {hint}")
            raise ConfigError(f"{name!r} is an option of a model; a function takes the item alone")
        self._options = core.call_options({"cache": "off", **call_options})

    def result(self, reply: Reply) -> RowResult:
        """Result of a row: fields of a returned mapping, dataclass or pydantic model, otherwise the object.

        Raises:
            Exception: A serialiser of the user's model failed.
        """
        if self.schema is not None:
            return RowResult.of_reply(reply, _schema_fields(self.schema, reply))
        value = reply.parsed
        if value is NOTHING:
            return dataclasses.replace(RowResult.of_reply(reply), reply=None)
        fields = fields_of(value)
        if value is not None and text_of(value) != reply.text:
            # A rule changed the text, and the object still holds the removed content.
            value, fields = None, None if fields is None else json.loads(reply.text)
        return RowResult.of_reply(reply, fields, value if fields is None else None)

    def is_plain_row(self, row: Any) -> bool:
        """Whether the item is a plain value."""
        return is_plain(row)

    def is_plain_reply(self, reply: Reply) -> bool:
        """Whether the returned object is a plain value."""
        return is_plain(reply.parsed) and (self.schema is None or not self.schema.has_functions)

    def sample(self) -> Call:
        """A call that is never sent."""
        return self.make("an item comes here", run_id="")

    def make(self, row: Any, *, run_id: str) -> Call:
        """Wrap the item."""
        text = row if isinstance(row, str) else json.dumps(row, default=str, ensure_ascii=False)
        request = Request(
            provider="function",
            model=self.model,
            messages=(Message("user", text),),
            schema=self.schema,
        )
        self._options = _with_run(self._options, run_id)
        call = Call(request=request, provider=ItemProvider(self._provider, row), options=self._options)
        call.row_key = reply_key(call)
        return call


# Builds one call per row.
RowCalls = TemplateCalls | FunctionCalls


def _schema_fields(schema: Schema | None, reply: Reply) -> dict[str, Any] | None:
    if schema is None:
        return None
    plain = schema.dump(reply.parsed)
    try:
        return check_fields(plain, schema.fields)
    except ValueError as error:
        raise InvalidReplyError(f"the reply cannot stand in a table: {error}", text=reply.text) from None


def names_digest(template: Template) -> str:
    """Digest of the notebook's values in a prompt: another value makes another run."""
    return hashlib.sha256(json.dumps(template.constants).encode()).hexdigest() if template.is_filled else ""


def function_identity(function: Callable[..., Any]) -> str:
    """Text that is equal for equal functions: the name and, if it can be read, the source."""
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):  # typed at a prompt, or unpickled in another process
        source = _code_text(getattr(function, "__code__", None))
    return f"{getattr(function, '__qualname__', repr(function))}\n{source}"


def _code_text(code: Any) -> str:
    """Bytecode and constants of a function, the same in every process."""
    if not isinstance(code, CodeType):
        return ""
    values = [_code_text(value) if isinstance(value, CodeType) else repr(value) for value in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {values}"


def _with_run(options: CallOptions, run_id: str) -> CallOptions:
    return options if options.batch_id == run_id else dataclasses.replace(options, batch_id=run_id)


def _request_identity(request: Request) -> list[Any]:
    schema = None if request.schema is None else request.schema.json_schema
    head = [[message.role, message.content] for message in request.messages[:-1]]
    return [request.provider, request.model, dict(request.parameters), request.api_base, schema, head]
