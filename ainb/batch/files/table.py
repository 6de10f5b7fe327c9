"""What a reader of a file offers: columns, number of rows, rows."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from ainb.errors import ConfigError
from ainb.suggestions import closest


class TableFile(Protocol):
    """A file that was checked and can be read again and again.

    Attributes:
        columns: Labels, each once.
        length: Number of rows; where only the first rows were asked for, of those.
    """

    columns: tuple[str, ...]
    length: int

    def rows(self, names: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        """The rows in order, with the columns of these labels at least; a cell that holds nothing is None."""
        ...


def check_options(path: Path, given: Mapping[str, Any], known: Sequence[str]) -> None:
    """Make sure that ``read=`` holds options of this format.

    Raises:
        ConfigError: It holds another.
    """
    for name in given:
        if name not in known:
            raise ConfigError(
                f"read={{{name!r}: …}} is not an option for {path.name}; {closest(str(name), known)}"
            )


def need_module(path: Path, module: str, extra: str) -> None:
    """Make sure that a module for this format is there.

    Raises:
        ConfigError: It is not; the message names the extra that installs it.
    """
    try:
        importlib.import_module(module)
    except ImportError:
        raise ConfigError(
            f"{path.name} needs {module.partition('.')[0]}; "
            f"install it with pip install 'ainb-notebook[{extra}]'"
        ) from None


def distinct_labels(header: Sequence[Any]) -> tuple[str, ...]:
    """Labels of a header row: ``Unnamed: N`` where there is none, ``a.1`` for the second ``a``.

    Source: the names that ``pandas.read_csv`` gives.
    """
    labels: list[str] = []
    taken: set[str] = set()
    for place, cell in enumerate(header):
        label = "" if cell is None else str(cell).lstrip("\ufeff")
        label = wanted = label or f"Unnamed: {place}"
        number = 0
        while label in taken:
            number += 1
            label = f"{wanted}.{number}"
        taken.add(label)
        labels.append(label)
    return tuple(labels)
