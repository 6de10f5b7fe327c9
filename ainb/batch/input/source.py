"""The rows of a batch: read once, lazily, and only the columns that are used."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ainb.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

VALUE = "value"
SAMPLE_SEED = 0
MAX_PUT_BACK = 8

# Reading them runs no code of the user; a hop to a thread per row would be wasted on them.
_BUILT_IN = frozenset({list, tuple, range, dict, set, frozenset, str})

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Source:
    """Rows to go through once.

    Attributes:
        read: Given the labels that are used, an iterator of rows; a row maps label to value. Labels that a
            row lacks are missing.
        items: The rows as a function of one item gets them.
        columns: Labels that every row has, as texts (of an iterator, those of its first row), or None when
            there is no row.
        aliases: Other spellings of labels, each with its label in `columns`.
        repeated: Labels that several columns have.
        length: Number of rows, or None when only reading tells.
        index: Index of the result, or None for a RangeIndex.
        carry: Given labels, the input columns with their own types, for ``keep``; None when they are to be
            collected while reading.
        deliver: Turns the result and the kept columns into the input's kind of table; None means a pandas
            DataFrame.
        path: The file that the rows are read from, or None.
        may_block: Whether reading a row runs an iterator of the user's, which may block or raise anything.
        put_back: Gives back to an iterator what was read to find the columns; None when there is nothing to
            give back.
    """

    read: Callable[[Sequence[str]], Iterator[Row]]
    items: Callable[[], Iterator[Any]]
    columns: tuple[str, ...] | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    repeated: frozenset[str] = frozenset()
    length: int | None = None
    index: pd.Index | None = None
    carry: Callable[[Sequence[str]], Mapping[str, Any]] | None = None
    deliver: Callable[[pd.DataFrame, Mapping[str, Any]], Any] | None = None
    path: Path | None = None
    may_block: bool = False
    put_back: Callable[[], None] | None = None

    @property
    def labels(self) -> tuple[str, ...] | None:
        """Labels of the columns and their other spellings; None when there is no row."""
        return None if self.columns is None else (*self.columns, *self.aliases)

    def check(self, used: Iterable[str]) -> None:
        """Make sure that each used label stands for one column.

        Raises:
            ConfigError: Several columns have it.
        """
        for name in used:
            if self.aliases.get(name, name) in self.repeated:
                raise ConfigError(
                    f"the frame has several columns named {name!r}; "
                    f"rename them, so that {{{name}}} says which"
                )


def check_count(name: str, number: Any) -> None:
    """Make sure that ``limit`` or ``sample`` is a number of rows or None.

    Raises:
        ConfigError: It is something else.
    """
    if number is not None and (type(number) is not int or number < 0):
        raise ConfigError(f"{name} must be a whole number of rows, 0 or more; it is {number!r}")


def is_missing(value: Any) -> bool:
    """Whether a cell holds nothing: None, NaN, NaT or NA."""
    if isinstance(value, str):
        return False
    if value is None:
        return True
    if isinstance(value, float):
        return value != value  # noqa: PLR0124 - NaN is the only number that differs from itself
    return type(value).__name__ in {"NAType", "NaTType"}


def chosen_positions(length: int, limit: int | None, sample: int | None) -> list[int] | slice:
    """Positions of the rows that ``limit`` and ``sample`` leave."""
    if sample is None:
        return slice(limit)
    rng = random.Random(SAMPLE_SEED)  # noqa: S311 - no secret
    chosen = sorted(rng.sample(range(length), min(sample, length)))
    return chosen[:limit]


def items_source(data: Iterable[Any], limit: int | None, sample: int | None) -> Source:
    """A list or an iterator of rows; items that are no mappings fill ``{value}``.

    Raises:
        ConfigError: `sample` is given with an iterator.
    """
    if sample is not None:
        if not isinstance(data, Sequence):
            raise ConfigError(
                "sample needs a source with a length (a frame, a column, a list); use limit for an iterator"
            )
        positions = chosen_positions(len(data), limit, sample)
        data = [data[place] for place in positions] if isinstance(positions, list) else data[positions]
    if isinstance(data, Sized):
        return _listed(data, limit)
    return _iterated(iter(data), limit)


def _listed(data: Any, limit: int | None) -> Source:
    def items() -> Iterator[Any]:
        return itertools.islice(iter(data), limit)

    length = len(data) if limit is None else min(limit, len(data))
    return Source(
        read=lambda used: (as_row(item, used) for item in items()),
        items=items,
        columns=_labels_of(itertools.islice(iter(data), 1)),
        length=length,
        may_block=type(data) not in _BUILT_IN,
    )


def _iterated(data: Iterator[Any], limit: int | None) -> Source:
    head = _PUT_BACK.take(data) or list(itertools.islice(data, 1))
    rows = itertools.islice(itertools.chain(head, data), limit)
    return Source(
        read=lambda used: (as_row(item, used) for item in rows),
        items=lambda: rows,
        columns=_labels_of(iter(head)),
        length=None,
        may_block=True,
        put_back=lambda: _PUT_BACK.put(data, head),
    )


def _labels_of(first: Iterator[Any]) -> tuple[str, ...] | None:
    for item in first:
        return tuple(map(str, item)) if isinstance(item, Mapping) else (VALUE,)
    return None


def as_row(item: Any, used: Sequence[str]) -> Row:
    """An item as a row; keys that are no texts are found by their ``str``."""
    if not isinstance(item, Mapping):
        return {VALUE: item}
    if all(name in item for name in used):
        return item
    return {str(key): value for key, value in item.items()}


class _PutBack:
    """First items that were read from iterators whose batch was then refused: a later batch gets them first.

    An iterator cannot be looked at without taking from it. The newest few iterators are kept alive for that,
    no more.
    """

    def __init__(self) -> None:
        self._heads: list[tuple[Iterator[Any], list[Any]]] = []

    def put(self, rows: Iterator[Any], head: list[Any]) -> None:
        self._heads.append((rows, head))
        del self._heads[:-MAX_PUT_BACK]

    def take(self, rows: Iterator[Any]) -> list[Any]:
        for place, (known, head) in enumerate(self._heads):
            if known is rows:
                del self._heads[place]
                return head
        return []


_PUT_BACK = _PutBack()
