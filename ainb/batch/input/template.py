"""Prompt template of a batch: ``{column}`` from each row, other ``{names}`` once from the notebook."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from ainb.batch.input.source import is_missing
from ainb.errors import ConfigError, InvalidPromptError
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


class _Cell(NamedTuple):
    """A part of the prompt that is filled from the row.

    `steps` is the field with its attributes and items; None if the field is the label itself.
    """

    label: str
    steps: str | None
    braced: bool


class _Open(NamedTuple):
    """A braced text that may be a label while the columns are unknown; if not, `otherwise` is sent."""

    label: str
    otherwise: str


class Template:
    """A parsed prompt with fields; variables of the notebook are filled in when it is made.

    A braced text that equals a column label is always filled. Variables of the notebook stay as typed in the
    places that `ainb.prompts.protected` lists.

    Args:
        text: The prompt.
        columns: Column labels as strings; None when they are not known yet: then every field that is not a
            variable of the notebook counts as a column.
        names: Variables of the notebook.

    Attributes:
        text: The prompt as given.
        uses: Columns of a row that it uses.
        is_filled: Whether variables of the notebook were given.
        constants: The parts that are the same in every row, including the notebook's values.
        notes: Notices on braced texts that are sent as typed.

    Raises:
        ConfigError: A field is neither a column nor a variable, or it resembles a column (the message lists
            the existing ones), or no field is a column.
        InvalidPromptError: An attribute or item of a variable does not exist.
    """

    def __init__(
        self, text: str, *, columns: Collection[str] | None, names: Mapping[str, Any] | None = None
    ) -> None:
        self.text = text
        self.is_filled = bool(names)
        self._columns = columns if columns is None else tuple(columns)
        reader = _Reader(text, self._columns, names or {})
        self._pieces = reader.pieces
        self._filled = reader.filled_runs()
        self.notes = reader.notes()
        self.constants = [piece for piece in self._pieces if isinstance(piece, str)]
        self.uses = _used(self._pieces)
        if not any(isinstance(piece, _Open) for piece in self._pieces):
            self._check_use()

    @property
    def prefix(self) -> str:
        """The text before the first field that is filled from a row."""
        return "".join(_leading_texts(self._pieces))

    @property
    def instruction_after(self) -> str:
        """The text after the first field of a row that is the same in every row."""
        texts = [piece for piece in self._pieces if isinstance(piece, str)]
        return "".join(texts[len(_leading_texts(self._pieces)) :])

    def for_columns(self, columns: Collection[str]) -> Template:
        """The template for a table with these columns, if it was parsed before the table was known.

        A missing column rejects the rows, as a missing cell does.
        """
        known = copy.copy(self)
        known.settle(columns)
        return known

    def settle(self, columns: Collection[str]) -> None:
        """Decide which braced texts are columns of a table."""
        self._columns = tuple(columns)
        self._pieces = [_decided(piece, self._columns) for piece in self._pieces]
        self.uses = _used(self._pieces)
        self._check_use()

    def check(self, columns: Collection[str]) -> None:
        """Call `settle`, and check that the table has the columns that the prompt uses.

        Raises:
            ConfigError: A column is missing; the message lists the existing ones.
        """
        self.settle(columns)
        for name in self.uses:
            if name not in columns:
                raise ConfigError(f"{{{name}}} is not a column; {_known(self._columns)}")

    def _check_use(self) -> None:
        if not self.uses:
            raise ConfigError(
                f"the prompt uses no column, so every row would be the same; {_known(self._columns)}"
            )

    def fill(self, row: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
        """The prompt of a row, and the texts that were filled in: cells and values of the notebook.

        Raises:
            InvalidPromptError: A used cell is empty (None, NaN, NA) or missing; nothing was sent.
        """
        pieces = [piece if isinstance(piece, str) else _filled(row, piece) for piece in self._pieces]
        return "".join(pieces), tuple(["".join(pieces[first:end]) for first, end in self._filled])


class _Reader:
    """Parses a prompt into pieces: typed text, values of the notebook, and fields of the row."""

    def __init__(self, text: str, columns: Sequence[str] | None, names: Mapping[str, Any]) -> None:
        self.pieces: list[str | _Cell | _Open] = []
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

    def _piece(self, field: Field) -> str | _Cell | _Open:
        if field.kind == "column":
            return _Cell(field.text, None, field.braced)
        if field.kind == "escaped":
            return self._escaped(field)
        if field.kind == "other":
            return self._other(field)
        is_column = self._is_column(field.name)
        if is_column and (self._columns is not None or not self._covers(field)):
            return _Cell(field.name, field.text if field.text != field.name else None, field.braced)
        return self._constant(field)

    def _typed(self, field: Field) -> str:
        return self._text[field.start : field.end]

    def _covers(self, field: Field) -> bool:
        return self._places.cover(field.start, field.end)

    def _is_column(self, name: str) -> bool:
        return name in self._columns if self._columns is not None else name not in self._names

    def _escaped(self, field: Field) -> str:
        known = self._columns or ()
        if (
            self._places.in_fence(field.start)
            and field.text not in known
            and first_word(field.text) not in known
        ):
            return self._typed(field)
        return f"{{{field.text}}}"

    def _other(self, field: Field) -> str | _Open:
        """A braced text that is neither a label nor has the form of a name."""
        typed = self._typed(field)
        if self._columns is None:
            return _Open(field.text, typed)
        label = near_label(field.text, self._columns)
        if typed.startswith("{{"):
            return typed if label is None or self._places.in_fence(field.start) else f"{{{field.text}}}"
        if label is None or self._covers(field):
            self._leave(field)
            return typed
        raise ConfigError(
            f"{typed} is not a column; did you mean {{{label}}}? {_known(self._columns)}; "
            f"write {{{{{field.text}}}}} to send it as typed"
        )

    def _leave(self, field: Field) -> None:
        """List a braced text as sent as typed, unless it looks like a JSON object."""
        if '"' not in field.text and "'" not in field.text[:1] and any(map(str.isalnum, field.text)):
            self._as_typed[field.text] = None

    def _constant(self, field: Field) -> str | _Open:
        typed = self._typed(field)
        if self._covers(field):
            if self._columns is None:
                return _Open(field.text, typed)
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
            f"{{{name}}} is neither a column nor a name of the notebook; {hint}{_known(self._columns)}; "
            f"write {{{{{name}}}}} to send it as typed"
        )


def _leading_texts(pieces: Sequence[str | _Cell | _Open]) -> list[str]:
    first = next((place for place, piece in enumerate(pieces) if not isinstance(piece, str)), len(pieces))
    return [piece for piece in pieces[:first] if isinstance(piece, str)]


def _used(pieces: Sequence[str | _Cell | _Open]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(piece.label for piece in pieces if isinstance(piece, _Cell)))


def _known(columns: Sequence[str] | None) -> str:
    if not columns:
        return "there are no columns"
    shown = ", ".join(columns[:SHOWN_COLUMNS]) + (", …" if len(columns) > SHOWN_COLUMNS else "")
    return f"columns are: {shown}"


def _decided(piece: str | _Cell | _Open, columns: Collection[str]) -> str | _Cell | _Open:
    if not isinstance(piece, _Open):
        return piece
    return _Cell(piece.label, None, braced=False) if piece.label in columns else piece.otherwise


def _filled(row: Mapping[str, Any], piece: _Cell | _Open) -> str:
    if isinstance(piece, _Open):
        if piece.label not in row:
            return piece.otherwise
        piece = _Cell(piece.label, None, braced=False)
    label, steps, braced = piece
    try:
        value = row[label]
    except KeyError:
        raise InvalidPromptError(f"this row has no {label!r}; nothing was sent") from None
    if value.__class__ is not str:
        value = value if steps is None else look_up(steps, label, value)
        if is_missing(value):
            raise InvalidPromptError(f"the cell {label!r} of this row is empty; nothing was sent")
        value = value_text(value, steps or label)
    elif steps is not None:
        value = value_text(look_up(steps, label, value), steps)
    return f"{{{value}}}" if braced else value
