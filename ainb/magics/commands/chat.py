"""``--chat NAME`` and ``%ai chat``: a cell's question with the turns before it, and what became of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from ainb import tokens
from ainb.errors import ConfigError
from ainb.magics.origin import notebook_name
from ainb.magics.parsing.arguments import Arguments
from ainb.magics.shell import Front
from ainb.messages import Call, Message, Reply
from ainb.panels.formatting import counted
from ainb.panels.markup import Report, Table
from ainb.prompts.chats import Chat, Turn, window
from ainb.session import Session

SHOWN_CHARS = 300
NO_NOTEBOOK = ""
# Of the model's context, what is kept free for an answer of which no length was asked for: a quarter.
ANSWER_SHARE = 4


@dataclass(frozen=True, slots=True)
class Place:
    """Where an answer belongs.

    Attributes:
        chat: The conversation.
        key: The cell that asks.
        question: Its question, as it is sent.
    """

    chat: Chat
    key: str
    question: Message

    def keep(self, reply: Reply) -> None:
        """The question was answered."""
        self.chat.keep(Turn(self.key, self.question, reply.text, reply.model))


def join(front: Front, call: Call, name: str | None, *, anew: bool = False) -> Place | None:
    """Put the turns of a chat in front of the call's question.

    Args:
        front: The shell.
        call: A call of one question, perhaps with a system message.
        name: Name of the chat; None means none.
        anew: Whether its turns are forgotten first.

    Returns:
        Where to keep the answer.
    """
    if name is None:
        return None
    chat = front.chats.open(call.options.notebook or NO_NOTEBOOK, name)
    if anew:
        chat.turns.clear()
    question = call.request.messages[-1]
    # Where nobody can run a cell twice (a terminal, a notebook that is run as a whole) the same question is a new turn.
    again = question if front.in_notebook and front.watched() else None
    key = call.options.cell_id or chat.new_key(repeats=again)
    if call.request.messages[0].role == "system":
        chat.system = call.request.messages[0].text
    system = [Message("system", chat.system)] if chat.system else []
    limit, where = _room(front.session(), call, [*system, question])
    earlier, left_out = window(
        chat.before(key),
        limit_tokens=limit,
        count=lambda messages: tokens.count_tokens(messages, call.request.model),
    )
    if left_out:
        front.say(f"the first {left_out} turns of {name} no longer fit into {where} and are left out")
    call.request = dataclasses.replace(call.request, messages=(*system, *earlier, question))
    return Place(chat, key, question)


def _room(session: Session, call: Call, fixed: list[Message]) -> tuple[int, str]:
    """Tokens for earlier turns, and what sets the limit: chat_tokens, or what question and answer leave of the model's context."""
    config, request = session.config, call.request
    if request.provider == "local":
        context: int | None = config.local.context_tokens
    else:  # the list of models is not worth waiting for
        context = (
            session.prices.context_window(request.provider, request.model) if session.prices.loaded else None
        )
    if context is None:
        return config.chat_tokens, "chat_tokens"
    asked = request.parameters.get("max_tokens")
    answer = asked if isinstance(asked, int) else context // ANSWER_SHARE
    left = max(0, context - answer - tokens.count_tokens(fixed, request.model))
    return (left, "the model's context") if left < config.chat_tokens else (config.chat_tokens, "chat_tokens")


def run_chat(front: Front, arguments: Arguments) -> Report | str:
    """List the chats of the notebook, show one, or do something to it."""
    words = list(arguments.words)
    if not words:
        return _list(front)
    if words[0] not in ACTIONS:
        words.insert(0, "show")
    action, *names = words
    wants, act = ACTIONS[action]
    if len(names) != len(wants.split()):
        raise ConfigError(f"%ai chat {action} is written %ai chat {action} {wants}")
    return act(front, *names)


def reset(front: Front, arguments: Arguments) -> str:
    """Forget one chat or all chats of the notebook."""
    if arguments.words:
        return _reset(front, arguments.words[0])
    count = front.chats.reset(_notebook(front))
    if not count:
        return "there were no chats"
    return f"{counted(count, 'chat')} forgotten; answers stay in the cache"


def _notebook(front: Front) -> str:
    return notebook_name(front.shell) or NO_NOTEBOOK


def _list(front: Front) -> Report:
    notebook = _notebook(front)
    names = front.chats.names(notebook)
    if not names:
        return Report(["There are no chats; begin one with %%ai --chat NAME."])
    rows = []
    for name in names:
        turns = front.chats.find(notebook, name).turns
        size = sum(tokens.count_tokens(turn.messages) for turn in turns)
        rows.append((name, len(turns), f"{size:,}", turns[-1].model))
    return Report(
        tables=[Table(caption="Chats", columns=("chat", "turns", "tokens", "last model"), rows=rows)]
    )


def _show(front: Front, name: str) -> Report:
    chat = front.chats.find(_notebook(front), name)
    rows = [
        (number, _short(turn.question.text), _short(turn.answer), turn.model)
        for number, turn in enumerate(chat.turns, 1)
    ]
    lines = [f"System: {_short(chat.system)}"] if chat.system else []
    return Report(
        lines, [Table(caption=f"Chat {name}", columns=("turn", "question", "answer", "model"), rows=rows)]
    )


def _fork(front: Front, name: str, copy: str) -> str:
    fork = front.chats.fork(_notebook(front), name, copy)
    return f"{copy} goes on from the {len(fork.turns)} turns of {name}"


def _cut(front: Front, name: str, turns: str) -> str:
    if not turns.isdecimal():
        raise ConfigError(f"TURNS is how many turns stay, a whole number; it is {turns!r}")
    dropped = front.chats.cut(_notebook(front), name, int(turns))
    return f"{dropped} turns of {name} are dropped"


def _reset(front: Front, name: str) -> str:
    front.chats.reset(_notebook(front), name)
    return f"{name} is forgotten; answers stay in the cache"


def _short(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]} …"


# Action, the words behind it, and what does it.
ACTIONS: dict[str, tuple[str, Callable[..., Report | str]]] = {
    "show": ("NAME", _show),
    "fork": ("NAME NEW", _fork),
    "cut": ("NAME TURNS", _cut),
    "reset": ("NAME", _reset),
}
