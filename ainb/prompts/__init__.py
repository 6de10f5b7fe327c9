"""Prompts: messages, fields, tables as text, images and conversations.

`read_prompt` converts users' prompts into messages. `fill` fills a cell's prompt with values of the notebook:
`FieldFinder` finds the fields, `ProtectedPlaces` the positions where a name stays as typed, `value_text`
writes a value. `Chats` holds the turns of conversations; `picture_part` encodes an image.
"""

from ainb.prompts.chats import Chat, Chats, Turn, window
from ainb.prompts.fields import Field, FieldFinder, first_word, look_up, near_label, nearest
from ainb.prompts.images import SUFFIXES, picture_part
from ainb.prompts.interpolation import Filled, fill, is_value, not_a_value, value_text
from ainb.prompts.messages import Prompt, read_prompt
from ainb.prompts.protected import ProtectedPlaces

__all__ = [
    "SUFFIXES", "Chat", "Chats", "Field", "FieldFinder", "Filled", "Prompt", "ProtectedPlaces", "Turn",
    "fill", "first_word", "is_value", "look_up", "near_label", "nearest", "not_a_value", "picture_part",
    "read_prompt", "value_text", "window",
]  # fmt: skip
