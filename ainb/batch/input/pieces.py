"""Parser of a batch's prompt: typed text, values of the notebook, cells of the row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ainb.errors import ConfigError
from ainb.prompts import (
    Field,
    FieldFinder,
    ProtectedPlaces,
    first_word,
    is_value,
    look_up,
    near_label,
    nearest,
    not_a_value,
    value_text,
)

SHOWN_COLUMNS = 12
SHOWN_FIELDS = 6
NEAR_COLUMN = 0.7


class CellPiece(NamedTuple):
    """A part of the prompt that is filled from the row.

    `steps` is the field with its attributes and items; None if the field is the label itself.
    """

    label: str
    steps: str | None
    braced: bool


class OpenPiece(NamedTuple):
    """A braced text that may be a label while the columns are unknown; if not, `otherwise` is sent."""

    label: str
    otherwise: str


class PieceReader:
    """Parses a prompt into pieces: typed text, values of the notebook, and fields of the row."""

    def __init__(self, text: str, columns: Sequence[str] | None, names: Mapping[str, Any]) -> None:
        self.pieces: list[str | CellPiece | OpenPiece] = []
        self._text = text
        self._columns = columns
        self._names = names
        self._places = ProtectedPlaces(text)
        self._filled: list[int] = []
        self._as_typed: dict[str, None] = {}
        self._remarks: dict[str, None] = {}
        end = 0
        for field in FieldFinder(columns or ()).find(text):
            self.pieces.append(text[end : field.start])
            end = field.end
            piece = self._piece(field)
            if not isinstance(piece, str):
                self._filled.append(len(self.pieces))
            self.pieces.append(piece)
        self.pieces.append(text[end:])

    def filled_runs(self) -> list[tuple[int, int]]:
        """Start and end of each run of filled pieces; adjacent pieces are one run, to keep markup whole."""
        filled_runs: list[tuple[int, int]] = []
        for place in self._filled:
            if filled_runs and not any(self.pieces[filled_runs[-1][1] : place]):
                filled_runs[-1] = (filled_runs[-1][0], place + 1)
            else:
                filled_runs.append((place, place + 1))
        return filled_runs

    def notes(self) -> tuple[str, ...]:
        """Notices: braced texts that stay as typed, on one line, and probable mistakes."""
        shown = [f"{{{typed}}}" for typed in self._as_typed]
        if not shown:
            return tuple(self._remarks)
        more = len(shown) - SHOWN_FIELDS
        listed = ", ".join(shown[:SHOWN_FIELDS]) + (f" and {more} more" if more > 0 else "")
        return (f"sent as typed, not filled from a column: {listed}", *self._remarks)

    def _piece(self, field: Field) -> str | CellPiece | OpenPiece:
        if field.kind == "column":
            return CellPiece(field.text, None, field.braced)
        if field.kind == "escaped":
            return self._escaped(field)
        if field.kind == "other":
            return self._other(field)
        is_column = self._is_column(field.name)
        if is_column and (self._columns is not None or not self._covers(field)):
            return CellPiece(field.name, field.text if field.text != field.name else None, field.braced)
        return self._constant(field)

    def _typed(self, field: Field) -> str:
        return self._text[field.start : field.end]

    def _covers(self, field: Field) -> bool:
        return self._places.cover(field.start, field.end)

    def _is_column(self, name: str) -> bool:
        return name in self._columns if self._columns is not None else name not in self._names

    def _escaped(self, field: Field) -> str:
        is_column = not {field.text, first_word(field.text)}.isdisjoint(self._columns or ())
        if self._places.in_fence(field.start) and not is_column:
            return self._typed(field)
        return f"{{{field.text}}}"

    def _other(self, field: Field) -> str | OpenPiece:
        """A braced text that is neither a label nor has the form of a name."""
        typed = self._typed(field)
        if self._columns is None:
            return OpenPiece(field.text, typed)
        label = near_label(field.text, self._columns)
        if typed.startswith("{{"):
            return typed if label is None or self._places.in_fence(field.start) else f"{{{field.text}}}"
        if label is None or self._covers(field):
            self._leave(field)
            return typed
        raise ConfigError(
            f"{typed} is not a column; did you mean {{{label}}}? {known_columns(self._columns)}; "
            f"write {{{{{field.text}}}}} to send it as typed"
        )

    def _leave(self, field: Field) -> None:
        """List a braced text as sent as typed, unless it looks like a JSON object."""
        if '"' not in field.text and "'" not in field.text[:1] and any(map(str.isalnum, field.text)):
            self._as_typed[field.text] = None

    def _constant(self, field: Field) -> str | OpenPiece:
        typed = self._typed(field)
        if self._covers(field):
            if self._columns is None:
                return OpenPiece(field.text, typed)
            self._leave(field)
            return typed
        if field.name not in self._names:
            raise ConfigError(self._unknown(field.name))
        value = look_up(field.text, field.name, self._names[field.name])
        if not is_value(value):
            self._remarks[not_a_value(field.text, value)] = None
            return typed
        if label := near_label(field.name, self._columns or ()):
            self._remarks[
                f"{{{field.text}}} is filled from the notebook, the same in every row; "
                f"the column is {{{label}}}"
            ] = None
        self._filled.append(len(self.pieces))
        text = value_text(value, field.text)
        return f"{{{text}}}" if field.braced else text

    def _unknown(self, name: str) -> str:
        near = near_label(name, self._columns or ()) or nearest(
            name, [*(self._columns or ()), *self._names], NEAR_COLUMN
        )
        hint = f"did you mean {{{near}}}? " if near else ""
        return (
            f"{{{name}}} is neither a column nor a name of the notebook; {hint}"
            f"{known_columns(self._columns)}; write {{{{{name}}}}} to send it as typed"
        )


def known_columns(columns: Sequence[str] | None) -> str:
    """The columns of a table, for a message."""
    if not columns:
        return "there are no columns"
    shown = ", ".join(columns[:SHOWN_COLUMNS]) + (", …" if len(columns) > SHOWN_COLUMNS else "")
    return f"columns are: {shown}"
