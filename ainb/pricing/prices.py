"""Price lookup by model: the user's own table, then the published prices; resolved once per model."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from ainb.clock import SYSTEM_CLOCK, Clock
from ainb.messages import Call, Reply, Request, Usage
from ainb.pricing.package import (
    LOADED,
    Conditional,
    find_model,
    has_batch_price,
    load_package,
    package_prices,
)
from ainb.pricing.rates import ZERO, Rates
from ainb.pricing.snapshot import Listed, is_loaded, load_snapshot
from ainb.pricing.table import PriceTable
from ainb.replies import CostSource

_Price = Rates | Listed | Conditional
# Provider, model, whether it is a batch, and service tier: they determine the published price.
_ListKey = tuple[str, str, bool, str | None]

FREE_PROVIDERS = frozenset({"local", "ollama", "lmstudio", "vllm", "scripted"})
_GENAI_PROVIDERS = {"gemini": "google"}
_BATCH = {"processing": "batch"}
BATCH_SHARE = Decimal("0.5")
# Services whose price lists give 50 % off every rate for batches.
HALF_PRICE = frozenset({"openai", "azure", "anthropic", "groq"})
_SAMPLE_TOKENS = 1_000  # below every size from which a prompt costs more


class Prices:
    """Costs of replies and of requests not yet sent; thread-safe.

    Rates are looked up once per model; after that a cost takes a few multiplications. If the price depends on
    the time of day or on the kind of processing, genai-prices computes each cost (50 us).

    Args:
        table: The user's own prices, which take precedence over published ones; see `PriceTable`.
        clock: Selects the current one of several dated prices.

    Raises:
        ConfigError: The table is not valid.
    """

    def __init__(
        self, table: Mapping[str, Mapping[str, Any]] | None = None, *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._own_rates = functools.cache(PriceTable(table).find)
        self._window = functools.cache(_find_window)
        self._clock = clock
        self._published: dict[_ListKey, _Price | None] = {}

    @property
    def loaded(self) -> bool:
        """Whether the published prices are in memory, so that a cost is fast to compute."""
        return LOADED.is_set() or is_loaded()

    def prepare(self, call: Call) -> None:
        """Look up the published price of a call in advance; for a background thread."""
        self._published_rates(_list_key(call))

    def is_prepared(self, call: Call) -> bool:
        """Whether the published price of a call has been looked up."""
        return _list_key(call) in self._published

    def cost(
        self,
        provider: str,
        model: str,
        usage: Usage,
        *,
        at: datetime | None = None,
        free: bool = False,
        batch: bool = False,
        service_tier: str | None = None,
    ) -> tuple[Decimal | None, CostSource]:
        """Price tokens.

        Args:
            provider: Service name, such as "openai"; "" infers it from the model's name.
            model: The service's own model name.
            usage: Tokens; cached, written, and reasoning ones at their own rates.
            at: Time of use, for prices that have changed; None means now.
            free: Whether the service charges nothing (the user's own table may still have a price).
            batch: Whether it is sent through the service's batch API: priced at the published batch rate,
                else at half of every rate for your own table and for services with half-price batches, else
                at the full price.
            service_tier: Tier named in the request ("priority", "flex", …); None means the default.

        Returns:
            USD, or None when no price or no count is known; and "table", "free" or "unpriced".
        """
        provider, model = real_name(provider, model)
        rates: _Price | None = self._own_rates(provider, model)
        halved = batch and rates is not None
        if rates is None:
            if free or _is_free(provider, model):
                return ZERO, "free"
            if usage.input_tokens is None:
                # Before the list is loaded: a user's function counts no tokens.
                return None, "unpriced"
            rates = self._published_rates((provider, model, batch, service_tier))
            halved = batch and provider in HALF_PRICE and not has_batch_price(rates, at or self._now())
        if rates is None:
            return None, "unpriced"
        cost = rates.cost(usage) if isinstance(rates, Rates) else rates.cost(usage, at or self._now())
        if cost is None:
            return None, "unpriced"
        return (cost * BATCH_SHARE if halved else cost), "table"

    def reply_cost(self, call: Call, reply: Reply) -> tuple[Decimal | None, CostSource]:
        """Price a reply that has just arrived.

        A cost reported by the provider is kept. Otherwise the price is that of the model named in the reply,
        else of the requested model (a deployment or a fine-tune may answer under another name); for both, the
        user's own table comes first. The service tier of the reply takes precedence over the requested one.
        """
        if reply.cost_usd is not None and reply.cost_source == "provider":
            return reply.cost_usd, "provider"
        return self._list_cost(call, reply, reply.usage)

    def _list_cost(self, call: Call, reply: Reply, usage: Usage) -> tuple[Decimal | None, CostSource]:
        """The price of a reply with this usage in place of its own, by the lists."""
        request, free = call.request, call.provider.free
        provider, asked = real_name(request.provider, request.model)
        answered = reply.model or asked
        tier = reply.service_tier or service_tier_of(request)
        own = self._own_rates(provider, asked) is not None
        for model in (asked,) if own else (answered, asked):
            batch = call.delivery == "batch"
            cost, source = self.cost(provider, model, usage, free=free, batch=batch, service_tier=tier)
            if cost is not None:
                return cost, source
        return None, "unpriced"

    def cache_savings(self, call: Call, reply: Reply) -> Decimal | None:
        """Savings of the provider's prompt cache in a priced reply, in USD; negative when writes cost more.

        None when the service reports no cached tokens, or the price is not from a list.
        """
        read, written = reply.usage.cache_read_input_tokens, reply.usage.cache_creation_input_tokens
        if reply.cost_source != "table" or reply.cost_usd is None or (read is None and written is None):
            return None
        if not read and not written:
            return ZERO
        plain = replace(
            reply.usage,
            cache_read_input_tokens=None,
            cache_creation_input_tokens=None,
            cache_creation_1h_input_tokens=None,
        )
        without = self._list_cost(call, reply, plain)[0]
        return None if without is None else without - reply.cost_usd

    def context_window(self, provider: str, model: str) -> int | None:
        """Context window of the model in tokens, or None when unknown."""
        return self._window(provider, model)

    def per_million(self, provider: str, model: str) -> tuple[Decimal | None, Decimal | None]:
        """Current prices of a million input and output tokens of short requests in USD; None when unknown."""
        sample = _SAMPLE_TOKENS
        read, _ = self.cost(provider, model, Usage(input_tokens=sample, output_tokens=0))
        written, _ = self.cost(provider, model, Usage(input_tokens=0, output_tokens=sample))
        factor = Decimal(1_000_000) / sample
        return read and read * factor, written and written * factor

    def published_models(self, provider: str) -> list[str]:
        """Names of a provider's models in the published price list, sorted; [] for an unknown provider."""
        name = _GENAI_PROVIDERS.get(provider, provider)
        ours = load_snapshot()
        if ours is not None:
            return ours.models(name)
        found = (item for item in load_package().providers if item.id == name)
        return sorted(model.id for item in found for model in item.models if not model.deprecated)

    def _published_rates(self, key: _ListKey) -> _Price | None:
        try:
            return self._published[key]
        except KeyError:
            provider, model, batch, service_tier = key
            context = dict(_BATCH) if batch else {}
            if service_tier is not None:
                context["service_tier"] = service_tier
            return self._published.setdefault(key, _resolve(provider, model, context))

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.unix(), UTC)


