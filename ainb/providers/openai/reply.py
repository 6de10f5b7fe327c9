"""Parser of chat completions, whole or streamed: text, tool calls, tokens, finish reason."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Self

import orjson

from ainb.messages import UNKNOWN_USAGE, Usage
from ainb.providers import http
from ainb.providers.http import Json, UnreadableError, count_or_none, mapping, word_or_none

FILTERED, CUT = "content_filter", "length"
TEXT_PARTS = frozenset({"text", "output_text"})
# Gemini sends the reason of the filter as finish reason; other services have words of their own, too.
_FILTERED = re.compile(
    r"content[ _-]?filter|safety$|recitation$|blocklist$|prohibited_content$|spii$|image_safety$|sensitive$"
    r"|error_toxic$|guardrail_intervened$|refusal$",
    re.IGNORECASE,
)
# The reply reached the output limit or the end of the context window.
_CUT = re.compile(
    r"(?:max_(?:\w+_)?)?(?:tokens|length)$|(?:model|token|error|context)_(?:length|limit)$"
    r"|(?:model_)?context_(?:window|length)_exceeded$",
    re.IGNORECASE,
)


@dataclass(slots=True)
class Answer(http.Answer):
    """A completion, complete or still growing from the events of a stream."""

    _tools: dict[int, dict[str, Any]] = field(default_factory=dict)
    _names: dict[int, str] = field(default_factory=dict)
    _moved: dict[int, int] = field(default_factory=dict)

    @classmethod
    def read(cls, data: Any) -> Self:
        """Parse a complete completion; see the base class."""
        if not isinstance(data, dict):
            raise UnreadableError("JSON that is not an object")
        choices = data.get("choices")
        if not choices:
            raise UnreadableError("no choice in the reply")
        choice = _first_choice(choices)
        message, reason = choice.get("message"), _finish_reason(choice)
        if not isinstance(message, dict):
            if reason != FILTERED:
                raise UnreadableError("a choice without a message")
            message = {}  # removed by a content filter
        answer = cls(
            message_text(message),
            word_or_none(data.get("model")),
            reason,
            data.get("usage"),
            begun=True,
            reasoning=reasoning_text(message),
            service_tier=word_or_none(data.get("service_tier")),
            refusal=refusal_text(message),
            category=_category(choice),
        )
        answer._add_calls(message, is_whole=True)
        answer.end()
        return answer

    def add(self, chunk: Any) -> str:
        """Add the next chunk of a stream; see the base class."""
        if not isinstance(chunk, dict):
            raise UnreadableError("a stream of something that is not an object")
        model = chunk.get("model")
        if self.model is None and isinstance(model, str) and model:
            self.model = model
        usage = chunk.get("usage") or mapping(chunk.get("x_groq")).get("usage")
        if usage is not None:
            self.usage = _merged(self.usage, usage)
        self.service_tier = word_or_none(chunk.get("service_tier")) or self.service_tier
        choices = chunk.get("choices")
        if not choices:
            return ""
        choice = _first_choice(choices)
        if _index(choice):
            return ""
        self.begun = True
        self.finish_reason = _finish_reason(choice) or self.finish_reason
        self.category = _category(choice) or self.category
        delta = _delta(choice)
        self._add_calls(delta)
        piece = message_text(delta)
        self.text += piece
        self.reasoning += reasoning_text(delta)
        self.refusal += refusal_text(delta)
        return piece

    def end(self) -> None:
        """Finish a complete answer: without text, the tool calls become the text."""
        if self._tools and not self.text:
            self.take_calls([self._tools[index] for index in sorted(self._tools)])

    def tokens(self, service: str) -> Usage:
        """Tokens of the completion."""
        return read_usage(self.usage, reasoning_apart=service == "gemini")

    def price(self, service: str) -> Decimal | None:
        """The price that OpenRouter reports."""
        return read_cost(self.usage) if service == "openrouter" else None

    def _add_calls(self, message: Json, *, is_whole: bool = False) -> None:
        calls = message.get("tool_calls")
        old_form = message.get("function_call")
        if not calls and isinstance(old_form, dict):
            calls = [{"index": 0, "function": old_form}]
        for call in map(mapping, calls if isinstance(calls, list) else ()):
            place = len(self._tools) if is_whole else self._place(call)
            known = self._tools.setdefault(place, {"name": "", "arguments": ""})
            function = mapping(call.get("function"))
            for name in known:
                known[name] += _as_text(function.get(name))

    def _place(self, call: Json) -> int:
        """The call that a piece belongs to; some services send each call whole, all with index 0."""
        index, name = call.get("index"), call.get("id")
        new = len(self._tools)
        if not isinstance(index, int):
            return new
        if isinstance(name, str) and name and self._names.setdefault(index, name) != name:
            self._names[index] = name
            self._moved[index] = new
        return self._moved.get(index, index)


def _as_text(value: Any) -> str:
    """A part of a tool call; Ollama and others send arguments as an object."""
    if isinstance(value, dict):
        return orjson.dumps(value).decode()
    return value if isinstance(value, str) else ""


def _finish_reason(choice: Json) -> str | None:
    """The finish reason; all spellings of a withheld reply become "content_filter", of a cut one "length"."""
    reason = word_or_none(choice.get("finish_reason"))
    if reason is None or reason == "stop":
        return reason
    if _FILTERED.match(reason):
        return FILTERED
    return CUT if _CUT.match(reason) else reason


def _category(choice: Json) -> str | None:
    """Categories for which Azure's content filter withheld a reply, or None."""
    results = mapping(choice.get("content_filter_results"))
    if not results:
        return None
    names = [str(name) for name, result in results.items() if mapping(result).get("filtered")]
    return ", ".join(names) or None


