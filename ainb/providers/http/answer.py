"""`Answer`: a reply, complete or still growing from the events of a stream."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self

from ainb.messages import Usage


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

    def tokens(self, service: str) -> Usage:
        """Token counts as a `Usage`; None for a missing or invalid one."""
        raise NotImplementedError

    def price(self, service: str) -> Decimal | None:
        """The price in USD that the service reports, or None."""
        return None

    def take_tool_input(self) -> None:
        """Use the input of the answer tool as text, if the schema was requested by a tool."""
