"""Reader of JSON Lines: one JSON value per line; a value that is not an object is the row's ``{value}``."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ainb.batch.files.table import check_options
from ainb.batch.files.text import find_encoding, open_text
from ainb.batch.input.source import VALUE
from ainb.errors import ConfigError

OPTIONS = ("encoding",)


class JsonLinesFile:
    """A JSON Lines file that was checked from beginning to end.

    Args:
        path: The file.
        read: ``encoding``.
        limit: Number of rows to check; None means all.

    Raises:
        ConfigError: The file is empty, its encoding is wrong, or a line is not JSON; the message names
            file, line and fix.
    """

    def __init__(self, path: Path, read: Mapping[str, Any], limit: int | None = None) -> None:
        check_options(path, read, OPTIONS)
        self._path = path
        self._encoding = find_encoding(path, read.get("encoding"))
        labels: dict[str, None] = {}
        self.length = 0
        first: Any = None
        for value in itertools.islice(self._values(), limit):
            first = value if self.length == 0 else None
            labels.update(dict.fromkeys(map(str, value) if isinstance(value, dict) else (VALUE,)))
            self.length += 1
        if self.length == 0 and limit != 0:
            raise ConfigError(f"{path.name} is empty; give a file with one JSON object per line")
        if isinstance(first, list):
            raise ConfigError(
                f"{path.name} holds one JSON array; "
                "write one object per line, or give the list: json.load(open(…))"
            )
        self.columns = tuple(labels)

    def rows(self, names: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        """The rows in order, with all keys of their lines; an absent key is a missing value."""
        return (value if isinstance(value, dict) else {VALUE: value} for value in self._values())

    def _values(self) -> Iterator[Any]:
        with open_text(self._path, self._encoding) as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                try:
                    yield json.loads(line)
                except (ValueError, RecursionError):
                    raise ConfigError(
                        f"{self._path.name}, line {number}, is not JSON; correct the line or leave it out"
                    ) from None
