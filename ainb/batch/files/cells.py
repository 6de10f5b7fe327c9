"""Converts values to cell texts, and escapes texts that a spreadsheet would run as formulas."""

from __future__ import annotations

import json
import re
from typing import Any

from ainb.plain import is_missing, join_surrogates, plain_value

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_PLAIN_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")


def cell_text(value: Any) -> str:
    """Text of a cell: empty for a missing value, JSON for lists, arrays and dicts, else its ``str``."""
    if isinstance(value, str):
        # Half of a surrogate pair cannot be written in UTF-8.
        return value if value.isascii() else join_surrogates(value)
    if is_missing(value):
        return ""
    value = plain_value(value)  # an array becomes a list; its `str` leaves out all but a few values
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def escape_formula(text: str) -> str:
    """Put ``'`` in front of a text that a spreadsheet would run as a formula; plain numbers stay unchanged.

    Source: OWASP, "CSV Injection".
    """
    if text.startswith(FORMULA_STARTS) and not _PLAIN_NUMBER.fullmatch(text):
        return f"'{text}"
    return text
