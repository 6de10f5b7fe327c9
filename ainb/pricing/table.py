"""The user's own price table: checked once, looked up by name or pattern."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from typing import Any

from ainb.errors import ConfigError
from ainb.pricing.rates import ZERO, Rates

PRICE_KEYS = {
    "input_usd_per_million": "input",
    "output_usd_per_million": "output",
    "cache_read_usd_per_million": "cache_read",
    "cache_write_usd_per_million": "cache_write",
    "cache_write_1h_usd_per_million": "cache_write_1h",
    "request_usd": "request",
}
MAX_USD_PER_MILLION = Decimal(10_000)
MAX_REQUEST_USD = Decimal(1_000)
_PATTERN_MARKS = frozenset("*?[")


class PriceTable:
    """Prices by ``provider:model``, by ``model``, or by a pattern of either (``openai:gpt-5*``).

    An exact name wins over a pattern, ``provider:model`` over ``model``, and a longer pattern over a shorter
    one. A table with only a price of input charges nothing for output, and vice versa.

    Args:
        table: Prices by name, each with the keys of `PRICE_KEYS`.

    Raises:
        ConfigError: A key is unknown, or a price is negative, not a number, or in another unit.
    """

    def __init__(self, table: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        rates = {name.strip().lower(): _read_rates(name, entry) for name, entry in (table or {}).items()}
        self._exact = {name: item for name, item in rates.items() if not _PATTERN_MARKS & set(name)}
        patterns = (pair for pair in rates.items() if pair[0] not in self._exact)
        self._patterns = sorted(patterns, key=lambda pair: -len(pair[0]))

    def find(self, provider: str, model: str) -> Rates | None:
        """Rates of a model, or None when the table does not name it."""
        names = (f"{provider}:{model}".lower(), model.lower())
        for name in names:
            if name in self._exact:
                return self._exact[name]
        for pattern, rates in self._patterns:
            if any(fnmatchcase(name, pattern) for name in names):
                return rates
        return None


def _read_rates(name: str, entry: object) -> Rates:
    if not isinstance(entry, Mapping) or not entry:
        raise ConfigError(f"prices[{name!r}] takes a table of {', '.join(PRICE_KEYS)}; it is {entry!r}")
    for key in entry:
        if key not in PRICE_KEYS:
            near = difflib.get_close_matches(str(key), PRICE_KEYS, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(PRICE_KEYS)}"
            raise ConfigError(f"prices[{name!r}] has no {key!r}; {hint}")
    rates = {"input": ZERO, "output": ZERO}
    rates.update({PRICE_KEYS[key]: _read_price(name, key, value) for key, value in entry.items()})
    return Rates(**rates)


def _read_price(name: str, key: str, value: object) -> Decimal:
    limit = MAX_REQUEST_USD if key == "request_usd" else MAX_USD_PER_MILLION
    unit = "USD for a request" if key == "request_usd" else "USD for a million tokens"
    price = _number(value)
    if not (price.is_finite() and ZERO <= price <= limit):
        raise ConfigError(
            f"prices[{name!r}] {key} must be a number from 0 to {limit:,} ({unit}); it is {value!r}"
        )
    return price


def _number(value: object) -> Decimal:
    """The value as a Decimal; NaN if it is not a number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return Decimal("NaN")
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return Decimal("NaN")
