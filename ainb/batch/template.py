"""A prompt for every row: ``{column}`` from the row, other ``{names}`` from the notebook, by the rules of a cell."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Any

from ainb.batch.source import is_missing
from ainb.errors import ConfigError, InvalidPromptError
from ainb.prompts.fill import FIELDS, first_word, look_up, value_text

SHOWN_COLUMNS = 12


class Template:
    """A prompt with fields, read once; what is no column is filled in here, so a row costs only its own cells.

    Args:
        text: The prompt; ``{{x}}`` stands for ``{x}``.
        columns: Names that rows have; None means whatever is no name of the notebook is a column.
        names: Values of the notebook.

    Attributes:
        text: The prompt as it was given.
        uses: Columns that it takes from a row.
        is_filled: Whether values of the notebook stand in it.

    Raises:
        ConfigError: A field is neither a column nor a name (the message names what exists), or no field is a column.
        InvalidPromptError: A name's attribute or item does not exist.
    """

    def __init__(
        self, text: str, *, columns: Collection[str] | None, names: Mapping[str, Any] | None = None
    ) -> None:
        self._pieces: list[str | tuple[str, str, bool]] = []
        self._columns = columns if columns is None else tuple(columns)
        self._names = names or {}
        self.text = text
        self.is_filled = bool(names)
        uses: dict[str, None] = {}
        filled: list[int] = []
        end = 0
        for match in FIELDS.finditer(text):
            self._pieces.append(text[end : match.start()])
            end = match.end()
            if match["literal"]:
                self._pieces.append(f"{{{match['literal']}}}")
                continue
            field, braced = match["field"] or match["braced"], bool(match["braced"])
            name = first_word(field)
            filled.append(len(self._pieces))
            if self._is_column(name):
                uses[name] = None
                self._pieces.append((name, field, braced))
            else:
                self._pieces.append(self._constant(name, field, braced=braced))
        self._pieces.append(text[end:])
        self.uses = tuple(uses)
        self._filled = self._together(filled)
        self._names = {}  # what the prompt needs of them stands in the pieces; the rest is not to travel with it
        if not uses:
            raise ConfigError(f"the prompt uses no column, so every row would be the same; {self._known()}")

    @property
    def constants(self) -> list[str]:
        """The parts that are the same in every row, the notebook's values among them."""
        return [piece for piece in self._pieces if isinstance(piece, str)]

    def check(self, columns: Collection[str]) -> None:
        """Make sure that a table has what the prompt uses; for one that was read before its table was known.

        Raises:
            ConfigError: A column is missing; the message names those that exist.
        """
        self._columns = tuple(columns)
        for name in self.uses:
            if name not in columns:
                raise ConfigError(f"{{{name}}} is no column; {self._known()}")

    def fill(self, row: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
        """The prompt of a row, and the texts in it that nobody typed there: cells and values of the notebook.

        Raises:
            InvalidPromptError: A cell that is used is empty (None, NaN, NA) or missing; nothing was sent.
        """
        pieces = [piece if piece.__class__ is str else _cell(row, *piece) for piece in self._pieces]
        return "".join(pieces), tuple(["".join(pieces[first:end]) for first, end in self._filled])

    def _together(self, filled: list[int]) -> list[tuple[int, int]]:
        """First piece and end of each stretch that is filled in; what touches is one, or markup could be cut in two."""
        stretches: list[tuple[int, int]] = []
        for place in filled:
            if stretches and not any(self._pieces[stretches[-1][1] : place]):
                stretches[-1] = (stretches[-1][0], place + 1)
            else:
                stretches.append((place, place + 1))
        return stretches

    def _is_column(self, name: str) -> bool:
        return name in self._columns if self._columns is not None else name not in self._names

    def _constant(self, name: str, field: str, *, braced: bool) -> str:
        if name not in self._names:
            near = difflib.get_close_matches(name, [*(self._columns or ()), *self._names], n=1, cutoff=0.7)
            hint = f"did you mean {{{near[0]}}}? " if near else ""
            raise ConfigError(
                f"{{{name}}} is neither a column nor a name of the notebook; {hint}{self._known()}; "
                f"write {{{{{name}}}}} to send it as typed"
            )
        text = value_text(look_up(field, name, self._names[name]), field)
        return f"{{{text}}}" if braced else text

    def _known(self) -> str:
        columns = list(self._columns or ())
        shown = ", ".join(columns[:SHOWN_COLUMNS]) + (", …" if len(columns) > SHOWN_COLUMNS else "")
        return f"columns are: {shown}" if columns else "there are no columns"


def _cell(row: Mapping[str, Any], name: str, field: str, braced: bool) -> str:  # noqa: FBT001 - a piece of a template, unpacked
    try:
        value = row[name]
    except KeyError:
        raise InvalidPromptError(f"this row has no {name!r}; nothing was sent") from None
    if value.__class__ is not str:
        value = look_up(field, name, value)
        if is_missing(value):
            raise InvalidPromptError(f"the cell {name!r} of this row is empty; nothing was sent")
        value = value_text(value, field)
    elif field is not name and field != name:
        value = value_text(look_up(field, name, value), field)
    return f"{{{value}}}" if braced else value
