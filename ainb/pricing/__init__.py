"""Prices and costs: published prices (genai-prices, as offline data) and the user's own table.

`Prices` computes costs of replies and of requests not yet sent; `price` and `estimate` are the functions for
users.
"""

from __future__ import annotations

from ainb.pricing.estimates import Estimate, estimate, estimate_request, format_usd, price
from ainb.pricing.expected import Expected, expected_output
from ainb.pricing.prices import FREE_PROVIDERS, Prices, preload
from ainb.pricing.quotes import Quote, bound, quote
from ainb.pricing.snapshot import price_source
from ainb.pricing.table import PRICE_KEYS, PriceTable

__all__ = [
    "FREE_PROVIDERS", "PRICE_KEYS", "Estimate", "Expected", "PriceTable", "Prices", "Quote", "bound",
    "estimate", "estimate_request", "expected_output", "format_usd", "preload", "price", "price_source",
    "quote",
]  # fmt: skip
