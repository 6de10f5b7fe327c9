"""Parser of replies in the Messages protocol, whole or from the events of a stream.

Reads text, tool calls, tokens and the finish reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import orjson

from ainb.messages import UNKNOWN_USAGE, Usage
from ainb.providers import http
from ainb.providers.http import UnreadableError, count_or_none, mapping, word_or_none

FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
REFUSAL = "refusal"


@dataclass(slots=True)
class Answer(http.Answer):
    """A message, complete or still growing from the events of a stream."""

    _tools: dict[int, tuple[str, list[str]]] = field(default_factory=dict)

    @classmethod
    def read(cls, data: Any) -> Self:
        """Parse a complete message; see the base class."""
        if not isinstance(data, dict):
            raise UnreadableError("JSON that is not an object")
        blocks = data.get("content")
        if not isinstance(blocks, list):
            raise UnreadableError("a message without content")
        answer = cls()
        answer._start(data)
        for index, block in enumerate(blocks):
            answer.add_block(index, mapping(block))
        answer._finish(data, None)
        if answer.finish_reason is None and not blocks:
            raise UnreadableError("a message without content")
        answer.end()
        return answer

    def add(self, event: Any) -> str:
        """Add the next event of a stream; see the base class."""
        if not isinstance(event, dict):
            raise UnreadableError("a stream of something that is not an object")
        kind = event.get("type")
        if kind == "content_block_delta":
            return self._add_delta(event.get("index"), mapping(event.get("delta")))
        if kind == "message_start":
            self._start(mapping(event.get("message")))
        elif kind == "content_block_start":
            return self.add_block(event.get("index"), mapping(event.get("content_block")))
        elif kind == "message_delta":
            self._finish(mapping(event.get("delta")), event.get("usage"))
        elif kind == "message_stop":
            self.done = True
        return ""

    def add_block(self, index: Any, block: dict[str, Any]) -> str:
        """Add a content block, complete or just begun; returns the text that it adds."""
        kind, text = block.get("type"), block.get("text")
        if kind == "text" and isinstance(text, str):
            self.text += text
            return text
        thought = block.get("thinking")
        if kind == "thinking" and isinstance(thought, str):
            self.reasoning += thought
        if kind == "tool_use":
            name = block.get("name")
            given = block.get("input")
            first = [orjson.dumps(given).decode()] if given else []
            self._tools[_place(index)] = (name if isinstance(name, str) else "", first)
        return ""

    def end(self) -> None:
        """Finish a complete stream: without text, the tool calls become the text."""
        if self._tools and not self.text:
            self.take_calls(
                [{"name": name, "arguments": "".join(parts) or "{}"} for name, parts in self._calls()]
            )

    def take_tool_input(self) -> None:
        """Use the input of the answer tool as text: it is the answer that a schema asked for."""
        if not self._tools:
            return
        _, parts = self._calls()[0]
        self.text = "".join(parts) or "{}"
        if self.finish_reason == "tool_calls":
            self.finish_reason = "stop"

    def tokens(self, service: str) -> Usage:
        """Tokens of the message."""
        return read_usage(self.usage)

    def _calls(self) -> list[tuple[str, list[str]]]:
        return [self._tools[index] for index in sorted(self._tools)]

    def _start(self, message: dict[str, Any]) -> None:
        self.begun = True
        self.model = word_or_none(message.get("model"))
        self._account(message.get("usage"))

    def _add_delta(self, index: Any, delta: dict[str, Any]) -> str:
        text = delta.get("text")
        if isinstance(text, str) and delta.get("type") == "text_delta":
            self.text += text
            return text
        thought = delta.get("thinking")
        if isinstance(thought, str):
            self.reasoning += thought
            return ""
        part = delta.get("partial_json")
        if isinstance(part, str) and (tool := self._tools.get(_place(index))) is not None:
            tool[1].append(part)
        return ""

    def _finish(self, delta: dict[str, Any], usage: Any) -> None:
        reason = word_or_none(delta.get("stop_reason"))
        if reason is not None:
            self.finish_reason = FINISH_REASONS.get(reason, reason)
        if reason == REFUSAL:
            details = mapping(delta.get("stop_details"))
            self.category = word_or_none(details.get("category"))
            self.refusal = word_or_none(details.get("explanation")) or "refused"
        self._account(usage)

    def _account(self, usage: Any) -> None:
        # The counts of a stream are cumulative, and the last event repeats only some of them.
        if isinstance(usage, dict):
            known = {name: value for name, value in usage.items() if value is not None}
            self.usage = {**(self.usage or {}), **known}
            self.service_tier = word_or_none(self.usage.get("service_tier"))


def read_usage(usage: Any) -> Usage:
    """Token counts as a `Usage`; the input includes tokens read from and written to the prompt cache."""
    if not isinstance(usage, dict):
        return UNKNOWN_USAGE
    plain, output = count_or_none(usage.get("input_tokens")), count_or_none(usage.get("output_tokens"))
    read = count_or_none(usage.get("cache_read_input_tokens"))
    written = count_or_none(usage.get("cache_creation_input_tokens"))
    if plain is None and output is None:
        return UNKNOWN_USAGE
    return Usage(
        input_tokens=None if plain is None else plain + (read or 0) + (written or 0),
        output_tokens=output,
        cache_read_input_tokens=read,
        cache_creation_input_tokens=written,
        cache_creation_1h_input_tokens=count_or_none(
            mapping(usage.get("cache_creation")).get("ephemeral_1h_input_tokens")
        ),
        reasoning_output_tokens=count_or_none(
            mapping(usage.get("output_tokens_details")).get("thinking_tokens")
        ),
        source="provider",
    )


def _place(index: Any) -> int:
    return index if isinstance(index, int) else 0
