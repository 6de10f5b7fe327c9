"""Published prices computed by the package genai-prices, for cases that ainb's own data leaves out.

Importing the package takes half a second, so it is imported only when such a price is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from ainb.fork import new_event, new_lock
from ainb.messages import Usage
from ainb.pricing.rates import Rates
from ainb.pricing.snapshot import RATE_NAMES, make_rates

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, ModelPrice
    from genai_prices.types import Provider as PricedProvider


@dataclass(frozen=True, slots=True)
class Conditional:
    """Prices that depend on the date, on the size of the prompt, or on the kind of processing."""

    provider: PricedProvider
    model: ModelInfo
    context: Mapping[str, str] | None

    def cost(self, usage: Usage, at: datetime) -> Decimal | None:
        """Cost of a use of the model in USD; None when a required count or rate is unknown."""
        prices = self.model.get_prices(at, self.context)
        if not _is_tiered(prices):
            return _read_rates(prices).cost(usage)
        if usage.input_tokens is None or usage.output_tokens is None:
            return None
        return self._tiered_cost(usage, usage.input_tokens, usage.output_tokens, at)

    def _tiered_cost(self, usage: Usage, read: int, written: int, at: datetime) -> Decimal | None:
        from genai_prices.types import Usage as PricedUsage

        cached, stored = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
        thought = usage.reasoning_output_tokens or 0
        stored_1h = min(stored, usage.cache_creation_1h_input_tokens or 0)
        tokens = PricedUsage(
            input_tokens=max(read, cached + stored),
            output_tokens=max(written, thought),
            cache_read_tokens=cached,
            cache_write_tokens=stored,
            cache_write_1h_tokens=stored_1h,
            output_reasoning_tokens=thought,
        )
        try:
            return self.model.calc_price(
                tokens, self.provider, genai_request_timestamp=at, price_context=self.context
            ).total_price
        except (LookupError, ValueError):  # a price list that genai-prices itself cannot apply
            return None


def has_batch_price(rates: object, at: datetime) -> bool:
    """Whether the published prices have a batch rate for this time; many begin in October 2026."""
    if not isinstance(rates, Conditional) or rates.context is None:
        return False
    variants = rates.model.price_variants or ()
    return any(
        variant.when.items() <= rates.context.items()
        and "processing" in variant.when
        and (variant.constraint is None or variant.constraint.active(at))
        for variant in variants
    )


def package_prices(service: str | None, model: str, wanted: Mapping[str, str]) -> Rates | Conditional | None:
    """Prices of a model for a kind of processing and a service tier; None if the package has none."""
    found = find_model(service, model)
    if found is None:
        return None
    lister, info = found
    # genai-prices ignores the context for a model that it takes from another provider.
    context = wanted if wanted and any(info is item for item in lister.models) else None
    prices = info.prices
    if isinstance(prices, list) or _is_tiered(prices) or (context and info.price_variants):
        return Conditional(lister, info, context)
    return _read_rates(prices)


def _is_tiered(prices: ModelPrice) -> bool:
    from genai_prices.types import TieredPrices

    return any(isinstance(price, TieredPrices) for price in vars(prices).values())


def _read_rates(prices: ModelPrice) -> Rates:
    return make_rates({name: vars(prices).get(of_package) for name, of_package in RATE_NAMES.items()})


def find_model(service: str | None, model: str) -> tuple[PricedProvider, ModelInfo] | None:
    """Provider and model in genai-prices; None if unknown (the package raises LookupError)."""
    try:
        return load_package().find_provider_model(model, None, service, None)
    except LookupError:
        return None


LOADED = new_event()
_loading = new_lock()


def load_package() -> DataSnapshot:
    """The package's data, imported on first use; concurrent threads wait for the same import."""
    with _loading:
        from genai_prices.data_snapshot import get_snapshot

        snapshot = get_snapshot()
        LOADED.set()
        return snapshot