def _list_key(call: Call) -> _ListKey:
    request = call.request
    return *real_name(request.provider, request.model), call.delivery == "batch", service_tier_of(request)


def _is_free(provider: str, model: str) -> bool:
    """Whether a router offers the model for free, as OpenRouter does for names with this suffix."""
    return provider == "openrouter" and model.endswith(":free")


def real_name(provider: str, model: str) -> tuple[str, str]:
    """Provider and model for price lists: after ``pydantic:`` comes the provider that charges.

    >>> real_name("pydantic", "google:gemini-2.5-flash")
    ('google', 'gemini-2.5-flash')
    """
    if provider != "pydantic":
        return provider, model
    service, mark, name = model.partition(":" if ":" in model else "/")
    return (service, name) if mark else (provider, model)


def service_tier_of(request: Request) -> str | None:
    """The service tier that a request names, or None."""
    tier = request.parameters.get("service_tier")
    return tier if isinstance(tier, str) else None


def _service_name(provider: str) -> str | None:
    """The provider's name in price lists; None means that it is inferred from the model's name."""
    return _GENAI_PROVIDERS.get(provider, provider) or None


def _find_window(provider: str, model: str) -> int | None:
    provider, model = real_name(provider, model)
    ours = load_snapshot()
    if ours is not None:
        listed = ours.find(_service_name(provider), model, {})
        return listed.window if listed else None
    found = find_model(_service_name(provider), model)
    return found[1].context_window if found else None


def _resolve(provider: str, model: str, wanted: Mapping[str, str]) -> _Price | None:
    ours = load_snapshot()
    listed = None if ours is None else ours.find(_service_name(provider), model, wanted)
    if ours is not None and (listed is None or listed.prices):
        return listed and (listed.rates or listed)
    return package_prices(_service_name(provider), model, wanted)


def preload() -> None:
    """Load the published prices (0.01 s; 0.5 s if genai-prices is imported); for a background thread."""
    if load_snapshot() is None:
        load_package()
