"""`Source`: the rows of a batch, read once and lazily, with only the used columns."""

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

# Reading these types runs no user code, so no thread is needed.
_BUILT_IN = frozenset({list, tuple, range, dict, set, frozenset, str})

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Source:
    """Rows that are iterated once.

    Attributes:
        read: Returns an iterator of rows for the used labels; a row maps label to value. A label that is
            absent in a row is a missing value.
        items: Returns the rows as items for a function.
        columns: Labels of all rows as strings (for an iterator those of the first row); None without rows.
        aliases: Other spellings of labels, with the label in `columns`.
        repeated: Labels of several columns.
        length: Number of rows; None when it is only known after reading.
        index: Index of the result; None for a RangeIndex.
        carry: Returns the input columns of labels with their own types, for ``keep``; None when they must be
            collected while reading.
        deliver: Converts the result and the kept columns to the input's kind of table; None makes a pandas
            DataFrame.
        path: The input file, or None.
        may_block: Whether reading a row runs a user's iterator, which may block or raise any exception.
        put_back: Returns to an iterator the items that were read to find the columns; None without any.
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
        """Labels of the columns and their other spellings; None without rows."""
        return None if self.columns is None else (*self.columns, *self.aliases)

    def check(self, used: Iterable[str]) -> None:
        """Check that each used label belongs to one column.

        Raises:
            ConfigError: Several columns have the label.
        """
        for name in used:
            if self.aliases.get(name, name) in self.repeated:
                raise ConfigError(
                    f"the frame has several columns named {name!r}; "
                    f"rename them, so that {{{name}}} says which"
                )


def chosen_positions(length: int, limit: int | None, sample: int | None) -> list[int] | slice:
    """Positions of the rows selected by ``limit`` and ``sample``."""
    if sample is None:
        return slice(limit)
    rng = random.Random(SAMPLE_SEED)  # noqa: S311 - no secret
    chosen = sorted(rng.sample(range(length), min(sample, length)))
    return chosen[:limit]


def items_source(data: Iterable[Any], limit: int | None, sample: int | None) -> Source:
    """A list or an iterator of rows; items that are not mappings fill ``{value}``.

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
    """An item as a row; keys that are not strings are matched by their ``str``."""
    if not isinstance(item, Mapping):
        return {VALUE: item}
    if all(name in item for name in used):
        return item
    return {str(key): value for key, value in item.items()}


class _PutBack:
    """First items of iterators whose batch was refused; the next batch of the same iterator gets them first.

    The columns of an iterator are only known once its first item is read. Only the newest few iterators are
    kept alive.
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
