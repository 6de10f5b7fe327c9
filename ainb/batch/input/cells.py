"""Converts schema values to cells that a DataFrame, every file format and the journal can hold. No I/O."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import orjson

from ainb.plain import join_surrogates

INT64 = range(-(2**63), 2**63)
# The standard library's JSON is recursive: deeper values could be written but not read back.
MAX_DEPTH = 500


def check_fields(fields: Mapping[str, Any], dtypes: Mapping[str, str]) -> dict[str, Any]:
    """Values of a row, converted to the types of their columns.

    Args:
        fields: JSON values by schema field; missing ones are None.
        dtypes: Dtype of each field's column; see `ainb.batch.results.frame.typed_column`.

    Raises:
        ValueError: A value does not fit; the message names the field and the reason.
    """
    checked = {}
    for name, dtype in dtypes.items():
        try:
            checked[name] = _CHECKS[dtype](fields.get(name))
        except (ValueError, TypeError, OverflowError) as error:
            raise ValueError(f"the field {name!r} {error}") from None
    return checked


def clean_text(text: str) -> str:
    """Text that can be encoded: split surrogate pairs are joined, a lone surrogate becomes U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return join_surrogates(text)
    return text


def json_text(value: Any) -> str:
    """JSON text of a value; integers of any size keep all their digits."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return clean_text(json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str))


def _integer(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int:
        raise TypeError(f"is not an integer: {value!r:.60}")
    if value not in INT64:
        # Python refuses str() of a very long integer.
        about = f"about 2^{value.bit_length()}"
        raise ValueError(f"is an integer of more than 64 bits ({about}); declare it as a string or a number")
    return value


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"is not a number: {value!r:.60}")
    try:
        number = float(value)
    except OverflowError:
        raise ValueError("is a number beyond the range of a float; declare it as a string") from None
    if math.isinf(number):
        raise ValueError("is a number beyond the range of a float; declare it as a string")
    return None if math.isnan(number) else number


def _flag(value: Any) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise TypeError(f"is neither true nor false: {value!r:.60}")
    return value


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value if value is None else clean_text(value)
    return json_text(_plain(value))


def _plain(value: Any) -> Any:
    """A JSON value with limited depth and encodable texts."""
    try:
        orjson.dumps(value)
    except TypeError:
        if _depth(value) > MAX_DEPTH:
            raise ValueError(f"is nested more than {MAX_DEPTH} levels deep") from None
        # Round trip, so that the value has the type that the journal returns.
        return json.loads(json_text(value))
    return value


def _depth(value: Any) -> int:
    """Levels of nesting, without recursion; counts no further than MAX_DEPTH + 1."""
    level, depth = [value], 0
    while level and depth <= MAX_DEPTH:
        inner: list[Any] = []
        for item in level:
            if isinstance(item, Mapping):
                inner.extend(item.values())
            elif isinstance(item, list | tuple):
                inner.extend(item)
        depth += bool(inner)
        if not inner:
            break
        level = inner
    return depth


_CHECKS = {
    "string": _text,
    "category": _text,
    "json": _plain,
    "Int64": _integer,
    "Float64": _number,
    "boolean": _flag,
}
