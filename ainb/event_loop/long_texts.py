"""Runs work on long texts in a thread, so that the event loop can serve other calls at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

T = TypeVar("T")

# Rules, token counts and digests take up to 0.4 us per character; a thread costs 60 us or more.
LONG_CHARACTERS: Final = 8_192
_ITEM_CHARACTERS: Final = 16
# Tuples, since `isinstance` takes five times as long for a union.
_TEXT, _LIST, _MAPPING = (str, bytes), (list, tuple), (dict, Mapping)


def is_long(*values: object) -> bool:
    """Whether texts, and texts in nested mappings and lists, have more than LONG_CHARACTERS in all.

    An item of a mapping or a list counts as 16 characters beside its text; the walk ends at the bound, so a
    value that contains itself is long.
    """
    left = LONG_CHARACTERS
    waiting = list(values)
    while waiting:
        value = waiting.pop()
        if isinstance(value, _TEXT):
            left -= len(value)
        elif isinstance(value, _LIST):
            left -= _ITEM_CHARACTERS * len(value)
            waiting += value if left >= 0 else ()
        elif isinstance(value, _MAPPING):
            left -= _ITEM_CHARACTERS * len(value)
            waiting += [*value, *value.values()] if left >= 0 else ()
        if left < 0:
            return True
    return False


async def work(function: Callable[..., T], *arguments: Any, is_long: bool) -> T:
    """Call `function`, in a thread if its texts are long."""
    return await asyncio.to_thread(function, *arguments) if is_long else function(*arguments)
