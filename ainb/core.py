"""Core of a session: options, stages, prices and providers; builds calls and sends them."""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Callable, Coroutine, Iterable, Sequence
from decimal import Decimal
from typing import Any

from ainb import keys, providers
from ainb.assembly import Stages
from ainb.call_ids import CallIds
from ainb.config import Config, read_models
from ainb.engine import ENGINE
from ainb.errors import ConfigError
from ainb.events import Notice
from ainb.messages import Alternative, Call, CallOptions, Handler, HasActivities, Provider, Reply, Request
from ainb.model_rules import LEVELS
from ainb.pipeline import compose
from ainb.pipeline.answer import check_again, read_schema
from ainb.pipeline.budget import Budget, BudgetStatus
from ainb.pipeline.send import Sender
from ainb.pipeline.validation import Preview, preview_call
from ainb.plain import plain_scalar, plain_value
from ainb.pricing import Prices
from ainb.prompts import Prompt, read_prompt
from ainb.providers.function import FunctionProvider
from ainb.providers.lessons.learnt import Learnt, memory_of
from ainb.providers.parameters import check_parameters
from ainb.providers.shutdown import close_clients
from ainb.runtime import Runtime
from ainb.usage.log import UsageLog
from ainb.usage.rows import Row

Models = str | Sequence[str] | None
_PIPELINE_OPTIONS = frozenset(item.name for item in dataclasses.fields(CallOptions))
CALL_OPTIONS = _PIPELINE_OPTIONS | {"model", "system", "api_base", "api_key_name", "schema"}


