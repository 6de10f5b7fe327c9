"""Assembly of a session's stages from its options, and their order."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import weakref
from typing import TYPE_CHECKING, Any, cast

from ainb import pricing, tokens
from ainb.clock import Clock
from ainb.config import Config, stays_inside
from ainb.engine import ENGINE
from ainb.events import Event, Sink, silent
from ainb.messages import Call, Stage
from ainb.pipeline.answer import AnswerStage
from ainb.pipeline.budget import BudgetStage, JobBudget, Ledger
from ainb.pipeline.cache import CacheStage
from ainb.pipeline.circuit import Breakers, GateStage, PermitStage
from ainb.pipeline.deadline import AttemptTimeoutStage, DeadlineStage
from ainb.pipeline.fallback import FallbackStage
from ainb.pipeline.rate_limit import RateLimitStage, Reached, TokenEstimates
from ainb.pipeline.record import RecordStage
from ainb.pipeline.resend import ResendStage
from ainb.pipeline.retry import RetryStage
from ainb.pipeline.text_delivery import TextDeliveryStage
from ainb.pipeline.validation import OwnKeyStage, ValidationStage
from ainb.providers.http import read_limits
from ainb.runtime import Runtime
from ainb.stores.base import Store
from ainb.stores.day_book import DayBook
from ainb.stores.local import make_store
from ainb.stores.redis import require_extra
from ainb.usage.log import FILE_NAME as USAGE_FILE
from ainb.usage.log import Estimators, UsageLog

if TYPE_CHECKING:
    from ainb.pipeline.replay import ReplayStage
    from ainb.stores.redis import SharedState
    from ainb.usage.telemetry import Telemetry


class Stages:
    """All stages of a session; an attribute is None if its stage is off.

    In replay the home is neither read nor written, so that a run does not spend a budget and does not depend
    on earlier calls.

    Args:
        config: The options.
        runtime: Clock, randomness and event sink.
        prices: Price lists.
    """

    def __init__(self, config: Config, runtime: Runtime, prices: pricing.Prices) -> None:
        clock, rng = runtime.clock, runtime.rng
        self.log = self._make_log(config, runtime, prices)
        self.telemetry = self._make_telemetry(config, runtime)
        self.record = RecordStage(self._make_sink(runtime.sink), clock, rng)
        self.validation = self._make_validation(config, prices)
        self.deadline = DeadlineStage(config.deadline, clock) if config.deadline else None
        self.attempt = AttemptTimeoutStage(config.deadline) if config.deadline else None
        self.shared = _connect(config, runtime)
        self.cache = self._make_cache(config, runtime)
        self.ledger = self._make_ledger(config, runtime)
        self.budget = BudgetStage(
            config.budget,
            self.ledger,
            clock,
            runtime.sink,
            quote=lambda call: pricing.quote(prices, call.request, free=call.provider.free),
            bound=lambda call: pricing.bound(prices, call.request, free=call.provider.free),
            prepare=_preload,
        )
        self.job_budget = JobBudget(self.budget, self.ledger)
        self.replay = self._make_replay(config, runtime)
        self.retry = RetryStage(config.retry, clock=clock, rng=rng) if config.retry else None
        self.breakers = self._make_breakers(config, runtime)
        self.rate_limit = self._make_rate_limit(config, clock)
        self.reached = Reached.of_home(None if config.replay == "replay" else config.home_folder())
        _open.add(self)
        # Threads of a session that is not closed end too: an idle writer thread would keep store and files
        # open for seconds.
        if self.cache is not None:
            weakref.finalize(self, _end_threads, self.cache.store).atexit = False
        if self.shared is not None:
            # The loop holds connection and heartbeat, so garbage collection alone does not end them.
            weakref.finalize(self, _disconnect, self.shared).atexit = False

    def in_order(self) -> list[Stage]:
        """The stages of the pipeline, outermost first; the only place that defines their order."""
        order: list[Stage | None] = [
            self.record,
            TextDeliveryStage(),
            self.validation,
            self.deadline,
            # Outside the cache, so that an answer is stored and priced under the model that gave it.
            FallbackStage(),
            self.replay,
            self.cache,
            # Inside the cache, so that only valid replies are stored.
            AnswerStage(),
            *self._sending(),
        ]
        return [stage for stage in order if stage is not None]

    def of_packs(self) -> list[Stage]:
        """The stages of a call for several rows, outermost first.

        The other stages run for each row, before it is packed and when its part of the answer is delivered;
        see `of_batch_rows`.
        """
        order: list[Stage | None] = [self.record, self.deadline, FallbackStage(), *self._sending()]
        return [stage for stage in order if stage is not None]

    def _sending(self) -> list[Stage | None]:
        """The stages around a request that is sent; the last one is next to the provider."""
        breakers = self.breakers
        return [
            self.budget,
            self.retry,
            # Inside retry: an attempt after one that may have been billed makes its own reservation.
            self.budget.before_attempt,
            # Apart from retry, which may be off; outside the limiter, so that each request takes a permit.
            ResendStage(),
            # Before the rate limit: refused calls do not wait.
            GateStage(breakers) if breakers else None,
            self.rate_limit,
            # After the rate limit, and before the circuit's permit, so that no waiting call holds a probe.
            self.cache.take_turn if self.cache else None,
            PermitStage(breakers) if breakers else None,
            self.attempt,
            # Next to the provider: from here on a day's reservation counts as spent if the process dies.
            self.budget.before_sending,
            OwnKeyStage() if self.validation else None,
        ]

    def of_batch_rows(self) -> list[Stage]:
        """The stages after `record` for a row whose answer comes from a batch job or a pack, outermost first.

        The cost of a job or a pack is reserved and booked as a whole. The row itself sends no request, so
        there is nothing to limit, retry or time.
        """
        order: list[Stage | None] = [self.validation, self.replay, self.cache, AnswerStage(times_asked=1)]
        return [stage for stage in order if stage is not None]

    def status(self) -> list[dict[str, Any]]:
        """Current state of models, cache, budgets and shared state, as plain rows.

        Returns:
            One row per model that was called, with `name` (``provider:model``), `endpoint`, the state of its
            circuit, queue and buckets, and the `retries_left` of its endpoint; then a row named "cache", one
            row per budget, and a row named "state" if state is shared. Keys of a stage that is off are
            missing.
        """
        rows: dict[tuple[str, str], dict[str, Any]] = {}
        for circuit in self.breakers.status() if self.breakers else []:
            row = rows.setdefault((circuit.name, circuit.endpoint or ""), {})
            row |= {"circuit": circuit.state, "probe_in_s": circuit.probe_in_s}
            row |= {"failure_rate": circuit.failure_rate, "calls_in_window": circuit.calls}
        for limits in self.rate_limit.status() if self.rate_limit else []:
            name = f"{limits.pop('provider')}:{limits.pop('model')}"
            rows.setdefault((name, limits.pop("endpoint")), {}).update(limits)
        if self.retry is not None:
            for (_, endpoint), row in rows.items():
                row["retries_left"] = self.retry.budget(endpoint).retries
        named = [
            {"part": "model", "name": name, "endpoint": place, **row} for (name, place), row in rows.items()
        ]
        if self.cache is not None:
            named.append({"part": "cache", "name": "cache", **self.cache.status()})
        for budget in self.budget.status():
            money = {key: value for key, value in dataclasses.asdict(budget).items() if key.endswith("_usd")}
            named.append({"part": "budget", "name": f"budget {budget.scope} {budget.name}".strip(), **money})
        if self.shared is not None:
            named.append({"part": "state", "name": "state", **self.shared.status()})
        return named

    def _make_sink(self, sink: Sink) -> Sink:
        append = self.log.listener
        watch = silent if self.telemetry is None else self.telemetry.listener

        def send(event: Event) -> None:
            append(event)
            watch(event)
            sink(event)

        return send

    async def close(self) -> None:
        """Write queued data, and close files and connections."""
        if self.cache is not None:
            await self.cache.close()
        self.ledger.close()
        if self.shared is not None:
            await self.shared.close()
        _open.discard(self)

    @staticmethod
    def _make_log(config: Config, runtime: Runtime, prices: pricing.Prices) -> UsageLog:
        """Make the log from which reports are read.

        With a cassette it is in memory and contains only this session's calls, so that replay shows the same.
        """
        make = functools.partial(
            UsageLog,
            clock=runtime.clock,
            sink=runtime.sink,
            options=dataclasses.replace(config.log, content=config.log.content or config.log_content),
            rng=runtime.rng,
            # Log lines differ from run to run, which would break outputs that are compared.
            log_lines=config.display != "static" and config.replay != "replay",
            estimators=Estimators(
                count_tokens=tokens.count_tokens,
                price=functools.partial(pricing.price, prices=prices),
                prepare=_preload,
            ),
        )
        if config.replay == "replay":
            return make(None)
        of_home = make(config.home_folder() / USAGE_FILE)
        return of_home if config.replay == "off" else make(None, copy_to=of_home)

    def _make_telemetry(self, config: Config, runtime: Runtime) -> Telemetry | None:
        if not config.otel:
            return None
        from ainb.usage.telemetry import Telemetry

        made = Telemetry(self.log.session_id, content=config.otel_content, sink=runtime.sink)
        self.log.on_record = made.take
        return made

    def _make_replay(self, config: Config, runtime: Runtime) -> ReplayStage | None:
        if config.replay == "off":
            return None
        from ainb.pipeline.replay import Library, Mode, ReplayStage, not_booked

        return ReplayStage(
            cast(Mode, config.replay),
            Library(runtime.notebook, may_use=stays_inside),
            runtime.clock,
            runtime.sink,
            caching=config.cache is not None,
            book=self.budget.book_replayed if config.replay == "replay" else not_booked,
        )

    @staticmethod
    def _make_validation(config: Config, prices: pricing.Prices) -> ValidationStage | None:
        if config.validation is None:
            return None

        def context_window(call: Call) -> int | None:
            # A server on this machine has its own context setting, and waiting for the price list is not
            # worth it.
            if call.provider.free or not prices.loaded:
                return None
            return prices.context_window(call.request.provider, call.request.model)

        return ValidationStage(config.validation, context_window=context_window)

    def _make_ledger(self, config: Config, runtime: Runtime) -> Ledger:
        if self.shared is not None:
            return self.shared.ledger()
        if config.replay == "replay":
            return Ledger()
        path = config.home_folder() / "budget.sqlite3"
        book = DayBook(path, clock=runtime.clock, sink=runtime.sink)
        ledger = Ledger(book)
        book.wake = ledger.wake
        return ledger

    def _make_breakers(self, config: Config, runtime: Runtime) -> Breakers | None:
        if config.circuit is None:
            return None
        if self.shared is not None:
            return self.shared.breakers(config.circuit)
        return Breakers(config.circuit, clock=runtime.clock, rng=runtime.rng)

    def _make_cache(self, config: Config, runtime: Runtime) -> CacheStage | None:
        options = config.cache
        if options is None:
            return None
        store = make_store(
            "memory" if config.replay == "replay" else options.where,
            config.home_folder() / "cache",
            memory_bytes=options.memory_bytes,
            clock=runtime.clock,
            sink=runtime.sink,
        )
        if self.shared is None:
            return CacheStage(options, store, runtime.clock, runtime.sink)
        shared = self.shared.store(store, options.ttl_seconds)
        return CacheStage(options, shared, runtime.clock, runtime.sink, leases=shared)

    def _make_rate_limit(self, config: Config, clock: Clock) -> RateLimitStage | None:
        if config.rate_limit is None:
            return None
        estimates = TokenEstimates()
        return RateLimitStage(
            config.rate_limit,
            clock,
            estimate=estimates,
            learn=estimates.learn,
            read_headers=lambda headers: read_limits(headers, clock.unix()),
            per_user=config.user_rate_limit,
            make_limiter=None if self.shared is None else self.shared.limiter,
        )


def _connect(config: Config, runtime: Runtime) -> SharedState | None:
    """Shared state, already connecting in the background; None for local state and in replay."""
    if config.state is None or config.replay == "replay":
        return None
    require_extra()
    from ainb.stores.redis import RedisClient, SharedState

    client = RedisClient(
        config.state, get_loop=ENGINE.loop, clock=runtime.clock, sink=runtime.sink, rng=runtime.rng
    )
    client.start()
    return SharedState(client)


def _end_threads(store: Store) -> None:
    ENGINE.post(store.end_threads)  # a finalizer may run while its own thread holds the store's lock


def _disconnect(shared: SharedState) -> None:
    ENGINE.post(lambda: asyncio.ensure_future(shared.close()))


_open: weakref.WeakSet[Stages] = weakref.WeakSet()


async def _close_open() -> None:
    """Close the stages of sessions still open at exit."""
    await asyncio.gather(*(stages.close() for stages in list(_open)), return_exceptions=True)


ENGINE.at_shutdown(_close_open)


def _preload(model: str = "gpt-5-mini") -> None:
    """Load the price list and the vocabulary of a model."""
    pricing.preload()
    tokens.preload(model)
