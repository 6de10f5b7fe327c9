"""Converts requests to pydantic-ai's messages, settings and output schema, and its responses to replies."""

from __future__ import annotations

import base64
import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import orjson
from pydantic_ai.messages import (
    BinaryContent,
    ImageUrl,
    ModelMessage,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    UserContent,
    UserPromptPart,
)
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition

from ainb.errors import ConfigError
from ainb.messages import UNKNOWN_USAGE, Message, ReplySchema, Request, Usage
from ainb.providers.schemas.forms import as_given
from ainb.providers.schemas.names import clean_name
from ainb.providers.schemas.replies import restore
from ainb.providers.schemas.tools import CleanTools, clean_tools

if TYPE_CHECKING:
    from pydantic_ai.usage import RequestUsage

_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,", re.ASCII)
_SETTINGS: Final = frozenset(ModelSettings.__annotations__) - {"max_retries", "timeout", "request_timeout"}
_RENAMED: Final = {
    "max_completion_tokens": "max_tokens",
    "stop": "stop_sequences",
    "effort": "thinking",
    "reasoning_effort": "thinking",
}
# Parameters that are added to the request elsewhere, or that control the pipeline.
_ELSEWHERE: Final = frozenset({"tools", "tool_choice", "model", "messages", "stream", "stream_options"})
_FINISH: Final = {"tool_call": "tool_calls"}


def read_messages(messages: Sequence[Message]) -> list[ModelMessage]:
    """The conversation; consecutive messages that are not answers are sent as one request.

    Raises:
        ConfigError: An image is given in a form that cannot be sent.
    """
    turns: list[ModelMessage] = []
    parts: list[ModelRequestPart] = []
    for message in messages:
        if message.role != "assistant":
            parts.append(_part(message))
            continue
        if parts:
            turns.append(ModelRequest(parts=parts))
        turns.append(ModelResponse(parts=[TextPart(content=message.text)]))
        parts = []
    if parts:
        turns.append(ModelRequest(parts=parts))
    return turns


def _part(message: Message) -> ModelRequestPart:
    if message.role in {"system", "developer"}:
        return SystemPromptPart(content=message.text)
    if isinstance(message.content, str):
        return UserPromptPart(content=message.content)
    return UserPromptPart(content=[_content(part) for part in message.content])


def _content(part: Mapping[str, Any]) -> UserContent:
    if part.get("type") == "text":
        return str(part.get("text", ""))
    picture = part.get("image_url")
    url = picture.get("url") if isinstance(picture, Mapping) else picture
    found = _DATA_URL.match(url) if isinstance(url, str) else None
    if isinstance(url, str) and found:
        data = base64.b64decode(url[found.end() :])
        return BinaryContent(data=data, media_type=found.group(1))
    if isinstance(url, str) and url.startswith(("http://", "https://")):
        return ImageUrl(url=url)
    raise ConfigError("a picture's url must be data:image/…;base64,… or begin with https://")


def read_settings(request: Request, provider: str, model: Model) -> tuple[ModelSettings, list[str]]:
    """Settings with pydantic-ai's names and without its retries, and the names of unsupported parameters.

    A parameter that begins with the provider's name (``google_safety_settings``) is passed on unchanged.
    """
    settings: dict[str, Any] = {}
    left_out = []
    own = re.split(r"[-/]", provider)[0] + "_"
    for name, value in request.parameters.items():
        if name in _ELSEWHERE:
            continue
        theirs = _RENAMED.get(name, name)
        if theirs in _SETTINGS or name.startswith(own):
            if theirs == "thinking" and value == "none":
                value = False  # noqa: PLW2901 - pydantic-ai's form of this value
            settings[theirs] = [value] if theirs == "stop_sequences" and isinstance(value, str) else value
        else:
            left_out.append(name)
    if "tool_choice" in request.parameters:
        settings["tool_choice"] = _tool_choice(
            _clean_tools(request).choice(request.parameters["tool_choice"])
        )
    if "max_retries" not in model.unsupported_settings:
        settings["max_retries"] = 0
    return ModelSettings(**settings), left_out  # type: ignore[typeddict-item]  # names are checked above, values by the model


