"""Checks and labels that the readers of all formats share."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ainb.errors import ConfigError
from ainb.suggestions import closest


def check_options(path: Path, given: Mapping[str, Any], known: Sequence[str]) -> None:
    """Check that ``read=`` holds only options of this format.

    Raises:
        ConfigError: It holds another option.
    """
    for name in given:
        if name not in known:
            raise ConfigError(
                f"read={{{name!r}: …}} is not an option for {path.name}; {closest(str(name), known)}"
            )


def need_module(what: str, module: str, extra: str) -> None:
    """Check that the module of a format is installed.

    Args:
        what: Beginning of the message, such as ``table.xlsx needs``.
        module: The module.
        extra: The extra of ainb that installs it.

    Raises:
        ConfigError: It is not; the message names the extra that installs it.
    """
    try:
        importlib.import_module(module)
    except ImportError:
        raise ConfigError(
            f"{what} {module.partition('.')[0]}; install it with pip install 'ainb-notebook[{extra}]'"
        ) from None


def distinct_labels(header: Sequence[Any]) -> tuple[str, ...]:
    """Labels of a header row: ``Unnamed: N`` for an empty one, ``a.1`` for the second ``a``.

    Source: the names of ``pandas.read_csv``.
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