def reasoning_text(message: Json) -> str:
    """Text of the model's thinking in a message or delta, under each service's name; "" without any."""
    for name in ("reasoning_content", "reasoning"):
        value = message.get(name)
        if isinstance(value, str) and value:
            return value
    details = message.get("reasoning_details")
    if not isinstance(details, list):
        return ""
    texts = (mapping(item).get("summary") or mapping(item).get("text") for item in details)
    return "".join(text for text in texts if isinstance(text, str))


def message_text(message: Json) -> str:
    """The text of a message or delta; "" for null.

    Raises:
        UnreadableError: The content is neither text, nor a list of parts, nor null.
    """
    content = message.get("content")
    if isinstance(content, str) and content:
        return content
    if isinstance(content, list):
        texts = [part if isinstance(part, str) else _part_text(mapping(part)) for part in content]
        return "".join(text for text in texts if isinstance(text, str))
    if content is not None and content != "":
        raise UnreadableError("content that is no text")
    return ""


def refusal_text(message: Json) -> str:
    """The text of a refusal in a message or delta, in a field of its own or as a part; "" without one."""
    refusal = word_or_none(message.get("refusal"))
    content = message.get("content")
    if refusal is not None or not isinstance(content, list):
        return refusal or ""
    parts = [mapping(part).get("refusal") for part in content]
    return "".join(part for part in parts if isinstance(part, str))


def _part_text(part: Json) -> Any:
    return part.get("text") if part.get("type", "text") in TEXT_PARTS else None


def read_usage(usage: Any, *, reasoning_apart: bool = False) -> Usage:
    """Token counts as a `Usage`; None for a count that is absent or not a number.

    Args:
        usage: The body's "usage".
        reasoning_apart: Whether the service counts reasoning in the total but not in the output (Gemini).
    """
    if not isinstance(usage, dict):
        return UNKNOWN_USAGE
    prompt, output = count_or_none(usage.get("prompt_tokens")), count_or_none(usage.get("completion_tokens"))
    if prompt is None and output is None:
        return UNKNOWN_USAGE
    if reasoning_apart and prompt is not None:
        total = count_or_none(usage.get("total_tokens"))
        output = output if total is None else max(output or 0, total - prompt)
    read = mapping(usage.get("prompt_tokens_details"))
    written = mapping(usage.get("completion_tokens_details"))
    cached = count_or_none(read.get("cached_tokens"))
    return Usage(
        input_tokens=prompt,
        output_tokens=output,
        cache_read_input_tokens=count_or_none(usage.get("prompt_cache_hit_tokens"))
        if cached is None
        else cached,
        cache_creation_input_tokens=count_or_none(read.get("cache_write_tokens")),
        reasoning_output_tokens=count_or_none(written.get("reasoning_tokens")),
        source="provider",
    )


def read_cost(usage: Any) -> Decimal | None:
    """The cost in USD that OpenRouter reports with the tokens, or None."""
    cost = usage.get("cost") if isinstance(usage, dict) else None
    if isinstance(cost, bool) or not isinstance(cost, int | float) or not 0 <= cost < math.inf:
        return None
    return Decimal(str(cost))


def _merged(before: Any, usage: Any) -> Any:
    """Token counts of a stream: counts are cumulative, and an event may repeat, omit or zero them."""
    if not isinstance(before, dict) or not isinstance(usage, dict):
        return usage if isinstance(usage, dict) or before is None else before
    return {**before, **{name: value for name, value in usage.items() if value or name not in before}}


def _first_choice(choices: Any) -> Json:
    """The choice with index 0, wherever it stands; the first one where no index is 0."""
    if not isinstance(choices, list) or not isinstance(choices[0], dict):
        raise UnreadableError("choices that are none")
    first: Json = choices[0]
    if len(choices) == 1 or not _index(first):
        return first
    return next((choice for choice in choices if isinstance(choice, dict) and not _index(choice)), first)


def _index(choice: Json) -> Any:
    index = choice.get("index")
    return 0 if index == "0" else index


def _delta(choice: Json) -> Json:
    """The new part of a choice; some servers stream whole messages, or the text of the older API."""
    delta = choice.get("delta") or choice.get("message")
    if isinstance(delta, dict):
        return delta
    return {"content": choice["text"]} if isinstance(choice.get("text"), str) else mapping(None)
