"""Interpolation: fills the fields of a cell's prompt with values of the notebook.

The typed text is read in one pass; inserted values are not read again, so braces inside them are unchanged.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ainb.errors import InvalidPromptError
from ainb.messages import Reply
from ainb.plain import plain_value
from ainb.prompts.fields import Field, FieldFinder, is_dunder, look_up, nearest
from ainb.prompts.protected import ProtectedPlaces
from ainb.prompts.tables import table_text

# What cannot be sent as a value, and its name in the note.
_NO_VALUE: Mapping[type, str] = {
    types.ModuleType: "module",
    type: "class",
    types.GeneratorType: "generator",
    types.FunctionType: "function",
    types.BuiltinFunctionType: "function",
    types.MethodType: "function",
}
MAX_UNKNOWN = 20


@dataclass(frozen=True, slots=True)
class Filled:
    """A prompt with its values filled in.

    Attributes:
        text: Text that will be sent.
        notes: One line for each name that looks mistyped, in order.
        values: The inserted values as sent, without outer white space; each once.
        filled: The fields that were filled, as typed between their braces; each once.
        tables: Text sent for each field that was filled with a table.
        as_typed: Fields with a name of the notebook that were not filled because of their position; each
            once.
    """

    text: str
    notes: tuple[str, ...] = ()
    values: tuple[str, ...] = field(default=(), repr=False)
    filled: tuple[str, ...] = ()
    as_typed: tuple[str, ...] = ()
    tables: tuple[tuple[str, str], ...] = field(default=(), repr=False)


def fill(body: str, namespace: Mapping[str, Any]) -> Filled:
    """Fill the fields of `body` with values of `namespace`.

    Fields whose first word is not a name of the namespace, fields at positions that `protected` lists, and
    all other braces stay as typed; ``{{x}}`` becomes ``{x}`` outside of code fences.

    Raises:
        InvalidPromptError: The name exists, but the attribute or the item does not; nothing was sent.
    """
    work = _Filling(body, namespace)
    pieces: list[str] = []
    end = 0
    for found in FieldFinder().find(body):
        if found.kind != "other":
            pieces += (body[end : found.start], work.text_of(found))
            end = found.end
    pieces.append(body[end:])
    return Filled(
        text="".join(pieces),
        notes=tuple(work.notes),
        values=tuple(work.values),
        filled=tuple(work.filled),
        as_typed=tuple(work.as_typed),
        tables=tuple(work.tables.items()),
    )


class _Filling:
    """State while a prompt is filled; the dicts are used as ordered sets."""

    def __init__(self, body: str, namespace: Mapping[str, Any]) -> None:
        self.notes: dict[str, None] = {}
        self.values: dict[str, None] = {}
        self.filled: dict[str, None] = {}
        self.as_typed: dict[str, None] = {}
        self.tables: dict[str, str] = {}
        self._unknown: set[str] = set()
        self._body = body
        self._namespace = namespace
        self._protected = ProtectedPlaces(body)

    def text_of(self, found: Field) -> str:
        """Text that is sent in place of a field."""
        typed = self._body[found.start : found.end]
        if found.kind == "escaped":
            return typed if self._protected.in_fence(found.start) else f"{{{found.text}}}"
        is_known = found.name in self._namespace and not is_dunder(found.name)
        if self._protected.cover(found.start, found.end):
            if is_known:
                self.as_typed[found.text] = None
            return typed
        if not is_known:
            self._note_unknown(found.name)
            return typed
        value = look_up(found.text, found.name, self._namespace[found.name])
        if not is_value(value):
            self.notes[not_a_value(found.text, value)] = None
            return typed
        text = value_text(value, found.text)
        self.values[text.strip()] = None
        self.filled[found.text] = None
        if hasattr(value, "iloc"):
            self.tables[found.text] = text
        return f"{{{text}}}" if found.braced else text

    def _note_unknown(self, name: str) -> None:
        if name in self._unknown or len(self._unknown) >= MAX_UNKNOWN:
            return
        self._unknown.add(name)
        known = [item for item in self._namespace if not item.startswith("_") and item not in {"In", "Out"}]
        if near := nearest(name, known):
            self.notes[
                f"{{{name}}} is not a name in the notebook and is sent as typed; did you mean {{{near}}}?"
            ] = None


def is_value(value: Any) -> bool:
    """Whether an object can be sent as a value: modules, classes, functions and generators cannot."""
    return not isinstance(value, tuple(_NO_VALUE))


def not_a_value(typed: str, value: Any) -> str:
    """The note on a field that names a module, a class, a function or a generator."""
    kind = next(word for kind, word in _NO_VALUE.items() if isinstance(value, kind))
    return f"{{{typed}}} is a {kind}, not a value; it is sent as typed"


def _without_arrays(value: Any) -> Any:
    """The value with lists in place of numpy's arrays, whose ``str`` leaves out most of many values."""
    if type(value) in {list, tuple, dict} or type(value).__name__ == "ndarray":
        return plain_value(value)
    return value


def value_text(value: Any, field: str) -> str:
    """Text sent for a value: texts and replies unchanged, tables as schema and first rows, else ``str``.

    Raises:
        InvalidPromptError: The value cannot be written as text.
    """
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Reply):
        return value.text
    try:
        table = table_text(value)
        return str(_without_arrays(value)) if table is None else table
    except Exception as error:
        raise InvalidPromptError(
            f"the value of {{{field}}} cannot be written as text ({type(error).__name__}); nothing was sent"
        ) from error
