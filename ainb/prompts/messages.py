"""Conversion of users' prompts into messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from ainb.errors import ConfigError, InvalidPromptError
from ainb.messages import Message, Role

Prompt = str | Sequence[Message | Mapping[str, Any]]


def read_prompt(prompt: Prompt, system: str | None = None) -> tuple[Message, ...]:
    """Convert a text or a list of messages into messages.

    Args:
        prompt: A text, stripped of outer white space, or messages as ``{"role": …, "content": …}`` or
            `Message`.
        system: System message that is prepended; None means none.

    Raises:
        InvalidPromptError: There is nothing to send.
        ConfigError: An item of the list is not a message.
    """
    if isinstance(prompt, str):
        text = prompt.strip()
        messages = [Message("user", text)] if text else []
    elif not isinstance(prompt, Sequence):
        raise ConfigError(f"a prompt is a text or a list of messages; it is {type(prompt).__name__}")
    else:
        messages = [_read_message(item) for item in prompt]
    if not any(message.content for message in messages):
        raise InvalidPromptError(
            "the prompt is empty or white space only; nothing was sent; write a prompt below the %%ai line"
        )
    if system:
        messages.insert(0, Message("system", system))
    return tuple(messages)


def _read_message(item: Any) -> Message:
    message = item
    if isinstance(item, Mapping) and set(item) == {"role", "content"} and item["role"] in get_args(Role):
        message = Message(item["role"], item["content"])
    if not isinstance(message, Message):
        roles = ", ".join(get_args(Role))
        raise ConfigError(
            f"a message is a dict of role ({roles}) and content, or a Message; it is {type(item).__name__}"
        )
    content: Any = message.content
    if not isinstance(content, str) and not (
        isinstance(content, Sequence) and all(isinstance(part, Mapping) for part in content)
    ):
        raise ConfigError(
            f"the content of a message is a text or a list of parts (dicts); it is {type(content).__name__}"
        )
    return message
