"""Checks of option values, with one form of message for numbers, flags and exception types."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

from ainb.errors import ConfigError


def check_number(
    name: str,
    value: object,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    whole: bool = False,
) -> None:
    """Refuse an option that is no finite number of its range.

    Args:
        name: Of the option, as in "Circuit.probes".
        value: What was given.
        least: Smallest value that is allowed; None means no such bound.
        above: Value that it must exceed; None means no such bound.
        most: Largest value that is allowed; None means no bound.
        whole: Only whole numbers count.

    Raises:
        ConfigError: It names option, range and value.
    """
    kinds = (int,) if whole else (int, float)
    fits = (
        isinstance(value, kinds)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and (least is None or value >= least)
        and (above is None or value > above)
        and (most is None or value <= most)
    )
    if not fits:
        kind = "a whole number" if whole else "a number"
        bounds = [("at least", least), ("above", above), ("at most", most)]
        text = " and ".join(f"{word} {bound:g}" for word, bound in bounds if bound is not None)
        raise ConfigError(f"{name} must be {kind} {text}; it is {value!r}")


def exception_types(name: str, value: object) -> tuple[type[Exception], ...]:
    """Read one exception type, or several, into a tuple.

    Raises:
        ConfigError: An item is no subclass of Exception: interrupts and cancellation are no faults of a
            provider.
    """
    items = tuple(value) if isinstance(value, tuple | list | set | frozenset) else (value,)
    for item in items:
        if not (isinstance(item, type) and issubclass(item, Exception)):
            raise ConfigError(f"{name} takes subclasses of Exception; {item!r} is none")
    return items


def check_flag(name: str, value: object) -> None:
    """Refuse an option that is neither True nor False.

    Raises:
        ConfigError: It names option and value.
    """
    if not isinstance(value, bool):
        raise ConfigError(f"{name} must be True or False; it is {value!r}")


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling `function` makes a coroutine; partials and objects with an async ``__call__`` count.

    Raises:
        ConfigError: It is a generator function, which fails after it has returned, where a decorator cannot
            see it.
    """
    forms = (function, getattr(function, "__call__", None))  # noqa: B004 - the method itself is needed
    if any(inspect.isgeneratorfunction(form) or inspect.isasyncgenfunction(form) for form in forms):
        name = getattr(function, "__name__", repr(function))
        raise ConfigError(
            f"{name} is a generator function, and its outcome cannot be seen; decorate the function that "
            "reads it to its end"
        )
    return any(inspect.iscoroutinefunction(form) for form in forms)
