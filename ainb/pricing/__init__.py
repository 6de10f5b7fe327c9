"""What calls cost: published prices (genai-prices, an offline snapshot) and the person's own table.

`Prices` answers for replies and for requests not yet sent; `price` and `estimate` are the same for people who
ask by hand.
"""

from __future__ import annotations

from ainb.pricing.estimates import Estimate, estimate, estimate_request, format_usd, price
from ainb.pricing.prices import FREE_PROVIDERS, Prices, preload
from ainb.pricing.quotes import DEFAULT_OUTPUT_TOKENS, Quote, bound, quote
from ainb.pricing.table import PRICE_KEYS, PriceTable

__all__ = [
    "DEFAULT_OUTPUT_TOKENS",
    "FREE_PROVIDERS",
    "PRICE_KEYS",
    "Estimate",
    "PriceTable",
    "Prices",
    "Quote",
    "bound",
    "estimate",
    "estimate_request",
    "format_usd",
    "preload",
    "price",
    "quote",
]
