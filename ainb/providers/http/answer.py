"""`Answer`: a reply, complete or still growing from the events of a stream."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self

import orjson

from ainb.messages import Usage
from ainb.providers.http.json_body import parse_json


@dataclass(slots=True)
class Answer:
    """A reply; each protocol adds how it is parsed.

    Attributes:
        text: The answer, a refusal, or the tool calls as JSON if there is no other text.
        model: The model that answered, or None.
        finish_reason: One of the values of `Reply.finish_reason`, or None.
        usage: The protocol's token counts, not parsed yet.
        begun: Whether the model has begun to answer.
        done: Whether the stream's last event has arrived.
        reasoning: The model's own summary of its thinking; "" without one.
        service_tier: The tier that answered, or None.
        refusal: Text of a refusal; "" when the model answered.
        category: The category of a refusal or of a content filter, or None.
        streamed: Whether it is read from the events of a stream.
        has_broken_call: Whether the arguments of a tool call are not JSON, as when they were cut.
    """

    text: str = ""
    model: str | None = None
    finish_reason: str | None = None
    usage: Any = None
    begun: bool = False
    done: bool = False
    reasoning: str = ""
    service_tier: str | None = None
    refusal: str = ""
    category: str | None = None
    streamed: bool = False
    has_broken_call: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether it may be stored: it has text, and no stream or tool call was cut."""
        has_ended = self.finish_reason is not None or not self.streamed
        return has_ended and bool(self.text) and not self.has_broken_call

    @classmethod
    def read(cls, data: Any) -> Self:
        """Parse a complete body.

        Raises:
            UnreadableError: It is not an answer; the message names the kind of data.
        """
        raise NotImplementedError

    def add(self, chunk: Any) -> str:
        """Add the next event of a stream.

        Returns:
            The text that it adds.

        Raises:
            UnreadableError: The data is not an event of the protocol.
        """
        raise NotImplementedError

    def end(self) -> None:
        """Finish a complete stream: without text, the tool calls become the text."""
        raise NotImplementedError

    def take_calls(self, calls: list[dict[str, Any]]) -> None:
        """Use tool calls as text.

        Args:
            calls: One dict for each call; "arguments" is JSON text, or empty.
        """
        self.text = orjson.dumps(calls).decode()
        self.has_broken_call = not all(_is_json(call.get("arguments")) for call in calls)

    def tokens(self, service: str) -> Usage:
        """Token counts as a `Usage`; None for a missing or invalid one."""
        raise NotImplementedError

    def price(self, service: str) -> Decimal | None:
        """The price in USD that the service reports, or None."""
        return None

    def take_tool_input(self) -> None:
        """Use the input of the answer tool as text, if the schema was requested by a tool."""


def _is_json(arguments: Any) -> bool:
    """Whether the arguments of a tool call are JSON text; a call without arguments may have none."""
    if not isinstance(arguments, str) or not arguments.strip():
        return True
    try:
        parse_json(arguments.encode("utf-8", "surrogatepass"))
    except ValueError:
        return False
    return True
