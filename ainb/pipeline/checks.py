"""Validation of option values: numbers, flags and exception types, each with a uniform error message."""

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
    """Raise unless an option is a finite number in its range.

    Args:
        name: Name of the option in the message, such as "Circuit.probes".
        value: The option's value.
        least: Smallest allowed value; None means no lower bound.
        above: Exclusive lower bound; None means no such bound.
        most: Largest allowed value; None means no upper bound.
        whole: Whether only whole numbers are allowed.

    Raises:
        ConfigError: The value is not allowed; the message names option, range and value.
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
        ConfigError: An item is not a subclass of Exception; interrupts and cancellation are not provider
            failures.
    """
    items = tuple(value) if isinstance(value, tuple | list | set | frozenset) else (value,)
    for item in items:
        if not (isinstance(item, type) and issubclass(item, Exception)):
            raise ConfigError(f"{name} takes subclasses of Exception; {item!r} is not one")
    return items


def check_seconds(name: str, value: object) -> None:
    """Raise unless an option is a number of seconds above 0 or None (no limit).

    Raises:
        ConfigError: It is neither; the message names option and value.
    """
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ConfigError(
            f"{name} must be a number of seconds above 0, or None for no limit; it is {value!r}"
        )


def check_flag(name: str, value: object) -> None:
    """Raise unless an option is True or False.

    Raises:
        ConfigError: The value is neither; the message names option and value.
    """
    if not isinstance(value, bool):
        raise ConfigError(f"{name} must be True or False; it is {value!r}")


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling `function` returns a coroutine; partials and objects with an async ``__call__`` count.

    Raises:
        ConfigError: It is a generator function. Its body runs after the call has returned, so a decorator
            cannot see its errors.
    """
    forms = (function, getattr(function, "__call__", None))  # noqa: B004 - the method itself is needed
    if any(inspect.isgeneratorfunction(form) or inspect.isasyncgenfunction(form) for form in forms):
        name = getattr(function, "__name__", repr(function))
        raise ConfigError(
            f"{name} is a generator function, and its outcome cannot be seen; decorate the function that "
            "reads it to its end"
        )
    return any(inspect.iscoroutinefunction(form) for form in forms)
