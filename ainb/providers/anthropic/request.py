"""A request in the shape of the Messages protocol."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from ainb.errors import ConfigError
from ainb.messages import Message, ReplySchema, Request

Json = dict[str, Any]

# The protocol requires a limit; a request that names none gets this one.
MAX_TOKENS: Final = 4_096
# Parameters of the OpenAI protocol that have no counterpart and that the service would refuse.
DROPPED = frozenset(
    {
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "n",
        "parallel_tool_calls",
        "presence_penalty",
        "reasoning_effort",
        "response_format",
        "seed",
        "top_logprobs",
    }
)
_TRANSLATED = frozenset(
    {
        "cache_control",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "model",
        "stop",
        "stream",
        "stream_options",
        "tool_choice",
        "tools",
        "user",
    }
)
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,", re.ASCII)
_CHOICES = {"auto": "auto", "none": "none", "required": "any"}


def build_body(request: Request) -> Json:
    """The whole body but for the stream flag.

    Raises:
        ConfigError: A picture is given in a way that cannot be sent.
    """
    given = request.parameters
    body: Json = {
        "model": request.model,
        "max_tokens": given.get("max_tokens") or given.get("max_completion_tokens") or MAX_TOKENS,
        "messages": [_turn(item) for item in request.messages if not _is_system(item)],
    }
    system = "\n\n".join(item.text for item in request.messages if _is_system(item))
    if system:
        body["system"] = system
    if given:
        _add_parameters(body, given)
    if request.schema is not None:
        _add_schema(body, request.schema)
    if given.get("cache_control"):
        _mark(body, given["cache_control"])
    return body


def wraps(schema: Mapping[str, Any]) -> bool:
    """Whether a schema is no object and goes out as the one argument of a tool, which only takes objects."""
    return schema.get("type") != "object" and "properties" not in schema


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


def _add_schema(body: Json, schema: ReplySchema) -> None:
    """Ask for the reply as the input of a tool; with extended thinking the service lets nobody force a tool."""
    shape = dict(schema.json_schema)
    if wraps(shape):
        definitions = {name: shape.pop(name) for name in ("$defs",) if name in shape}
        shape = {"type": "object", "properties": {"value": shape}, "required": ["value"], **definitions}
    tool = {"name": schema.name, "description": "Gives the answer.", "input_schema": shape}
    body["tools"] = [*body.get("tools", ()), tool]
    thinking = body.get("thinking")
    forced = not isinstance(thinking, Mapping) or thinking.get("type") == "disabled"
    body["tool_choice"] = {"type": "tool", "name": schema.name} if forced else {"type": "auto"}


def _mark(body: Json, wish: Any) -> None:
    """Mark the system message and the last turn: what stands before a mark is kept by the service and read at a tenth of the price."""
    mark = dict(wish) if isinstance(wish, Mapping) else {"type": "ephemeral"}
    if "system" in body:
        body["system"] = [{"type": "text", "text": body["system"], "cache_control": mark}]
        if len(body["messages"]) == 1:  # a lone question is hardly ever asked again
            return
    if not body["messages"]:
        return
    last = body["messages"][-1]
    parts = last["content"]
    blocks = [{"type": "text", "text": parts}] if isinstance(parts, str) else parts
    last["content"] = [*blocks[:-1], {**blocks[-1], "cache_control": mark}] if blocks else blocks
