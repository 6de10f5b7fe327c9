"""Readers of option values, from texts and tables to typed values; fields of the tree of options."""

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
    """What was given may hold a secret; a message must not repeat it."""


def read_text(value: Any) -> str | None:
    """A text; an empty one means None.

    Raises:
        ValueError: It is no text.
    """
    if value is None or isinstance(value, str):
        return value or None
    raise ValueError("a text")


def read_path(value: Any) -> Path | None:
    """A path, ``~`` being the user's home; an empty one means None.

    Raises:
        ValueError: It is no path.
    """
    if value is None or isinstance(value, str | os.PathLike):
        return Path(value).expanduser() if value else None
    raise ValueError("a folder")


def read_flag(value: Any) -> bool:
    """Yes or no, also in words.

    Raises:
        ValueError: It is neither.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ON | OFF:
        return value.lower() in ON
    raise ValueError("true or false")


def read_names(value: Any) -> Mapping[str, str]:
    """Texts by name.

    Raises:
        ValueError: It is no table of texts.
    """
    if isinstance(value, Mapping) and all(isinstance(item, str) for pair in value.items() for item in pair):
        return dict(value)
    raise ValueError("a table of texts")


def read_models(value: Any) -> tuple[str, ...]:
    """Model names from a list, or from a text with commas between them; None means none.

    Raises:
        ValueError: It is neither.
    """
    models = value.split(",") if isinstance(value, str) else value
    if models is None or (isinstance(models, list | tuple) and all(isinstance(name, str) for name in models)):
        return tuple(name.strip() for name in models or () if name.strip())
    raise ValueError("models, as a list or with commas between them")


def read_headers(value: Any) -> Mapping[str, Mapping[str, str]]:
    """HTTP headers by service; their values show themselves as ``'***'``.

    Raises:
        ValueError: It is no table of tables of texts, or names no service.
    """
    takes = 'a table of headers for each service, such as {"openai": {"X-Team": "$TEAM"}}'
    table: Mapping[str, Any] = value if isinstance(value, Mapping) else {"": None}
    inner_tables = [inner if isinstance(inner, Mapping) else {"": None} for inner in table.values()]
    if not all(isinstance(item, str) for inner in inner_tables for pair in inner.items() for item in pair):
        # What was given may hold secrets; the caller's message would repeat it.
        raise UnsafeTextError(takes)
    from ainb import providers

    try:
        for service, inner in table.items():
            providers.check_headers(service, inner)
    except ConfigError as error:
        raise UnsafeTextError(f"{takes}: {error}") from None
    return {service: {name: Key(text) for name, text in inner.items()} for service, inner in table.items()}


def read_tokens(value: Any) -> int:
    """A number of tokens.

    Raises:
        ValueError: It is no whole number of at least 0.
    """
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError("a whole number of at least 0")


def read_amount(value: Any) -> Decimal | None:
    """An amount of USD; None means no limit.

    Raises:
        ValueError: It is no amount.
    """
    if value is None or value == "":
        return None
    try:
        return read_usd("an amount", value)
    except ConfigError:
        raise ValueError("a number of USD from 0 to 1,000,000") from None


def read_wait(value: Any) -> float:
    """A number of seconds.

    Raises:
        ValueError: It is no number above 0.
    """
    try:
        seconds = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        seconds = math.nan
    if 0 < seconds < math.inf:
        return seconds
    raise ValueError("a number of seconds above 0")


def read_table(value: Any) -> Mapping[str, Mapping[str, Any]]:
    """Tables by name.

    Raises:
        ValueError: It is no table of tables.
    """
    if isinstance(value, Mapping) and all(isinstance(inner, Mapping) for inner in value.values()):
        return dict(value)
    raise ValueError("a table of tables")


def one_of(*choices: str) -> Callable[[Any], str]:
    """A reader of one of some words; it raises ValueError for any other."""

    def read(value: Any) -> str:
        if value in choices:
            return str(value)
        raise ValueError(f"one of {', '.join(choices)}")

    return read


def option(default: Any, read: Callable[[Any], Any], text: str) -> Any:
    """A single-valued option: its default, how a raw value is read, and its help line."""
    make = {"default_factory": default} if callable(default) else {"default": default}
    return field(**make, metadata={"read": read, "help": text})


def section(kind: type, text: str, *, on: bool = True, short: Callable[[str], Any] | None = None) -> Any:
    """The options of a stage: a frozen dataclass beside it.

    None turns the stage off, `short` reads a short form of them.
    """
    return field(default=kind() if on else None, metadata={"section": kind, "help": text, "short": short})
