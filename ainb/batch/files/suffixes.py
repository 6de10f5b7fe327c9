"""File formats by the ends of names."""

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
    """The known end of a file's name in lower case, such as ".csv.gz"; None when the format is not known."""
    name = Path(path).name.lower()
    return max((suffix for suffix in FORMATS if name.endswith(suffix)), key=len, default=None)


def is_path(data: Any) -> bool:
    """Whether `data` names a file rather than holding rows."""
    if isinstance(data, Path):
        return True
    return isinstance(data, str) and "\n" not in data and data.lower().endswith((*FORMATS, *_OTHERS))


def format_of(path: str | Path, what: str, known: Collection[str] = tuple(FORMATS)) -> str:
    """The format that a file's name says: "csv", "jsonl", "parquet" or "xlsx".

    Args:
        path: The file.
        what: How the message begins, such as ``out='x.xls'``.
        known: Ends of names that are taken.

    Raises:
        ConfigError: It says none of these.
    """
    suffix = suffix_of(path)
    if suffix is None or suffix not in known:
        raise ConfigError(f"{what} must end in one of {', '.join(known)}")
    return FORMATS[suffix]
