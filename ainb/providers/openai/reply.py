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

FILTERED = "content_filter"
# Gemini sends the reason of the filter as finish reason.
_FILTERED = re.compile(
    r"content_?filter|safety$|recitation$|blocklist$|prohibited_content$|spii$|image_safety$", re.IGNORECASE
)


@dataclass(slots=True)
class Answer(http.Answer):
    """A completion, complete or still growing from the events of a stream."""

    _tools: dict[int, dict[str, Any]] = field(default_factory=dict)

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
        text = message_text(message)
        tools = message.get("tool_calls")
        if not text and isinstance(tools, list) and tools:
            text = _tool_text([dict(mapping(mapping(call).get("function"))) for call in tools])
        return cls(
            text,
            word_or_none(data.get("model")),
            reason,
            data.get("usage"),
            begun=True,
            reasoning=reasoning_text(message),
            service_tier=word_or_none(data.get("service_tier")),
            refusal=word_or_none(message.get("refusal")) or "",
            category=_category(choice),
        )

    def add(self, chunk: Any) -> str:
        """Add the next chunk of a stream; see the base class."""
        if not isinstance(chunk, dict):
            raise UnreadableError("a stream of something that is not an object")
        model = chunk.get("model")
        if self.model is None and isinstance(model, str) and model:
            self.model = model
        usage = chunk.get("usage") or mapping(chunk.get("x_groq")).get("usage")
        if usage is not None:
            self.usage = usage
        self.service_tier = word_or_none(chunk.get("service_tier")) or self.service_tier
        choices = chunk.get("choices")
        if not choices:
            return ""
        choice = _first_choice(choices)
        if choice.get("index"):
            return ""
        self.begun = True
        self.finish_reason = _finish_reason(choice) or self.finish_reason
        self.category = _category(choice) or self.category
        delta = mapping(choice.get("delta"))
        self._add_tools(delta.get("tool_calls"))
        piece = message_text(delta)
        self.text += piece
        self.reasoning += reasoning_text(delta)
        self.refusal += word_or_none(delta.get("refusal")) or ""
        return piece

    def end(self) -> None:
        """Finish a complete stream: without text, the tool calls become the text."""
        if self._tools and not self.text:
            self.text = _tool_text([self._tools[index] for index in sorted(self._tools)])

    def tokens(self, service: str) -> Usage:
        """Tokens of the completion."""
        return read_usage(self.usage, reasoning_apart=service == "gemini")

    def price(self, service: str) -> Decimal | None:
        """The price that OpenRouter reports."""
        return read_cost(self.usage) if service == "openrouter" else None

    def _add_tools(self, calls: Any) -> None:
        for call in calls if isinstance(calls, list) else ():
            call = mapping(call)  # noqa: PLW2901 - the same value, checked
            function = mapping(call.get("function"))
            index = call.get("index")
            known = self._tools.setdefault(
                index if isinstance(index, int) else len(self._tools), {"name": "", "arguments": ""}
            )
            for name in known:
                part = function.get(name)
                known[name] += part if isinstance(part, str) else ""


def _finish_reason(choice: Json) -> str | None:
    """The finish reason; all spellings for a reply that a filter withheld become "content_filter"."""
    reason = word_or_none(choice.get("finish_reason"))
    return FILTERED if reason is not None and _FILTERED.match(reason) else reason


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
        parts = [part for part in content if isinstance(part, dict) and part.get("type") == "text"]
        return "".join(part["text"] for part in parts if isinstance(part.get("text"), str))
    if content is not None and content != "":
        raise UnreadableError("content that is no text")
    return ""


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


def _first_choice(choices: Any) -> Json:
    if isinstance(choices, list) and isinstance(choices[0], dict):
        return choices[0]
    raise UnreadableError("choices that are none")


def _tool_text(calls: list[dict[str, Any]]) -> str:
    return orjson.dumps(calls).decode()
