"""Innermost handler of the pipeline: one call to the provider, counted and priced."""

from __future__ import annotations

import asyncio

from ainb import pricing
from ainb.errors import ConfigError
from ainb.events import Notice, Sink, silent
from ainb.messages import UNKNOWN_USAGE, Call, Reply
from ainb.pipeline.plausible import drop_implausible


class Sender:
    """Sends one attempt to the provider and prices the reply.

    The published price of a model is looked up in a thread while its first request is in flight. Impossible
    token counts and costs become None here, so that they reach no budget, log or table.
    """

    def __init__(self, prices: pricing.Prices, sink: Sink = silent) -> None:
        self._prices = prices
        self._sink = sink
        self._noticed: set[str] = set()
        self._loading: dict[tuple[str, str], asyncio.Future[None]] = {}

    async def __call__(self, call: Call) -> Reply:
        """Send one attempt."""
        call.attempts += 1
        call.pieces.clear()
        needs_list = not call.provider.free and not self._prices.is_prepared(call)
        if needs_list and call.request.provider != "function":
            self._load(call)
        try:
            reply = await call.provider.send(call)
        except ConfigError:  # refused on this machine: nothing was sent
            call.attempts -= 1
            raise
        if needs_list and reply.cost_source is None and reply.usage is not UNKNOWN_USAGE:
            await asyncio.shield(self._load(call))
        dropped = drop_implausible(reply, lambda: known_window(self._prices, call))
        if dropped is not None:
            self._notice(call, dropped)
        if reply.cost_source is None:
            # Priced here, not in the budget stage: the cost is needed without a budget too, and by the cache.
            reply.cost_usd, reply.cost_source = self._prices.reply_cost(call, reply)
            reply.provider_saved_usd = self._prices.cache_savings(call, reply)
        call.replies.append(reply)
        return reply

    def _notice(self, call: Call, dropped: str) -> None:
        """Report once per model what was dropped."""
        model = f"{call.request.provider}:{call.request.model}"
        if model not in self._noticed:
            self._noticed.add(model)
            text = (
                f"{model} reports {dropped}, which cannot be right; such counts are unknown (NA) in log and "
                "table"
            )
            self._sink(Notice(text, "usage"))

    def _load(self, call: Call) -> asyncio.Future[None]:
        model = (call.request.provider, call.request.model)
        loading = self._loading.get(model)
        if loading is None or loading.get_loop() is not asyncio.get_running_loop():
            loading = asyncio.ensure_future(asyncio.to_thread(self._prices.prepare, call))
            self._loading[model] = loading
        return loading


def known_window(prices: pricing.Prices, call: Call) -> int | None:
    """Context window in tokens of a call's model; None where unknown or not loaded yet."""
    # Waiting for the price list is not worth it, and a server on this machine may have any window.
    if call.provider.free or not prices.loaded:
        return None
    return prices.context_window(call.request.provider, call.request.model)
