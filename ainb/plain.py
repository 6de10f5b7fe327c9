"""Plain values and texts: of numpy scalars and missing values, of texts that are not Unicode, of counts."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

SIZE_OF_DOUBLE = 8
_NUMBER_KINDS = frozenset("biuf")


def plain_scalar(value: Any) -> Any:
    """Convert a numpy scalar to a Python value; any other value is returned unchanged."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, numpy.generic | numpy.ndarray) or value.ndim:
        return value
    if value.dtype.kind == "U":
        return str(value)
    if value.dtype.kind not in _NUMBER_KINDS:
        return value
    if value.dtype.kind != "f":
        return value.item()
    # The `item` method of a longdouble returns a longdouble; a float32 of 0.1 is 0.1 and not 0.10000000149.
    return float(str(value)) if value.dtype.itemsize < SIZE_OF_DOUBLE else float(value)


def plain_value(value: Any) -> Any:
    """Apply `plain_scalar` also inside dicts, lists and tuples; arrays of numbers become lists."""
    if isinstance(value, Mapping):
        return {plain_scalar(key): plain_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple) and type(value) in {list, tuple}:
        return type(value)(map(plain_value, value))
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.ndarray) and value.ndim:
        return value.tolist()
    return plain_scalar(value)


def plain_fields(options: Any) -> None:
    """Apply `plain_scalar` to each field of a frozen dataclass, at the start of its ``__post_init__``."""
    if "numpy" not in sys.modules:
        return
    for item in dataclasses.fields(options):
        value = getattr(options, item.name)
        plain = plain_scalar(value)
        if plain is not value:
            object.__setattr__(options, item.name, plain)


def is_missing(value: Any) -> bool:
    """Whether a cell is a missing value: None, NaN (also a Decimal), NaT or NA."""
    if isinstance(value, str):
        return False
    if value is None:
        return True
    if isinstance(value, float):
        return value != value  # noqa: PLR0124 - NaN is the only number that differs from itself
    return type(value).__name__ in {"NAType", "NaTType"} or (isinstance(value, Decimal) and value.is_nan())


def join_surrogates(text: str) -> str:
    """Join surrogate pairs in a text and replace lone surrogates by U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def counted(number: int, thing: str, plural: str = "s") -> str:
    """A number with its noun: "1 row", "2,000 rows"; `plural` is the ending of the plural."""
    return f"{number:,} {thing}{'' if number == 1 else plural}"
