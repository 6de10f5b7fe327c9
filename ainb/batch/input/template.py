"""Prompt template of a batch: ``{column}`` from each row, other ``{names}`` once from the notebook."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ainb.batch.input.pieces import CellPiece, OpenPiece, PieceReader, known_columns
from ainb.errors import ConfigError, InvalidPromptError
from ainb.plain import is_missing
from ainb.prompts import look_up, value_text


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
        reader = PieceReader(text, self._columns, names or {})
        self._pieces = reader.pieces
        self._filled = reader.filled_runs()
        self.notes = reader.notes()
        self.constants = [piece for piece in self._pieces if isinstance(piece, str)]
        self.uses = _used(self._pieces)
        if not any(isinstance(piece, OpenPiece) for piece in self._pieces):
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
                raise ConfigError(f"{{{name}}} is not a column; {known_columns(self._columns)}")

    def _check_use(self) -> None:
        if not self.uses:
            fix = "write a column in braces" if self._columns is None else known_columns(self._columns)
            raise ConfigError(f"the prompt uses no column, so every row would be the same; {fix}")

    def fill(self, row: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
        """The prompt of a row, and the texts that were filled in: cells and values of the notebook.

        Raises:
            InvalidPromptError: A used cell is empty (None, NaN, NA) or missing; nothing was sent.
        """
        pieces = [piece if isinstance(piece, str) else _filled(row, piece) for piece in self._pieces]
        return "".join(pieces), tuple(["".join(pieces[first:end]) for first, end in self._filled])


def _leading_texts(pieces: Sequence[str | CellPiece | OpenPiece]) -> list[str]:
    first = next((place for place, piece in enumerate(pieces) if not isinstance(piece, str)), len(pieces))
    return [piece for piece in pieces[:first] if isinstance(piece, str)]


def _used(pieces: Sequence[str | CellPiece | OpenPiece]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(piece.label for piece in pieces if isinstance(piece, CellPiece)))


def _decided(piece: str | CellPiece | OpenPiece, columns: Collection[str]) -> str | CellPiece | OpenPiece:
    if not isinstance(piece, OpenPiece):
        return piece
    return CellPiece(piece.label, None, braced=False) if piece.label in columns else piece.otherwise


def _filled(row: Mapping[str, Any], piece: CellPiece | OpenPiece) -> str:
    if isinstance(piece, OpenPiece):
        if piece.label not in row:
            return piece.otherwise
        piece = CellPiece(piece.label, None, braced=False)
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
