"""Builds request bodies of the Messages protocol."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ainb.errors import ConfigError
from ainb.messages import Message, ReplySchema, Request
from ainb.model_rules import Family, asked_effort, family_of, thinking_tokens
from ainb.providers.http import Refusal
from ainb.providers.lessons.lesson import Lesson
from ainb.providers.lessons.reading import ANY_SCHEMA, NO_CACHE_LAYOUT, REFUSING_WORDS
from ainb.providers.remote.body import (
    Wire,
    choose_effort,
    drop_sampling,
    extra_body,
    schema_field,
    schema_lesson,
    set_inside,
    with_clean_tools,
)
from ainb.providers.remote.cache_layout import cut, layout_for, mark_last, shared_length
from ainb.providers.schemas.forms import ANTHROPIC, as_given, rewrite
from ainb.providers.schemas.keys import mapping
from ainb.providers.schemas.names import clean_name

Json = dict[str, Any]

# Parameters of the OpenAI protocol without a counterpart, which the service would refuse.
DROPPED = frozenset({
    "frequency_penalty", "logit_bias", "logprobs", "n", "parallel_tool_calls", "presence_penalty",
    "response_format", "seed", "top_logprobs",
})  # fmt: skip
_TRANSLATED = frozenset({
    "cache_control", "effort", "extra_body", "extra_headers", "max_completion_tokens", "max_tokens",
    "messages", "model", "reasoning_effort", "stop", "stream", "stream_options", "tool_choice", "tools",
    "user",
})  # fmt: skip
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,", re.ASCII)
_NO_FLAGS: Final[Mapping[str, Any]] = {}
_ABOUT_THIS_SCHEMA = re.compile(
    r"schema is too complex|output_config\.format\.schema|too many|compil", re.IGNORECASE
)
_ABOUT_FORMAT = re.compile(r"output_config|output[_ ]format|structured output|json_schema", re.IGNORECASE)
_CHOICES = {"auto": "auto", "none": "none", "required": "any"}


def build(
    request: Request,
    lessons: Sequence[Lesson] = (),
    *,
    flags: Mapping[str, Any] = _NO_FLAGS,
    cache_hour: bool = False,
) -> Wire:
    """Build the outgoing body.

    Args:
        request: The request.
        lessons: Lessons from earlier refusals of this model.
        flags: ``stream`` for a streamed reply.
        cache_hour: Keep a marked prefix for an hour instead of five minutes.

    Raises:
        ConfigError: An image or ``extra_body`` is given in a form that cannot be sent.
    """
    given = request.parameters
    family = family_of("anthropic", request.model)
    body: Json = {
        "model": request.model,
        "max_tokens": _limit(request),
        "messages": [_turn(item) for item in request.messages if not _is_system(item)],
    }
    system = "\n\n".join(item.text for item in request.messages if _is_system(item))
    if system:
        body["system"] = system
    wire = Wire(body)
    if given:
        dropped = sorted(DROPPED & given.keys())
        wire.notes += [f"{request.provider} does not accept {name}; it was left out" for name in dropped]
        _add_parameters(body, with_clean_tools(wire, given))
        _add_thinking(wire, request, family)
        drop_sampling(wire, family, request.model, None)
        thinks = mapping(body.get("thinking")).get("type") in {"enabled", "adaptive"}
        if thinks and family.sampling == "always":
            _drop_while_thinking(wire, family)
    if request.schema is not None:
        _add_schema(wire, request.schema, schema_lesson(lessons, request.schema) or family.schema)
    _lay_out(wire, request, lessons, cache_hour=cache_hour)
    if given.get("cache_control"):
        _mark(body, given["cache_control"])
    if "extra_body" in given:
        body.update(extra_body(request))
    body.update(flags)
    if lessons:
        wire.learn(lessons)
    return wire


def _lay_out(wire: Wire, request: Request, lessons: Sequence[Lesson], *, cache_hour: bool) -> None:
    """Mark the last block that all rows share for the prompt cache."""
    cache = layout_for("anthropic", request)
    if cache is None or request.shared is None or any(item.field == NO_CACHE_LAYOUT for item in lessons):
        return
    mark = {"cache_control": {"type": "ephemeral", "ttl": "1h"} if cache_hour else {"type": "ephemeral"}}
    body, before = wire.body, request.messages[: request.shared.at]
    turns = [item for item in before if not _is_system(item)]
    if length := shared_length(request):
        turn = body["messages"][len(turns)]
        turn["content"] = cut(turn["content"], length, mark)
    elif turns and (marked := mark_last(body["messages"][len(turns) - 1]["content"], mark)):
        body["messages"][len(turns) - 1]["content"] = marked
    elif not turns and (marked := mark_last(body.get("system"), mark)):
        body["system"] = marked
    else:
        return
    wire.cache = cache


def _limit(request: Request) -> int:
    """The output limit, which the protocol requires; the default leaves room for thinking, which counts."""
    given = request.parameters
    asked = given.get("max_tokens") or given.get("max_completion_tokens")
    return asked or request.default_output_tokens + thinking_tokens("anthropic", request.model, given)


def _add_thinking(wire: Wire, request: Request, family: Family) -> None:
    """Add the effort in the protocol's form, and a kind of thinking that the model accepts."""
    body, kinds = wire.body, family.thinking
    if asked_effort(request.parameters) == "none" and kinds is not None and "disabled" in kinds:
        body.setdefault("thinking", {"type": "disabled"})
    else:
        level = choose_effort(wire, family, request)
        if level is not None:
            set_inside(body, "output_config", effort=level)
    kind = mapping(body.get("thinking")).get("type")
    if kind == "disabled" and family.default_effort != "none":
        _bound_effort(wire)
    if kinds is None or kind is None or kind in kinds:
        return
    if kind == "enabled" and "adaptive" in kinds:
        body["thinking"] = {"type": "adaptive"}
        wire.note(
            f"{request.model} does not accept a thinking budget; adaptive thinking was sent (see --effort)"
        )
    else:
        del body["thinking"]
        wire.note(f"{request.model} does not accept thinking of type {kind}; it was left out")


