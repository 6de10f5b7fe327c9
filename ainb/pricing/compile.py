"""Compilation of the price data that ainb ships: ``python -m ainb.pricing.compile``, at a release.

The data contains names, context windows and token prices of genai-prices, in a form that is read in a few
milliseconds without that package, whose import takes half a second. Prices that depend on the time of day are
left to the package.
"""

from __future__ import annotations

import dataclasses
import gzip
import itertools
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import orjson
from genai_prices.data import providers
from genai_prices.types import ModelPrice, StartDateConstraint, TieredPrices

from ainb.pricing.snapshot import FILE_NAME, PACKAGE, RATE_NAMES


def compile_prices() -> bytes:
    """Compile the data as gzipped JSON."""
    data = {
        "package_version": metadata.version(PACKAGE),
        "date": datetime.now(UTC).date().isoformat(),
        "providers": [_provider(item) for item in providers],
    }
    return gzip.compress(orjson.dumps(data), mtime=0)


def _provider(item: Any) -> dict[str, Any]:
    return {
        "id": item.id,
        "named": _clause(item.provider_match),
        "serves": _clause(item.model_match),
        "borrows": item.fallback_model_providers or [],
        "models": [_model(model) for model in item.models],
    }


def _model(item: Any) -> dict[str, Any]:
    return {
        "id": item.id,
        "match": _clause(item.match),
        "window": item.context_window,
        "deprecated": bool(item.deprecated),
        "prices": _prices(item.prices),
        "variants": [variant.when for variant in item.price_variants or ()],
    }


def _clause(clause: Any) -> list[Any] | None:
    """A clause as its test's name and text, or its parts."""
    if clause is None:
        return None
    ((name, value),) = dataclasses.asdict(clause).items()
    if name in {"or_", "and_"}:
        return [name.rstrip("_"), [_clause(part) for part in getattr(clause, name)]]
    return [name, value if name == "regex" else value.lower()]


def _prices(prices: Any) -> list[list[Any]] | None:
    """Start (None: always) and bands of each price, oldest first; None if only the package can compute it."""
    if isinstance(prices, ModelPrice):
        return [[None, _bands(prices)]]
    if any(not isinstance(item.constraint, StartDateConstraint | None) for item in prices):
        return None
    return [
        [None if item.constraint is None else item.constraint.start_date.isoformat(), _bands(item.prices)]
        for item in prices
    ]


def _bands(prices: Any) -> list[list[Any]]:
    """Most input tokens (None: any number) and rates of each band of prompt sizes, smallest first."""
    values = {name: vars(prices).get(of_package) for name, of_package in RATE_NAMES.items()}
    starts = {tier.start for value in vars(prices).values() for tier in getattr(value, "tiers", ())}
    bands = []
    for least, most in itertools.pairwise([None, *sorted(starts), None]):
        rates = {name: _at(value, least) for name, value in values.items() if value is not None}
        bands.append([most, {name: str(rate) for name, rate in rates.items()}])
    return bands


def _at(value: Any, least: int | None) -> Any:
    """The price of a band whose prompts have more input tokens than `least`."""
    if not isinstance(value, TieredPrices):
        return value
    reached = [tier.price for tier in value.tiers if least is not None and tier.start <= least]
    return reached[-1] if reached else value.base


if __name__ == "__main__":
    path = Path(__file__).parent.parent / "data" / FILE_NAME
    path.write_bytes(compile_prices())
    print(f"{path.name}: {path.stat().st_size:,} bytes")  # noqa: T201 - a command
