"""Conversations of a notebook: turns by name, and the selection of turns sent with the next question.

They are kept until the process ends. A notebook that is run again rebuilds them from the cache at no cost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ainb.errors import ConfigError
from ainb.messages import Message
from ainb.suggestions import closest


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and its answer.

    Attributes:
        key: Key of the cell that asked.
        question: The question as sent.
        answer: The reply's text.
        model: The model that answered.
    """

    key: str
    question: Message
    answer: str
    model: str = ""

    @property
    def messages(self) -> tuple[Message, Message]:
        """Question and answer as messages."""
        return self.question, Message("assistant", self.answer)


@dataclass(slots=True)
class Chat:
    """One conversation.

    Attributes:
        turns: Oldest first.
        system: System message that is sent first; None means none.
    """

    turns: list[Turn] = field(default_factory=list)
    system: str | None = None

    def before(self, key: str) -> list[Turn]:
        """The turns before that of `key`; all turns if it has none yet."""
        place = self._place(key)
        return self.turns[:place] if place is not None else list(self.turns)

    def keep(self, turn: Turn) -> None:
        """Replace the earlier turn of the same cell, or append the turn; later turns stay."""
        place = self._place(turn.key)
        if place is None:
            self.turns.append(turn)
        else:
            self.turns[place] = turn

    def new_key(self, *, repeats: Message | None = None) -> str:
        """Make a key for a cell without an id.

        Args:
            repeats: A question that replaces the last turn if that asked the same; None always begins a new
                turn.
        """
        if repeats is not None and self.turns and self.turns[-1].question == repeats:
            return self.turns[-1].key
        numbers = [int(turn.key[1:]) for turn in self.turns if turn.key[:1] == "#"]
        return f"#{max(numbers, default=0) + 1}"

    def _place(self, key: str) -> int | None:
        return next((place for place, turn in enumerate(self.turns) if turn.key == key), None)


class Chats:
    """All conversations of a process, by notebook and name."""

    def __init__(self) -> None:
        self._chats: dict[tuple[str, str], Chat] = {}

    def open(self, notebook: str, name: str) -> Chat:
        """The conversation of that name, created if there is none."""
        return self._chats.setdefault((notebook, name), Chat())

    def find(self, notebook: str, name: str) -> Chat:
        """The existing conversation of that name.

        Raises:
            ConfigError: There is none.
        """
        chat = self._chats.get((notebook, name))
        if chat is None:
            names = self.names(notebook)
            way_out = closest(name, names) if names else "there are none; begin one with %%ai --chat NAME"
            raise ConfigError(f"there is no chat {name!r}; {way_out}")
        return chat

    def names(self, notebook: str) -> list[str]:
        """Names of a notebook's conversations that have a turn, in order of creation."""
        return [name for (place, name), chat in self._chats.items() if place == notebook and chat.turns]

    def fork(self, notebook: str, name: str, copy: str) -> Chat:
        """Make a copy that continues independently.

        Raises:
            ConfigError: There is no such chat, or the name of the copy is taken.
        """
        chat = self.find(notebook, name)
        if copy in self.names(notebook):
            raise ConfigError(
                f"there is a chat {copy!r} already; take another name, or %ai chat reset {copy}"
            )
        fork = self._chats[notebook, copy] = Chat(list(chat.turns), chat.system)
        return fork

    def cut(self, notebook: str, name: str, turns: int) -> int:
        """Keep the first `turns` turns of a conversation; returns the number dropped."""
        chat = self.find(notebook, name)
        dropped = max(0, len(chat.turns) - turns)
        del chat.turns[turns:]
        return dropped

    def reset(self, notebook: str, name: str | None = None) -> int:
        """Delete a conversation, or all of a notebook; returns their number.

        Raises:
            ConfigError: There is no chat of that name.
        """
        if name is not None:
            self.find(notebook, name)
        gone = [key for key in self._chats if key[0] == notebook and (name is None or key[1] == name)]
        return sum(bool(self._chats.pop(key).turns) for key in gone)


def window(
    turns: Sequence[Turn], *, limit_tokens: int, count: Callable[[Sequence[Message]], int]
) -> tuple[list[Message], int]:
    """The latest turns that fit into a token limit.

    Args:
        turns: Oldest first.
        limit_tokens: Tokens that they may take together.
        count: Counts the tokens of messages.

    Returns:
        Their messages, oldest first, and the number of turns left out.
    """
    messages: list[Message] = []
    left = limit_tokens
    for number, turn in enumerate(reversed(turns)):
        left -= count(turn.messages)
        if left < 0:
            return messages, len(turns) - number
        messages[:0] = turn.messages
    return messages, 0
