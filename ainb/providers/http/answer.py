"""`Answer`: what a model answers, whole or as it grows out of the events of a stream."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self

from ainb.messages import Usage


@dataclass(slots=True)
class Answer:
    """An answer; each protocol adds how it is read.

    Attributes:
        text: The answer, a refusal, or the tool calls as JSON where there is no other text.
        model: The model that answered, or None.
        finish_reason: Why it ended, in the words of `Reply.finish_reason`, or None.
        usage: The protocol's own account of tokens, unread.
        begun: Whether the model has begun to answer.
        done: Whether nothing more will come.
        reasoning: The model's own summary of its thinking; "" where it gives none.
        service_tier: The tier that answered, or None.
        refusal: The model's words of refusal; "" where it answered.
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
        """Read a whole body.

        Raises:
            UnreadableError: It is no answer; the text says what it is instead.
        """
        raise NotImplementedError

    def add(self, chunk: Any) -> str:
        """Take the next event of a stream.

        Returns:
            The text that it adds.

        Raises:
            UnreadableError: It is no event.
        """
        raise NotImplementedError

    def end(self) -> None:
        """The stream is whole: tool calls become the text where there is no other."""
        raise NotImplementedError

    def tokens(self, service: str) -> Usage:
        """Tokens under our names; what is absent or no count is None."""
        raise NotImplementedError

    def price(self, service: str) -> Decimal | None:
        """The price in USD that the service reports, or None."""
        return None

    def take_tool_input(self) -> None:
        """Make what the model gave to its tool the text, where a schema was asked for by a tool."""
