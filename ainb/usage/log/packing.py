"""Packing of word numbers and flags of a call into few integers, for faster fetching and grouping.

A value costs the same to fetch whether it is a flag or 62 bits, and sorting by one integer takes two thirds
of the time of sorting by three.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ainb.usage.columns import Column

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

MOST_WORDS = 2**25
_MAX_BITS = 62  # SQLite's integers have 63 and a sign


class Pack:
    """Several columns of the calls as one SQL expression.

    Args:
        columns: Columns of kind "word" or "flag".
        widths: Number of bits of each column.
    """

    def __init__(self, columns: Sequence[Column], widths: Sequence[int]) -> None:
        self.columns = tuple(columns)
        shifts = itertools.accumulate(widths, initial=0)
        self._places = tuple(zip(columns, widths, shifts, strict=False))

    @property
    def expression(self) -> str:
        """The SQL expression; the first column has the lowest bits."""
        return " | ".join(
            f"({column.stored} << {shift})" if shift else column.stored for column, _, shift in self._places
        )

    def unpack(self, packed: Array) -> dict[str, Array]:
        """The columns by name: word numbers as int32, flags as bool."""
        return {
            column.name: ((packed >> shift) & ((1 << width) - 1)).astype(
                "bool" if column.kind == "flag" else "int32"
            )
            for column, width, shift in self._places
        }


def pack(connection: sqlite3.Connection, columns: Sequence[Column]) -> list[Pack]:
    """Pack the words and flags among `columns` into as few integers as possible.

    Args:
        connection: An open log, in the transaction in which the calls are read: a word added later could need
            more bits.
        columns: Any columns, each once.

    Raises:
        ValueError: A word has a number outside the range that ainb assigns.
    """
    (last,) = connection.execute("SELECT max(id) FROM words").fetchone()
    if not isinstance(last, int) or last > MOST_WORDS:
        # Arrays of that length are allocated.
        raise ValueError(f"the number {last!r} of a word is beyond {MOST_WORDS}")
    bits = {"flag": 1, "word": int(last).bit_length()}
    packs: list[Pack] = []
    chosen: list[Column] = []
    widths: list[int] = []
    for column in columns:
        width = bits.get(column.kind)
        if width is None:
            continue
        if sum(widths) + width > _MAX_BITS:
            packs.append(Pack(chosen, widths))
            chosen, widths = [], []
        chosen.append(column)
        widths.append(width)
    return [*packs, Pack(chosen, widths)] if chosen else packs