def _bound_effort(wire: Wire) -> None:
    """Lower an effort above high for a request without thinking: such models only accept up to high."""
    effort = mapping(wire.body.get("output_config")).get("effort")
    if effort in {"xhigh", "max"}:
        set_inside(wire.body, "output_config", effort="high")
        wire.note(f"{wire.body['model']} does not accept effort {effort} without thinking; high was sent")


def _drop_while_thinking(wire: Wire, family: Family) -> None:
    """Drop sampling parameters while the model thinks: it then accepts temperature 1 alone."""
    for name in sorted(family.sampling_names & wire.body.keys() - {"top_p"}):
        if wire.body.pop(name) != 1:
            wire.note(f"{wire.body['model']} does not accept {name} with thinking; it was left out")


def _is_system(item: Message) -> bool:
    return item.role in {"system", "developer"}


def _turn(item: Message) -> Json:
    role = "assistant" if item.role == "assistant" else "user"
    if isinstance(item.content, str):
        return {"role": role, "content": item.content}
    return {"role": role, "content": [_part(part) for part in item.content]}


def _part(part: Mapping[str, Any]) -> Json:
    if part.get("type") != "image_url":
        return dict(part)
    picture = part.get("image_url")
    url = picture.get("url") if isinstance(picture, Mapping) else picture
    if not isinstance(url, str):
        raise ConfigError("a picture's image_url must hold a url, such as data:image/png;base64,…")
    return {"type": "image", "source": _source(url)}


def _source(url: str) -> Json:
    found = _DATA_URL.match(url)
    if found:
        return {"type": "base64", "media_type": found.group(1), "data": url[found.end() :]}
    if url.startswith(("http://", "https://")):
        return {"type": "url", "url": url}
    raise ConfigError("a picture's url must be data:image/…;base64,… or begin with https://")


def _add_parameters(body: Json, given: Mapping[str, Any]) -> None:
    body.update((name, value) for name, value in given.items() if name not in _TRANSLATED | DROPPED)
    stop = given.get("stop")
    if stop:
        body["stop_sequences"] = [stop] if isinstance(stop, str) else list(stop)
    if given.get("user"):
        body["metadata"] = {"user_id": given["user"]}
    if given.get("tools"):
        body["tools"] = [_tool(tool) for tool in given["tools"]]
    if "tool_choice" in given:
        body["tool_choice"] = _choice(given["tool_choice"])


def _tool(tool: Mapping[str, Any]) -> Json:
    function = tool.get("function")
    if tool.get("type") != "function" or not isinstance(function, Mapping):
        return dict(tool)
    translated = {
        "name": function.get("name"),
        "input_schema": function.get("parameters") or {"type": "object"},
    }
    if function.get("description"):
        translated["description"] = function["description"]
    return translated


def _choice(choice: Any) -> Any:
    if isinstance(choice, str):
        return {"type": _CHOICES.get(choice, choice)}
    function = choice.get("function") if isinstance(choice, Mapping) else None
    return {"type": "tool", "name": function.get("name")} if isinstance(function, Mapping) else choice


def _add_schema(wire: Wire, schema: ReplySchema, form: str) -> None:
    """Request JSON of a schema by the model's structured output, otherwise as the input of a tool.

    The tool is offered and not forced: thinking models refuse a forced tool, and a reply in plain text is
    parsed as well.
    """
    body, shape = wire.body, schema.json_schema
    found = rewrite(shape, ANTHROPIC) if form != "tool" else None
    if found is not None:
        wire.schema = found
        set_inside(body, "output_config", format={"type": "json_schema", "schema": found.schema})
        return
    wire.schema = as_given(shape, nullable=True)
    name = clean_name(schema.name)
    tool = {"name": name, "description": "Call this with the answer.", "input_schema": wire.schema.schema}
    body["tools"] = [*body.get("tools", ()), tool]
    body["tool_choice"] = {"type": "auto"}


def read_schema_lesson(refused: Refusal, wire: Wire, schema: ReplySchema) -> Lesson | None:
    """How to request a schema next time if the refusal is about the form of that request, otherwise None."""
    if "format" not in mapping(wire.body.get("output_config")):
        return None
    if _ABOUT_THIS_SCHEMA.search(refused.said):
        return Lesson(field=schema_field(schema), value="tool")
    about = _ABOUT_FORMAT.search(refused.said)
    return Lesson(field=ANY_SCHEMA, value="tool") if about and REFUSING_WORDS.search(refused.said) else None


def _mark(body: Json, wish: Any) -> None:
    """Mark the system message and the last turn for the prompt cache.

    The service stores everything before a mark and reads it at a tenth of the price.
    """
    mark = {"cache_control": dict(wish) if isinstance(wish, Mapping) else {"type": "ephemeral"}}
    if "system" in body:
        body["system"] = mark_last(body["system"], mark) or body["system"]
        if len(body["messages"]) == 1:  # a single question is rarely sent again
            return
    if body["messages"]:
        last = body["messages"][-1]
        last["content"] = mark_last(last["content"], mark) or last["content"]
