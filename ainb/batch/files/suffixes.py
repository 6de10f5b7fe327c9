"""File formats by suffix."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from ainb.errors import ConfigError

FORMATS = {
    ".csv": "csv", ".csv.gz": "csv", ".tsv": "csv", ".tsv.gz": "csv",
    ".jsonl": "jsonl", ".jsonl.gz": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".xlsx": "xlsx",
}  # fmt: skip
WRITABLE = tuple(suffix for suffix, name in FORMATS.items() if name != "xlsx")
_OTHERS = (
    ".xls", ".xlsm", ".json", ".txt", ".feather", ".arrow", ".ods", ".csv.zip", ".csv.bz2", ".csv.xz",
    ".csv.zst",
)  # fmt: skip


def suffix_of(path: str | Path) -> str | None:
    """The known suffix of a file's name in lower case, such as ".csv.gz"; None for an unknown format."""
    name = Path(path).name.lower()
    return max((suffix for suffix in FORMATS if name.endswith(suffix)), key=len, default=None)


def is_path(data: Any) -> bool:
    """Whether `data` is the path of a file and not the rows themselves."""
    if isinstance(data, Path):
        return True
    return isinstance(data, str) and "\n" not in data and data.lower().endswith((*FORMATS, *_OTHERS))


def format_of(path: str | Path, what: str, known: Collection[str] = tuple(FORMATS)) -> str:
    """The format by a file's suffix: "csv", "jsonl", "parquet" or "xlsx".

    Args:
        path: The file.
        what: Beginning of the message, such as ``out='x.xls'``.
        known: Accepted suffixes.

    Raises:
        ConfigError: The suffix is none of these.
    """
    suffix = suffix_of(path)
    if suffix is None or suffix not in known:
        raise ConfigError(f"{what} must end in one of {', '.join(known)}")
    return FORMATS[suffix]
