"""Published prices that ainb ships: names, context windows and rates, read without genai-prices.

The data is made from genai-prices (`ainb.pricing.compile`). It is used if the installed genai-prices has the
version from which it was made; otherwise the package is used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from ainb.messages import Usage
from ainb.pricing.rates import ZERO, Rates

PACKAGE = "genai-prices"
FILE_NAME = "prices.json.gz"
REQUESTS_PER_RATE = 1_000
# Field of `Rates` by name in the package.
RATE_NAMES = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
    "reasoning": "output_reasoning_mtok",
    "request": "requests_kcount",
}
_COMPACT_DATE = re.compile(r"(-)(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")
# Method of `str` by name of a test in the data.
_TESTS = {
    "equals": "__eq__",
    "starts_with": "startswith",
    "ends_with": "endswith",
    "contains": "__contains__",
}
_Clause = list[Any] | None


@dataclass(frozen=True, slots=True)
class Price:
    """Rates that apply from a day on.

    Attributes:
        start: First day (UTC); None means always.
        bands: Pairs of the most input tokens (None: any number) and their rates, smallest prompts first.
    """

    start: date | None
    bands: tuple[tuple[int | None, Rates], ...]


@dataclass(frozen=True, slots=True)
class Listed:
    """A model in the data.

    Attributes:
        window: Context window in tokens; None when unknown.
        prices: Its prices, oldest first; () if only the package can compute them.
    """

    window: int | None
    prices: tuple[Price, ...]

    @property
    def rates(self) -> Rates | None:
        """The rates, if they depend neither on the day nor on the prompt's size; else None."""
        is_one = len(self.prices) == 1 and len(self.prices[0].bands) == 1
        return self.prices[0].bands[0][1] if is_one else None

    def cost(self, usage: Usage, at: datetime) -> Decimal | None:
        """Cost of a use of the model in USD; None when a required count or rate is unknown.

        Args:
            usage: Tokens of the use.
            at: Time of the use; a time without a zone is UTC.
        """
        day = (at if at.tzinfo is None else at.astimezone(UTC)).date()
        past = (item for item in reversed(self.prices) if item.start is None or day >= item.start)
        price = next(past, self.prices[0])
        if len(price.bands) == 1:
            return price.bands[0][1].cost(usage)
        if usage.input_tokens is None or usage.output_tokens is None:
            return None
        parts = (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
        size = max(usage.input_tokens, parts)
        return next(rates for most, rates in price.bands if most is None or size <= most).cost(usage)


class Snapshot:
    """Price data in memory.

    Args:
        data: Data from `ainb.pricing.compile`.

    Attributes:
        date: Day on which it was made, as ISO 8601.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.date: str = data["date"]
        self._providers: list[dict[str, Any]] = data["providers"]
        self._by_id: dict[str, dict[str, Any]] = {item["id"]: item for item in self._providers}

    def find(self, provider: str | None, model: str, wanted: Mapping[str, str]) -> Listed | None:
        """Find a model; None if the data does not contain it.

        Args:
            provider: Id of the provider; None infers it from the model's name.
            model: The provider's own model name.
            wanted: Requested processing and service tier.
        """
        name = model.lower()
        if provider is not None and provider.lower() == "litellm":
            provider, name = self._read_litellm(name)
        service = self._find_provider(provider, name)
        if service is None:
            return None
        found = self._find_model(service, name)
        if found is None:
            dashed = _COMPACT_DATE.sub(_dashed, name)
            found = None if dashed == name else self._find_model(service, dashed)
        if found is None:
            return None
        item, is_own = found
        # The package ignores processing and tier for a model that is taken from another provider.
        varies = is_own and any(when.items() <= wanted.items() for when in item["variants"])
        return Listed(item["window"], () if varies else tuple(map(_read_price, item["prices"] or ())))

    def models(self, provider: str) -> list[str]:
        """Names of a provider's models that are not deprecated, sorted; [] for an unknown provider."""
        found = self._by_id.get(provider)
        return sorted(item["id"] for item in found["models"] if not item["deprecated"]) if found else []

    def _read_litellm(self, name: str) -> tuple[str | None, str]:
        """Provider and model of a name such as ``openai/gpt-4o``."""
        prefix, mark, rest = name.partition("/")
        known = mark and prefix and self._find_provider(prefix, rest) is not None
        return (prefix, rest) if known else (None, name)

    def _find_provider(self, provider: str | None, model: str) -> dict[str, Any] | None:
        if provider is None:
            return next((item for item in self._providers if _matches(item["serves"], model)), None)
        name = provider.lower().strip()
        if name in self._by_id:
            return self._by_id[name]
        return next((item for item in self._providers if _matches(item["named"], name)), None)

    def _find_model(self, service: Mapping[str, Any], name: str) -> tuple[dict[str, Any], bool] | None:
        """The model, and whether it is the provider's own."""
        lenders = [self._by_id[other] for other in service["borrows"] if other in self._by_id]
        for place in (service, *lenders):
            for item in place["models"]:
                if _matches(item["match"], name):
                    return item, place is service
        return None


@cache
def load_snapshot() -> Snapshot | None:
    """Load the data; None if another version of the package is installed, or the package is imported."""
    import gzip
    import sys
    from importlib.util import find_spec

    import orjson

    folder = Path(__file__).parent.parent / "data"
    data = orjson.loads(gzip.decompress((folder / FILE_NAME).read_bytes()))
    spec = find_spec("genai_prices")
    # Once the package is imported it is used, since the user may have updated its prices (`UpdatePrices`).
    if spec is None or spec.origin is None or "genai_prices" in sys.modules:
        return None
    site = Path(spec.origin).parent.parent
    # By the folder's name, since reading the metadata of packages takes 50 ms.
    is_same = (site / f"genai_prices-{data['package_version']}.dist-info").is_dir()
    return Snapshot(data) if is_same else None


def price_source() -> str:
    """Source of published prices: the data that ainb ships, with its date, or the package."""
    found = load_snapshot()
    if found is not None:
        return f"prices of {found.date}"
    from importlib import metadata

    return f"prices of {PACKAGE} {metadata.version(PACKAGE)}"


def is_loaded() -> bool:
    """Whether the data is in memory and in use."""
    return bool(load_snapshot.cache_info().currsize) and load_snapshot() is not None


def _read_price(price: list[Any]) -> Price:
    start, bands = price
    read = tuple(
        (most, make_rates({name: Decimal(value) for name, value in values.items()})) for most, values in bands
    )
    return Price(None if start is None else date.fromisoformat(start), read)


def make_rates(values: Mapping[str, Any]) -> Rates:
    """Rates from published numbers by the names of `RATE_NAMES`; requests are priced by the thousand."""
    return Rates(**{**values, "request": (values.get("request") or ZERO) / REQUESTS_PER_RATE})


def _matches(clause: _Clause, text: str) -> bool:
    if clause is None:
        return False
    kind, value = clause
    if kind in {"or", "and"}:
        return (any if kind == "or" else all)(_matches(part, text) for part in value)
    if kind == "regex":
        return re.search(value, text) is not None
    test: Callable[[str], bool] = getattr(text, _TESTS[kind])
    return test(value)


def _dashed(match: re.Match[str]) -> str:
    year, month, day = (int(match[index]) for index in range(2, 5))
    try:
        return f"{match[1]}{date(year, month, day).isoformat()}"
    except ValueError:
        return match[0]