def _tool_choice(choice: Any) -> Any:
    function = choice.get("function") if isinstance(choice, Mapping) else None
    return [function.get("name")] if isinstance(function, Mapping) else choice


def read_parameters(request: Request, model: Model) -> ModelRequestParameters:
    """Tools and output schema: the provider's structured output if there is one, else the input of a tool."""
    tools = [_tool(tool) for tool in _clean_tools(request).tools]
    schema = request.schema
    if schema is None:
        return ModelRequestParameters(function_tools=tools)
    shape = as_given(schema.json_schema).schema
    if model.profile.get("supports_json_schema_output"):
        goal = OutputObjectDefinition(json_schema=shape, name=clean_name(schema.name))
        return ModelRequestParameters(function_tools=tools, output_mode="native", output_object=goal)
    return ModelRequestParameters(
        function_tools=tools,
        output_mode="tool",
        output_tools=[_output_tool(schema, shape)],
        allow_text_output=False,
    )


def _output_tool(schema: ReplySchema, shape: dict[str, Any]) -> ToolDefinition:
    return ToolDefinition(
        name=clean_name(schema.name),
        description="Gives the answer.",
        parameters_json_schema=shape,
        kind="output",
    )


def _clean_tools(request: Request) -> CleanTools:
    return clean_tools(request.parameters.get("tools") or ())


def _tool(tool: Mapping[str, Any]) -> ToolDefinition:
    function = tool.get("function")
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise ConfigError(
            'a tool is written {"type": "function", "function": {"name": …, "parameters": {…}}} for every '
            "provider"
        )
    return ToolDefinition(
        name=function["name"],
        description=function.get("description"),
        parameters_json_schema=dict(function.get("parameters") or {"type": "object", "properties": {}}),
    )


def text_of(response: ModelResponse, request: Request) -> str:
    """The text of a response: its text parts, else its tool calls as JSON; with a schema, the answer."""
    schema = request.schema
    calls = [part for part in response.parts if isinstance(part, ToolCallPart)]
    text = "".join(part.content for part in response.parts if isinstance(part, TextPart))
    if schema is not None:
        if calls and not text.strip():
            text = calls[0].args_as_json_str()
        wire = as_given(schema.json_schema)
        text = _unwrap(text) if wire.wrapped else text
        return restore(text, dataclasses.replace(wire, wrapped=False), schema.json_schema)
    if text or not calls:
        return text
    listed = [{"name": call.tool_name, "arguments": call.args_as_json_str()} for call in calls]
    text, tools = orjson.dumps(listed).decode(), _clean_tools(request)
    return tools.restore(text) if tools.renames else text


def reasoning_of(response: ModelResponse) -> str | None:
    """The model's own summary of its thinking, or None."""
    return "".join(part.content for part in response.parts if isinstance(part, ThinkingPart)).strip() or None


def _unwrap(text: str) -> str:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    return orjson.dumps(value["value"]).decode() if isinstance(value, dict) and "value" in value else text


def finish_reason_of(response: ModelResponse, schema: ReplySchema | None) -> str | None:
    """The finish reason as a value of `Reply.finish_reason`."""
    reason = response.finish_reason
    if schema is not None and reason == "tool_call":
        return "stop"
    return _FINISH.get(reason, reason) if reason else None


def read_usage(usage: RequestUsage) -> Usage:
    """Token counts as a `Usage`.

    pydantic-ai includes cached tokens in the input and reasoning in the output, and reports 0 for unknown
    counts.
    """
    if usage.unmeasured_requests or not (usage.input_tokens or usage.output_tokens):
        return UNKNOWN_USAGE
    return Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_input_tokens=usage.cache_read_tokens or None,
        cache_creation_input_tokens=usage.cache_write_tokens or None,
        cache_creation_1h_input_tokens=usage.cache_write_1h_tokens or None,
        reasoning_output_tokens=usage.output_reasoning_tokens or None,
        source="provider",
    )