class Core:
    """Core of a session: options, composed stages, prices and provider adapters.

    `Session` is its public interface; batches, Dask and guarded functions use the core directly.

    Args:
        config: Every option.
        runtime: Injected dependencies; None means the system's clock and randomness, and no listener.

    Attributes:
        config: Every option.
        runtime: Injected dependencies.
        prices: Price lists.
        stages: The stages.
        new_id: Generator of ids of calls and runs.
        call_option_names: Names of the fields of `CallOptions`, which are not sent to providers.
    """

    call_option_names = _PIPELINE_OPTIONS

    def __init__(self, config: Config, runtime: Runtime | None = None) -> None:
        self.config = config
        if config.env_file is not None:
            keys.use_env_file(config.env_file)
        self.runtime = runtime or Runtime()
        self.prices = Prices(config.prices, clock=self.runtime.clock)
        self.stages = Stages(config, self.runtime, self.prices)
        self.new_id = CallIds(self.runtime.clock, self.runtime.rng)
        self._providers: dict[str, Provider] = {}
        self._functions: weakref.WeakSet[FunctionProvider] = weakref.WeakSet()
        self._handle = compose(self.stages.in_order(), Sender(self.prices, self.runtime.sink))
        self._warned: set[str] = set()
        for name in config.fallback:
            self._warn_of_key(name)

    @property
    def log(self) -> UsageLog:
        """The usage log."""
        return self.stages.log

    def provider(self, service: str) -> Provider:
        """The adapter of a service, made on first use."""
        adapter = self._providers.get(service)
        if adapter is None:
            adapter = self._providers[service] = providers.make_provider(
                service,
                clock=self.runtime.clock,
                allow_insecure_http=self.config.allow_insecure_http,
                local=self.config.local,
                headers=self.config.headers.get(service),
                home=None if self.config.replay == "replay" else self.config.home_folder(),
            )
        return adapter

    def learnt(self) -> list[tuple[str, str, Learnt]]:
        """Endpoint, model and lesson of each refusal of the last 30 days that this home has stored."""
        if self._replays():
            return []
        return memory_of(self.config.home_folder()).rows(self.runtime.clock.unix())

    def activities(self) -> dict[str, str]:
        """Activities that calls wait for, by ``provider:model``, such as "loading the model"."""
        return {
            f"{service}:{model}": activity
            for service, provider in list(self._providers.items())
            if isinstance(provider, HasActivities)
            for model, activity in provider.activities().items()
        }

    def function_provider(
        self, function: Callable[..., Any], *, name: str, text_only: bool = False
    ) -> FunctionProvider:
        """Make a provider that calls a function in place of a model; its threads end with the session."""
        provider = FunctionProvider(function, name=name, text_only=text_only)
        self._functions.add(provider)
        return provider

    def make_call(
        self,
        prompt: Prompt,
        *,
        model: str | None = None,
        system: str | None = None,
        api_base: str | None = None,
        api_key_name: str | None = None,
        schema: Any = None,
        **options: Any,
    ) -> Call:
        """Build a `Call` from the arguments of `Session.ask`.

        Raises:
            ConfigError: Model, message or schema is not valid.
            InvalidPromptError: The prompt is empty.
        """
        service, name = self.find_model(model)
        check_effort(options.get("effort"))
        given = {key: options.pop(key) for key in self.call_option_names & options.keys()}
        given.setdefault("fallback", self.config.fallback)
        check_parameters(options, service=service, options=CALL_OPTIONS)
        request = Request(
            provider=service,
            model=name,
            messages=read_prompt(prompt, system),
            parameters={key: plain_value(value) for key, value in options.items() if value is not None},
            api_base=api_base or self.config.api_base,
            api_key_name=api_key_name,
            schema=None if schema is None else read_schema(schema),
        )
        return Call(request=request, provider=self.provider(service), options=self.call_options(given))

    def call_options(self, given: dict[str, Any]) -> CallOptions:
        """Options of a call, with the notebook and cell of its origin unless given."""
        if given.get("fallback"):
            models = read_fallback(given["fallback"])
            given["fallback"] = tuple(self._alternative(name) for name in models)
        if "notebook" not in given:
            notebook, cell_id = self.runtime.origin()
            given = {"notebook": notebook, "cell_id": cell_id, **given}
        return CallOptions(**{name: plain_scalar(value) for name, value in given.items()})

    def find_model(self, model: str | None = None) -> tuple[str, str]:
        """Service and name of `model`, else of the configured model, else of the embedded one if it is ready.

        Raises:
            ConfigError: No model is configured (the message lists the ways to choose one), or the name is not
                valid.
        """
        name = model or self.config.model or self._recorded_model() or providers.embedded_model()
        if name is None:
            raise ConfigError(providers.ways_to_choose())
        return providers.split_model(name, self.config.aliases)

    def handle(self, call: Call) -> Coroutine[Any, Any, Reply]:
        """Send a call through all stages, on the running loop; ``on_text`` is called in a thread."""
        return self.through(self._handle, call)

    def pack_handler(self) -> Handler:
        """The pipeline of calls for several rows; the caller reads their answers."""
        return compose(self.stages.of_packs(), Sender(self.prices, self.runtime.sink))

    async def through(self, handler: Handler, call: Call) -> Reply:
        """Send a call through a composed pipeline; the checked value of a stored reply is computed again."""
        call.started_at = self.runtime.clock.monotonic()
        reply = await handler(call)
        schema = call.request.schema
        # A stored reply cannot hold an object of the user's class, and another class may have the same JSON
        # schema.
        if schema is not None and (reply.cached or reply.parsed is None):
            reply.parsed = await check_again(schema, reply)
        return reply

    def preview(self, call: Call) -> Preview:
        """Preview a call: the prompt as it would be sent, its tokens and price; nothing is sent or logged."""
        stages = self.stages
        return ENGINE.run(
            preview_call(
                call,
                prices=self.prices,
                usual_output_tokens=stages.log.usual_output_tokens,
                holds=stages.cache.holds if stages.cache else None,
                review=stages.validation.validator.review if stages.validation else None,
            )
        )

    @property
    def budget(self) -> Budget | None:
        """The limit on spending; None means no budget."""
        return self.stages.budget.limits.options

    def set_budget(self, budget: Budget | None) -> None:
        """Replace the budget; the amount spent stays, and calls waiting for money are tried again."""
        self.stages.budget.limits.change(budget)
        self.config = dataclasses.replace(self.config, budget=budget)

    def budget_status(self) -> list[BudgetStatus]:
        """State of the budget: one item, or one per user or batch with a cost; empty without a budget."""
        return self.stages.budget.limits.status()

    def take_over(self, rows: Iterable[Row], cost_usd: Decimal) -> None:
        """Log calls that other processes made for this session, and book their cost in its budget.

        Args:
            rows: Rows not yet in this home's log.
            cost_usd: Known cost of these calls, plus that of such calls whose rows are already in the log.
        """
        for row in rows:
            self.log.add(row)
        self.stages.budget.limits.book_elsewhere(cost_usd)

    def notify(self, text: str, kind: str) -> None:
        """Show a notice to the user."""
        self.runtime.sink(Notice(text, kind))

    def close(self) -> None:
        """Write queued data, end threads, close files and connections."""
        ENGINE.run(self.stages.close())
        self.log.close()
        for provider in list(self._functions):
            provider.close()
        self._providers.clear()

    def _alternative(self, name: str) -> Alternative:
        """Make a fallback model."""
        service, model = providers.split_model(name, self.config.aliases)
        self._warn_of_key(name)
        return Alternative(self.provider(service), model)

    def _warn_of_key(self, name: str) -> None:
        """Report once, before an outage, that the key of a fallback model is missing.

        An invalid name fails the call instead.
        """
        try:
            missing = providers.missing_key(*providers.split_model(name, self.config.aliases))
        except ConfigError:
            return
        if missing is None or name in self._warned or self._replays():
            return
        self._warned.add(name)
        text = f"the fallback {name} cannot be used: {missing} is not set; set it with %ai login {missing}"
        self.notify(text, "fallback")

    def _recorded_model(self) -> str | None:
        """In replay, the model of the cassette, for notebooks that name no model."""
        replay = self.stages.replay
        return replay.library.usual_model() if replay is not None and self._replays() else None

    def _replays(self) -> bool:
        return self.stages.replay is not None and self.stages.replay.mode == "replay"


def check_effort(effort: Any) -> None:
    """Raise unless an effort is a known level.

    Raises:
        ConfigError: The effort is unknown; the message lists the levels.
    """
    if effort is not None and effort not in LEVELS:
        raise ConfigError(f"effort takes one of {', '.join(LEVELS)}; it is {effort!r}")


def read_fallback(value: Models) -> tuple[str, ...]:
    """Read the names of fallback models.

    Raises:
        ConfigError: The value is neither a list nor a text.
    """
    try:
        return read_models(value)
    except ValueError as error:
        raise ConfigError(f"fallback takes {error}; it is {value!r}") from None


ENGINE.at_shutdown(close_clients)
