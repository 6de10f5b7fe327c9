"""Converts values of a column to labels: equal values of different types become equal, an order is kept."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from decimal import Decimal
from enum import Enum
from typing import Any

from ainb.errors import ConfigError
from ainb.plain import is_missing

Label = str | int | float | bool
_SHOWN = 60


def read_label(value: Any) -> Label | None:
    """A value as a label; None for a missing value (None, NaN, NaT, NA).

    An Enum becomes its value, a NumPy scalar or Decimal a Python number, a whole float an integer; any other
    value becomes its JSON text.
    """
    while isinstance(value, Enum):
        value = value.value
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, Decimal):
        value = float(value)
    if is_missing(value):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, str | bool | int):
        return value
    return _as_json(value)


def _as_json(value: Any) -> str:
    if hasattr(value, "model_dump"):
        value = value.model_dump(mode="json")
    if isinstance(value, set | frozenset):
        value = sorted(value, key=str)
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


def read_labels(column: Iterable[Any]) -> list[Label | None]:
    """A column as labels; see `read_label`."""
    return [read_label(value) for value in column]


def in_order(labels: Iterable[Label]) -> list[Label]:
    """Distinct labels, numbers before strings, each sorted; independent of the input's order."""
    return sorted(set(labels), key=_sort_key)


def _sort_key(label: Label) -> tuple[bool, float, str]:
    return (True, 0.0, label) if isinstance(label, str) else (False, float(label), "")


def declared_order(column: Any) -> list[Label] | None:
    """The order that a column declares: of an ordered Categorical, or of members of one Enum; else None."""
    dtype = getattr(column, "dtype", None)
    if getattr(dtype, "ordered", False):
        return [label for label in read_labels(getattr(dtype, "categories", ())) if label is not None]
    kinds = {type(value) for value in column if read_label(value) is not None}
    if len(kinds) == 1 and issubclass(kind := kinds.pop(), Enum):
        return [label for label in map(read_label, kind) if label is not None]
    return None


def label_order(columns: Sequence[Any], found: Sequence[Label]) -> list[Label]:
    """The labels of several columns in their common order, for weights.

    Args:
        columns: As the caller gave them.
        found: All labels that occur in the columns.

    Raises:
        ConfigError: They have no order: strings sort alphabetically, "high" before "low".
    """
    orders = [order for column in columns if (order := declared_order(column)) is not None]
    if orders:
        if any(order != orders[0] for order in orders):
            raise ConfigError("the two columns order their labels differently; pass labels=[…] in one order")
        _check_known(found, orders[0])
        return orders[0]
    if all(not isinstance(label, str) for label in found):
        return in_order(found)
    texts = ", ".join(repr(label) for label in in_order(found))
    raise ConfigError(
        "weights need labels in an order, and texts have none "
        f"({texts:.{_SHOWN}}); pass labels=['lowest', …, 'highest'], "
        "or columns of an ordered Categorical, of numbers, or of an Enum"
    )


def given_order(labels: Sequence[Any], found: Sequence[Label]) -> list[Label]:
    """The caller's own list of labels, checked.

    Raises:
        ConfigError: A label is listed twice, or one that occurs is missing.
    """
    order = [label for label in read_labels(labels) if label is not None]
    if len(set(order)) < len(labels):
        raise ConfigError(f"labels must name each label once; it is {list(labels)!r:.{_SHOWN}}")
    _check_known(found, order)
    return order


def _check_known(found: Sequence[Label], order: Sequence[Label]) -> None:
    unknown = [label for label in found if label not in set(order)]
    if unknown:
        raise ConfigError(
            f"the label {unknown[0]!r} occurs and is not among the labels {list(order)!r:.{_SHOWN}}"
        )
