"""Which price list counts for a model.

The person's own table, then genai-prices; resolved once a model and kept.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from ainb.clock import SYSTEM_CLOCK, Clock
from ainb.messages import Call, Reply, Request, Usage
from ainb.pricing.rates import ZERO, Rates
from ainb.pricing.table import PriceTable

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, ModelPrice
    from genai_prices.types import Provider as PricedProvider

CostSource = Literal["table", "provider", "free", "unpriced"]

FREE_PROVIDERS = frozenset({"local", "ollama", "lmstudio", "vllm", "scripted"})
_GENAI_PROVIDERS = {"gemini": "google"}
_BATCH = {"processing": "batch"}
BATCH_SHARE = Decimal("0.5")
# Their price lists say 50 % off every column for batches.
HALF_PRICE = frozenset({"openai", "azure", "anthropic", "groq"})
_REQUESTS_PER_RATE = 1_000
_SAMPLE_TOKENS = 1_000  # below every size from which a prompt costs more


class Prices:
    """Costs of replies and of requests not yet sent; safe to share between threads.

    Rates are looked up once a model; after that a cost is a few multiplications. Where the price depends on
    the size of the prompt or on the date, genai-prices computes each cost itself (50 us).

    Args:
        table: The person's own prices, which win over published ones; see `PriceTable`.
        clock: Tells which of several dated prices holds now.

    Raises:
        ConfigError: The table makes no sense.
    """

    def __init__(
        self, table: Mapping[str, Mapping[str, Any]] | None = None, *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._table = PriceTable(table)
        self._clock = clock
        self._own: dict[tuple[str, str], Rates | None] = {}
        self._published: dict[tuple[str, str, bool, str | None], Rates | _Conditional | None] = {}

    @property
    def loaded(self) -> bool:
        """Whether the published prices are in memory, so that a cost is quick."""
        return _loaded.is_set()

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
            provider: Service name, such as "openai"; "" lets the model's name tell.
            model: The service's own model name.
            usage: Tokens; cached, written, and reasoning ones at their own rates.
            at: When they were used, for prices that changed; None means now.
            free: The service charges nothing (the person's own table may still put a price on it).
            batch: Sent through the service's batch API: at the published batch rate, else at half of every
                rate of your own table and of services that sell batches at half price, else at the full
                price.
            service_tier: As asked for in the request ("priority", "flex", …); None means the usual one.

        Returns:
            USD, or None when no price or no count is known; and "table", "free" or "unpriced".
        """
        provider, model = real_name(provider, model)
        rates: Rates | _Conditional | None = self._own_rates(provider, model)
        halved = batch and rates is not None
        if rates is None:
            if free or _is_free(provider, model):
                return ZERO, "free"
            if usage.input_tokens is None:
                return (
                    None,
                    "unpriced",
                )  # before the list is loaded: a function of the user's own counts no tokens
            rates = self._published_rates(provider, model, batch=batch, service_tier=service_tier)
            halved = batch and provider in HALF_PRICE and not _has_batch_price(rates, at or self._now())
        if rates is None:
            return None, "unpriced"
        cost = rates.cost(usage) if isinstance(rates, Rates) else rates.cost(usage, at or self._now())
        if cost is None:
            return None, "unpriced"
        return (cost * BATCH_SHARE if halved else cost), "table"

    def reply_cost(self, call: Call, reply: Reply) -> tuple[Decimal | None, CostSource]:
        """Price a reply that just came in.

        What the provider itself reported stands. Otherwise the model that answered counts, then the one that
        was asked (a deployment or a fine-tune may answer under another name); the user's own table is asked
        first for both. The service tier that answered counts before the one that was asked for.
        """
        if reply.cost_usd is not None and reply.cost_source == "provider":
            return reply.cost_usd, "provider"
        request, free = call.request, call.provider.free
        provider, asked = real_name(request.provider, request.model)
        answered = reply.model or asked
        tier = reply.service_tier or service_tier_of(request)
        own = self._own_rates(provider, asked) is not None
        for model in (asked,) if own else (answered, asked):
            batch = call.delivery == "batch"
            cost, source = self.cost(provider, model, reply.usage, free=free, batch=batch, service_tier=tier)
            if cost is not None:
                return cost, source
        return None, "unpriced"

    def cache_savings(self, call: Call, reply: Reply) -> Decimal | None:
        """What the provider's prompt cache saved in a priced reply; negative where writes cost more.

        None where the service reports no such tokens, and where the price is not from a list.
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
        without = self.reply_cost(call, replace(reply, usage=plain, cost_usd=None, cost_source=None))[0]
        return None if without is None else without - reply.cost_usd

    def context_window(self, provider: str, model: str) -> int | None:
        """Tokens that the model takes in one go, or None when it is not known."""
        found = _find_model(*real_name(provider, model))
        return found[1].context_window if found else None

    def per_million(self, provider: str, model: str) -> tuple[Decimal | None, Decimal | None]:
        """USD for a million tokens in and out of a short request now; None where no price is known."""
        sample = _SAMPLE_TOKENS
        read, _ = self.cost(provider, model, Usage(input_tokens=sample, output_tokens=0))
        written, _ = self.cost(provider, model, Usage(input_tokens=0, output_tokens=sample))
        factor = Decimal(1_000_000) / sample
        return read and read * factor, written and written * factor

    def published_models(self, provider: str) -> list[str]:
        """Names of a provider's models that the published price list holds, sorted.

        [] where it does not know the provider.
        """
        name = _GENAI_PROVIDERS.get(provider, provider)
        found = (item for item in _snapshot().providers if item.id == name)
        return sorted(model.id for item in found for model in item.models if not model.deprecated)

    def _own_rates(self, provider: str, model: str) -> Rates | None:
        key = (provider, model)
        try:
            return self._own[key]
        except KeyError:
            return self._own.setdefault(key, self._table.find(provider, model))

    def _published_rates(
        self, provider: str, model: str, *, batch: bool = False, service_tier: str | None = None
    ) -> Rates | _Conditional | None:
        key = (provider, model, batch, service_tier)
        try:
            return self._published[key]
        except KeyError:
            context = dict(_BATCH) if batch else {}
            if service_tier is not None:
                context["service_tier"] = service_tier
            return self._published.setdefault(key, _resolve(provider, model, context))

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.unix(), UTC)


@dataclass(frozen=True, slots=True)
class _Conditional:
    """Prices that depend on the date or on the size of the prompt."""

    provider: PricedProvider
    model: ModelInfo
    context: Mapping[str, str] | None

    def cost(self, usage: Usage, at: datetime) -> Decimal | None:
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


def _has_batch_price(rates: Rates | _Conditional | None, at: datetime) -> bool:
    """Whether published prices hold a batch rate of their own for this moment; many begin in October 2026."""
    if not isinstance(rates, _Conditional) or rates.context is None:
        return False
    variants = rates.model.price_variants or ()
    return any(
        variant.when.items() <= rates.context.items()
        and "processing" in variant.when
        and (variant.constraint is None or variant.constraint.active(at))
        for variant in variants
    )


def _is_free(provider: str, model: str) -> bool:
    """Whether a router offers the model for nothing, as OpenRouter does under names with this ending."""
    return provider == "openrouter" and model.endswith(":free")


def real_name(provider: str, model: str) -> tuple[str, str]:
    """Provider and model as price lists know them: behind ``pydantic:`` stands the provider that charges.

    >>> real_name("pydantic", "google:gemini-2.5-flash")
    ('google', 'gemini-2.5-flash')
    """
    if provider != "pydantic":
        return provider, model
    service, mark, name = model.partition(":" if ":" in model else "/")
    return (service, name) if mark else (provider, model)


def service_tier_of(request: Request) -> str | None:
    """The service tier that a request asks for, or None."""
    tier = request.parameters.get("service_tier")
    return tier if isinstance(tier, str) else None


def _resolve(provider: str, model: str, wanted: Mapping[str, str]) -> Rates | _Conditional | None:
    found = _find_model(provider, model)
    if found is None:
        return None
    service, info = found
    # genai-prices itself ignores the context for a model that it borrows from another provider.
    context = wanted if wanted and any(info is item for item in service.models) else None
    prices = info.prices
    if isinstance(prices, list) or _is_tiered(prices) or (context and info.price_variants):
        return _Conditional(service, info, context)
    return _read_rates(prices)


def _is_tiered(prices: ModelPrice) -> bool:
    from genai_prices.types import TieredPrices

    return any(isinstance(price, TieredPrices) for price in vars(prices).values())


def _read_rates(prices: ModelPrice) -> Rates:
    values: dict[str, Any] = vars(prices)
    return Rates(
        input=values.get("input_mtok"),
        output=values.get("output_mtok"),
        cache_read=values.get("cache_read_mtok"),
        cache_write=values.get("cache_write_mtok"),
        cache_write_1h=values.get("cache_write_1h_mtok"),
        reasoning=values.get("output_reasoning_mtok"),
        request=(values.get("requests_kcount") or ZERO) / _REQUESTS_PER_RATE,
    )


def _find_model(provider: str, model: str) -> tuple[PricedProvider, ModelInfo] | None:
    """Provider and model as genai-prices knows them.

    An unknown one raises LookupError there and is None here.
    """
    service = _GENAI_PROVIDERS.get(provider, provider) or None
    try:
        return _snapshot().find_provider_model(model, None, service, None)
    except LookupError:
        return None


_loading = threading.Lock()
_loaded = threading.Event()


def _snapshot() -> DataSnapshot:
    with _loading:
        from genai_prices.data_snapshot import get_snapshot

        snapshot = get_snapshot()
        _loaded.set()
        return snapshot


def preload() -> None:
    """Load the published prices (about 0.5 s).

    For a background thread, so that the first cost does not wait.
    """
    _snapshot()
