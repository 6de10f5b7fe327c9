"""``--chat NAME``: puts the turns of a chat in front of a cell's question and adds the answer to the chat."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from ainb import tokens
from ainb.magics.shell import NotebookShell
from ainb.messages import Call, Message, Reply
from ainb.prompts import Chat, Turn, window
from ainb.session import Session

# Key of the chats where the notebook's name is not known.
NO_NOTEBOOK = ""
# The model's context is divided by this: a quarter is kept free for an answer without a set length.
ANSWER_SHARE = 4


@dataclass(frozen=True, slots=True)
class PendingTurn:
    """A turn of a chat whose answer has not arrived.

    Attributes:
        chat: The conversation.
        key: Identity of the cell.
        question: The cell's question as sent.
    """

    chat: Chat
    key: str
    question: Message

    def complete(self, reply: Reply) -> None:
        """Add question and answer to the chat."""
        self.chat.keep(Turn(self.key, self.question, reply.text, reply.model))


def add_earlier_turns(
    shell: NotebookShell, call: Call, name: str | None, *, reset: bool = False
) -> PendingTurn | None:
    """Put the turns of a chat in front of the call's question.

    Args:
        shell: The notebook shell.
        call: A call of one question, perhaps with a system message.
        name: Name of the chat; None means none.
        reset: Whether its turns are forgotten first.

    Returns:
        The turn to complete with the answer; None without a chat.
    """
    if name is None:
        return None
    chat = shell.chats.open(call.options.notebook or NO_NOTEBOOK, name)
    if reset:
        chat.turns.clear()
    question = call.request.messages[-1]
    # Without a cell id (a terminal, a notebook that is executed as a whole) the same question is a new turn.
    again = question if shell.in_notebook and shell.is_watched() else None
    key = call.options.cell_id or chat.new_key(repeats=again)
    if call.request.messages[0].role == "system":
        chat.system = call.request.messages[0].text
    system = [Message("system", chat.system)] if chat.system else []
    limit, limited_by = _token_limit(shell.session(), call, [*system, question])
    earlier, left_out = window(
        chat.before(key),
        limit_tokens=limit,
        count=lambda messages: tokens.count_tokens(messages, call.request.model),
    )
    if left_out:
        shell.print_line(
            f"the first {left_out} turns of {name} no longer fit into {limited_by} and are left out"
        )
    call.request = dataclasses.replace(call.request, messages=(*system, *earlier, question))
    return PendingTurn(chat, key, question)


def _token_limit(session: Session, call: Call, fixed: list[Message]) -> tuple[int, str]:
    """Tokens for earlier turns, and the name of the limit: chat_tokens or the model's context."""
    config, request = session.config, call.request
    if request.provider == "local":
        context: int | None = config.local.context_tokens
    else:  # without a download of the list of models
        context = (
            session.prices.context_window(request.provider, request.model) if session.prices.loaded else None
        )
    if context is None:
        return config.chat_tokens, "chat_tokens"
    asked = request.parameters.get("max_tokens")
    answer = asked if isinstance(asked, int) else context // ANSWER_SHARE
    left = max(0, context - answer - tokens.count_tokens(fixed, request.model))
    return (left, "the model's context") if left < config.chat_tokens else (config.chat_tokens, "chat_tokens")
