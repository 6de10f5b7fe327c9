"""Parsers of option values, from texts and tables to typed values; fields of the options tree."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import field
from decimal import Decimal
from pathlib import Path
from typing import Any

from ainb.errors import ConfigError
from ainb.keys import Key
from ainb.pipeline.budget import read_usd

ON = frozenset({"1", "true", "yes", "on"})
OFF = frozenset({"0", "false", "no", "off"})


class UnsafeTextError(ValueError):
    """An invalid value that may contain a secret, so that the message must not repeat it."""


def read_text(value: Any) -> str | None:
    """Read a text; an empty one means None.

    Raises:
        ValueError: The value is not a text.
    """
    if value is None or isinstance(value, str):
        return value or None
    raise ValueError("a text")


def read_path(value: Any) -> Path | None:
    """Read a path, where ``~`` is the user's home; an empty one means None.

    Raises:
        ValueError: The value is not a path.
    """
    if value is None or isinstance(value, str | os.PathLike):
        return Path(value).expanduser() if value else None
    raise ValueError("a folder")


def read_flag(value: Any) -> bool:
    """Read a flag: a bool, or a word such as "true" or "off".

    Raises:
        ValueError: The value is neither.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ON | OFF:
        return value.lower() in ON
    raise ValueError("true or false")


def read_names(value: Any) -> Mapping[str, str]:
    """Read a table of texts by name.

    Raises:
        ValueError: The value is not a table of texts.
    """
    if _is_of_texts(value):
        return dict(value)
    raise ValueError("a table of texts")


def _is_of_texts(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(text, str) for text in (*value, *value.values()))


def read_models(value: Any) -> tuple[str, ...]:
    """Read model names from a list or a comma-separated text; None means no models.

    Raises:
        ValueError: It is neither.
    """
    models = value.split(",") if isinstance(value, str) else value
    if models is None or (isinstance(models, list | tuple) and all(isinstance(name, str) for name in models)):
        return tuple(name.strip() for name in models or () if name.strip())
    raise ValueError("models, as a list or with commas between them")


def read_headers(value: Any) -> Mapping[str, Mapping[str, str]]:
    """Read HTTP headers by service; their values are shown as ``'***'``.

    Raises:
        ValueError: The value is not a table of tables of texts, or names no service.
    """
    takes = 'a table of headers for each service, such as {"openai": {"X-Team": "$TEAM"}}'
    if not isinstance(value, Mapping) or not all(map(_is_of_texts, value.values())):
        # The value may contain secrets, and the caller's message would repeat it.
        raise UnsafeTextError(takes)
    from ainb import providers

    try:
        for service, inner in value.items():
            providers.check_headers(service, inner)
    except ConfigError as error:
        raise UnsafeTextError(f"{takes}: {error}") from None
    return {service: {name: Key(text) for name, text in inner.items()} for service, inner in value.items()}


def read_tokens(value: Any) -> int:
    """Read a number of tokens.

    Raises:
        ValueError: The value is not a whole number of at least 0.
    """
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError("a whole number of at least 0")


def read_amount(value: Any) -> Decimal | None:
    """Read an amount in USD; None means no limit.

    Raises:
        ValueError: The value is not an amount from 0 to 1,000,000.
    """
    if value is None or value == "":
        return None
    try:
        return read_usd("an amount", value)
    except ConfigError:
        raise ValueError("a number of USD from 0 to 1,000,000") from None


def read_wait(value: Any) -> float:
    """Read a number of seconds.

    Raises:
        ValueError: The value is not a number above 0.
    """
    try:
        seconds = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        seconds = math.nan
    if 0 < seconds < math.inf:
        return seconds
    raise ValueError("a number of seconds above 0")


def read_table(value: Any) -> Mapping[str, Mapping[str, Any]]:
    """Read a table of tables by name.

    Raises:
        ValueError: The value is not a table of tables.
    """
    if isinstance(value, Mapping) and all(isinstance(inner, Mapping) for inner in value.values()):
        return dict(value)
    raise ValueError("a table of tables")


def one_of(*choices: str) -> Callable[[Any], str]:
    """Make a parser that accepts one of `choices` and raises ValueError for any other value."""

    def read(value: Any) -> str:
        if value in choices:
            return str(value)
        raise ValueError(f"one of {', '.join(choices)}")

    return read


def option(default: Any, read: Callable[[Any], Any], text: str) -> Any:
    """Define a single-valued option: its default, the parser of raw values, and its help line."""
    make = {"default_factory": default} if callable(default) else {"default": default}
    return field(**make, metadata={"read": read, "help": text})


def section(kind: type, text: str, *, on: bool = True, short: Callable[[str], Any] | None = None) -> Any:
    """Define the options of a stage, a frozen dataclass of type `kind`.

    The value None turns the stage off; `short` reads a short form of the options.
    """
    return field(default=kind() if on else None, metadata={"section": kind, "help": text, "short": short})
