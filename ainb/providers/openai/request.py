"""Builds request bodies of chat completions by the rules of the model's family."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from ainb.messages import ReplySchema, Request
from ainb.model_rules import Family, family_of
from ainb.providers.http import Refusal
from ainb.providers.lessons.lesson import Lesson
from ainb.providers.lessons.reading import ANY_SCHEMA, NO_CACHE_LAYOUT, REFUSING_WORDS
from ainb.providers.remote.body import (
    Json,
    Wire,
    choose_effort,
    drop_sampling,
    extra_body,
    plain_parameters,
    schema_field,
    schema_lesson,
    schema_prompt,
    set_inside,
    with_clean_tools,
)
from ainb.providers.remote.cache_layout import cut, layout_for, mark_last, prefix_digest, shared_length
from ainb.providers.schemas.forms import BOUNDS_FREE, STRICT, as_given, rewrite
from ainb.providers.schemas.names import clean_name, clean_schema
from ainb.providers.schemas.wire import WireSchema, is_object, wrap

_NOT_PARAMETERS: Final = frozenset({"model", "messages", "stream", "stream_options"})
_NO_FLAGS: Final[Mapping[str, Any]] = {}
_EXPLICIT: Final[Mapping[str, Any]] = {"mode": "explicit"}
_BREAKPOINT: Final[Mapping[str, Any]] = {"prompt_cache_breakpoint": _EXPLICIT}
_ABOUT_SCHEMA = re.compile(
    r"response[_ ]format|json[_ ]schema|json[_ ]object|structured output|schema", re.IGNORECASE
)
_UNAVAILABLE = re.compile(
    r"unavailable|must be|invalid|not implemented|too many states|too complex|too large", re.IGNORECASE
)
_ABOUT_THIS_SCHEMA = re.compile(
    r"invalid (?:json )?schema|too many states|too complex|too large", re.IGNORECASE
)
_OF_THIS_SCHEMA = frozenset({"invalid_json_schema", "invalid_schema"})
# The model's output did not match the schema: the service does accept schemas.
_WROTE_ANOTHER = frozenset({"json_validate_failed"})


def build(
    request: Request,
    service: str,
    lessons: Sequence[Lesson] = (),
    *,
    flags: Mapping[str, Any] = _NO_FLAGS,
    cache_key: Callable[[str], str] | None = None,
) -> Wire:
    """Build the outgoing body.

    Args:
        request: The request.
        service: Service name, which selects the rules of families.
        lessons: Lessons from earlier refusals of this model.
        flags: ``stream`` and ``stream_options`` for a streamed reply.
        cache_key: Makes the ``prompt_cache_key`` of a prefix; None sends none.

    Raises:
        ConfigError: ``extra_body`` is invalid.
    """
    wire = Wire(
        {
            "model": request.model,
            "messages": [{"role": item.role, "content": item.content} for item in request.messages],
        }
    )
    if request.parameters:
        wire.body.update(
            plain_parameters(with_clean_tools(wire, request.parameters), without=_NOT_PARAMETERS)
        )
        _apply_rules(wire, request, family_of(service, request.model), service)
    _lay_out(wire, request, service, lessons, cache_key)
    if request.schema is not None:
        _ask_for(
            wire,
            request.schema,
            schema_lesson(lessons, request.schema) or family_of(service, request.model).schema,
        )
    if "extra_body" in request.parameters:
        wire.body.update(extra_body(request))
    wire.body.update(flags)
    if lessons:
        wire.learn(lessons)
        if flags and "stream" not in wire.body:
            wire.body.pop("stream_options", None)
    return wire


def _lay_out(
    wire: Wire,
    request: Request,
    service: str,
    lessons: Sequence[Lesson],
    cache_key: Callable[[str], str] | None,
) -> None:
    """Mark the end of the shared prefix, or add a cache key for models that cache automatically."""
    cache = layout_for(service, request)
    if cache is None or request.shared is None or any(item.field == NO_CACHE_LAYOUT for item in lessons):
        return
    if not cache.is_marked:
        if cache_key is not None:
            wire.body["prompt_cache_key"] = cache_key(prefix_digest(request))
            wire.cache = cache
        return
    messages, at = wire.body["messages"], request.shared.at
    if length := shared_length(request):
        messages[at]["content"] = cut(messages[at]["content"], length, _BREAKPOINT)
    elif at > 0 and (marked := mark_last(messages[at - 1]["content"], _BREAKPOINT)):
        messages[at - 1]["content"] = marked
    else:
        return
    # Implicit mode would also write the end of every row's message, at more than the input price.
    wire.body["prompt_cache_options"] = dict(_EXPLICIT)
    wire.cache = cache


def _apply_rules(wire: Wire, request: Request, family: Family, service: str) -> None:
    effort = choose_effort(wire, family, request)
    needed = family.tools_need
    if needed and wire.body.get("tools") and family.effective(effort) != needed:
        wire.note(f"{request.model} takes tools only with effort {needed}; {needed} was sent")
        effort = needed
    if effort is not None and service == "openrouter":  # which has one object for all thinking options
        set_inside(wire.body, "reasoning", effort=effort)
    elif effort is not None:
        wire.body["reasoning_effort"] = effort
    drop_sampling(wire, family, request.model, effort)
    for name, other in family.renamed:
        if name in wire.body:
            value = wire.body.pop(name)
            wire.body.setdefault(other, value)


def _ask_for(wire: Wire, schema: ReplySchema, form: str) -> None:
    """Request JSON of a schema in a form that the model accepts."""
    shape = schema.json_schema
    if form in {"json_object", "prompt"}:
        wrapped = not is_object(shape)
        prompted = wrap(shape) if wrapped else shape
        wire.schema = WireSchema(schema=dict(prompted), wrapped=wrapped, nullable=True)
        wire.body["messages"] = _with_prompt(wire.body["messages"], schema_prompt(prompted))
        if form == "json_object":
            wire.body["response_format"] = {"type": "json_object"}
        return
    if form == "loose":
        clean = clean_schema(shape)
        wire.schema = WireSchema(schema=dict(clean.schema), keys=clean) if clean.keys else None
        wire.body["response_format"] = response_format(clean.schema)
        return
    found = None if form == "unstrict" else rewrite(shape, STRICT if form == "json_schema" else BOUNDS_FREE)
    strict = found is not None
    wire.schema = found or as_given(shape)
    sent = wire.schema.schema
    wire.body["response_format"] = _response_format(sent, strict=strict, name=_name(shape) or schema.name)


def _with_prompt(messages: list[Json], text: str) -> list[Json]:
    """The messages with one more instruction, at the end of the system message if there is one."""
    if (
        messages
        and messages[0]["role"] in {"system", "developer"}
        and isinstance(messages[0]["content"], str)
    ):
        first = {**messages[0], "content": f"{messages[0]['content']}\n\n{text}"}
        return [first, *messages[1:]]
    return [{"role": "system", "content": text}, *messages]


def response_format(schema: Mapping[str, Any]) -> Json:
    """The parameter that requests JSON of this schema unchanged; strict if strict mode accepts the schema."""
    return _response_format(schema, strict=is_strict(schema), name=_name(schema))


def _response_format(schema: Mapping[str, Any], *, strict: bool, name: str) -> Json:
    return {
        "type": "json_schema",
        "json_schema": {"name": clean_name(name), "schema": schema, "strict": strict},
    }


def _name(schema: Mapping[str, Any]) -> str:
    title = schema.get("title")
    return title if isinstance(title, str) else ""


def is_strict(schema: Any) -> bool:
    """Whether every object in the schema requires all its properties and allows no others.

    Source: OpenAI, "Structured outputs", supported schemas.
    """
    if isinstance(schema, list | tuple):
        return all(is_strict(item) for item in schema)
    if not isinstance(schema, Mapping):
        return True
    if schema.get("type") == "object":
        properties = schema.get("properties")
        required = schema.get("required")
        if not isinstance(properties, Mapping) or not isinstance(required, list | tuple):
            return False
        if schema.get("additionalProperties") is not False or set(map(str, required)) != set(properties):
            return False
    return all(is_strict(item) for item in schema.values())


def read_schema_lesson(refused: Refusal, wire: Wire, schema: ReplySchema) -> Lesson | None:
    """How to request a schema next time if the refusal is about the form of that request, otherwise None."""
    form = wire.body.get("response_format")
    kind = form.get("type") if isinstance(form, Mapping) else None
    if kind is None or refused.code in _WROTE_ANOTHER:
        return None
    named = (refused.param or "").startswith("response_format") or _ABOUT_SCHEMA.search(refused.said)
    if not named or not (REFUSING_WORDS.search(refused.said) or _UNAVAILABLE.search(refused.said)):
        return None
    if kind == "json_object":
        return Lesson(field=ANY_SCHEMA, value="prompt")
    if refused.code in _OF_THIS_SCHEMA or _ABOUT_THIS_SCHEMA.search(refused.said):
        strict = form["json_schema"].get("strict") if isinstance(form, Mapping) else False
        return Lesson(field=schema_field(schema), value="unstrict" if strict else "json_object")
    return Lesson(field=ANY_SCHEMA, value="json_object")
