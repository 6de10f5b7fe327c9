"""The composition root: options in, stages in order, then `ask`, `submit`."""

from __future__ import annotations

import dataclasses
import os
import sys
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from ainb import core as calls
from ainb import functions as guarding
from ainb import keys, providers, reports
from ainb.assembly import Stages
from ainb.config.tree import Config, load_config, read_arguments
from ainb.engine import ENGINE, Job
from ainb.errors import ConfigError
from ainb.messages import Call, CallOptions, Provider, Reply
from ainb.pipeline import compose
from ainb.pipeline.answer.stage import check_again
from ainb.pipeline.budget.options import Budget, BudgetStatus
from ainb.pipeline.cache.stage import Cache
from ainb.pipeline.circuit.state_machine import Circuit
from ainb.pipeline.deadline.stage import Deadline
from ainb.pipeline.rate_limit.stage import RateLimit
from ainb.pipeline.record import CallIds
from ainb.pipeline.retry.policy import Retry
from ainb.pipeline.validation.options import Validation
from ainb.pipeline.validation.preview import Preview, preview_call
from ainb.pricing import Prices
from ainb.prompts.messages import Prompt
from ainb.providers.function import FunctionProvider
from ainb.runtime import Runtime
from ainb.sender import Sender
from ainb.stores.redis.address import StateAddress, parse_state

if TYPE_CHECKING:
    from decimal import Decimal

    import pandas as pd

    from ainb.batch.batch import Batch
    from ainb.pipeline.replay.stage import ReplayStage
    from ainb.usage.log.log import UsageLog

UNSET: Any = object()
PREVIEW_ROWS = 20


class Session:
    """Prompts in, replies out, through every stage that is switched on.

    Args:
        model: ``provider:model`` or an alias; None means the configured one.
        rate_limit: Requests, tokens and calls in flight; None turns the stage off, as for the next three. Left out, every
            option is the configured one.
        retry: Attempts after transient faults.
        circuit: When a provider that fails is left alone.
        budget: What calls may cost; None means no budget.
        cache: Answers that are given again.
        fallback: calls.Models that are asked, in order, when the one before is down or its circuit is open: a list, or a text with commas.
        validation: What is redacted or refused before it is sent.
        timeout_seconds: Total time of a call; None means no limit.
        state: Redis URL of limits, circuits, budgets and cache that other kernels and machines share; None means this
            machine's own.
        home: Folder of cache, usage log and journals; None means the configured one.
        api_base: Base URL in place of the provider's own; None means the configured one.
        config: A whole tree of options, in place of everything that would be read; other arguments go on top.
        runtime: Clock, randomness and listener; for tests.

    Attributes:
        config: Every option.
        runtime: Clock, randomness and listener.
        prices: Price lists.
        last_map: Frame of the last batch that `map` ran, also of one that was stopped; None before the first.
        treatments: Names of the options that say how a call is treated; no provider sees them.
        warned: Fallbacks whose missing key was said already.

    Raises:
        ConfigError: An option makes no sense.
    """

    treatments = frozenset(item.name for item in dataclasses.fields(CallOptions))

    def __init__(
        self,
        model: str | None = None,
        *,
        rate_limit: RateLimit | None = UNSET,
        retry: Retry | None = UNSET,
        circuit: Circuit | None = UNSET,
        budget: Budget | None = UNSET,
        cache: Cache | None = UNSET,
        fallback: calls.Models = UNSET,
        validation: Validation | None = UNSET,
        timeout_seconds: float | None = UNSET,
        state: str | StateAddress | None = UNSET,
        home: str | os.PathLike[str] | None = None,
        api_base: str | None = None,
        config: Config | None = None,
        runtime: Runtime | None = None,
    ) -> None:
        given: dict[str, Any] = {
            "rate_limit": rate_limit,
            "retry": retry,
            "circuit": circuit,
            "cache": cache,
            "validation": validation,
            "budget": budget,
            "fallback": fallback if fallback is UNSET else calls.read_fallback(fallback),
            "state": state if state is UNSET else parse_state(state),
        }
        given |= {name: value or UNSET for name, value in (("model", model), ("api_base", api_base))}
        self.config = _with_arguments(
            load_config() if config is None else config, given, home, timeout_seconds
        )
        if self.config.env_file is not None:
            keys.use_env_file(self.config.env_file)
        self.runtime = runtime or Runtime()
        self.prices = Prices(self.config.prices, clock=self.runtime.clock)
        self._providers: dict[str, Provider] = {}
        self._functions: weakref.WeakSet[FunctionProvider] = weakref.WeakSet()
        self._stages = Stages(self.config, self.runtime, self.prices)
        self.last_map: pd.DataFrame | None = None
        self.new_id = CallIds(self.runtime.clock, self.runtime.rng)
        self._handle = compose(self._stages.in_order(), Sender(self.prices))
        self.warned: set[str] = set()
        for name in self.config.fallback:
            calls.warn_of_key(self, name)

    def ask(
        self, prompt: Prompt, *, model: str | None = None, system: str | None = None, **options: Any
    ) -> Reply:
        """Send a prompt and wait for the reply; works in a notebook, a script, a thread.

        Args:
            prompt: Text, or a list of messages (``{"role": …, "content": …}`` or `Message`).
            model: For this call; None means the session's.
            system: System message put in front; None means none.
            options: Fields of `CallOptions` (``timeout_seconds``, ``cache``, ``tags``, …), ``api_base``, ``api_key_name``,
                ``schema`` (a pydantic model, dataclass, TypedDict or JSON schema; `Reply.parsed` then holds the checked value);
                everything else is a request parameter (``temperature``, ``max_tokens``, …).

        Raises:
            CallRejectedError: Nothing was sent; the message says why.
            ProviderError: It was sent and failed.
            InvalidReplyError: The reply is not of the schema.
            ConfigError: Model, key or an option makes no sense.
        """
        return ENGINE.run(self.handle(self.make_call(prompt, model=model, system=system, **options)))

    def submit(
        self, prompt: Prompt, *, model: str | None = None, system: str | None = None, **options: Any
    ) -> Job[Reply]:
        """Send a prompt and return at once; arguments as for `ask`.

        Returns:
            A job: ``job.result()`` blocks, ``await job`` works on any loop, ``job.cancel()`` stops it.
        """
        return ENGINE.submit(self.handle(self.make_call(prompt, model=model, system=system, **options)))

    async def handle(self, call: Call) -> Reply:
        """Take a call through every stage, on the running loop."""
        call.started_at = self.runtime.clock.monotonic()
        reply = await self._handle(call)
        schema = call.request.schema
        # JSON text cannot hold an object of the person's class, and another class may have the same JSON schema.
        if schema is not None and (reply.cached or reply.parsed is None):
            reply.parsed = check_again(schema, reply)
        return reply

    make_call = calls.make_call
    call_options = calls.call_options
    find_model = calls.find_model

    @property
    def replay_stage(self) -> ReplayStage | None:
        """What answers from the notebook's cassette; None when that is off."""
        return self._stages.replay

    def provider(self, service: str) -> Provider:
        """The session's adapter of a service, made on first use."""
        adapter = self._providers.get(service)
        if adapter is None:
            adapter = self._providers[service] = providers.make_provider(
                service,
                clock=self.runtime.clock,
                allow_insecure_http=self.config.allow_insecure_http,
                local=self.config.local,
            )
        return adapter

    def function_provider(
        self, function: Callable[..., Any], *, name: str, text_only: bool = False
    ) -> FunctionProvider:
        """A function in the place of a model; its threads end with the session."""
        provider = FunctionProvider(function, name=name, text_only=text_only)
        self._functions.add(provider)
        return provider

    def preview(self, call: Call) -> Preview:
        """What sending a call would mean: the prompt as it would leave, tokens, price; nothing is sent and no row is written."""
        stages = self._stages
        return ENGINE.run(
            preview_call(
                call,
                prices=self.prices,
                usual_output_tokens=stages.log.usual_output_tokens,
                holds=stages.cache.holds if stages.cache else None,
                review=stages.validation.validator.review if stages.validation else None,
            )
        )

    guard = guarding.guard

    def map(self, data: Any, task: str | Callable[..., Any], **options: Any) -> pd.DataFrame | Path:
        """Send one call a row and wait for the table of answers.

        An unfinished run of the same work is gone on with; a finished one starts anew, its answers are cached.

        Args:
            data: DataFrame, Series, list or iterator of rows (items that are no mappings fill ``{value}``), or the path of a
                .csv, .parquet or .jsonl file; or a Dask DataFrame, Series or bag, whose result is a Dask DataFrame that sends
                nothing before it is computed (see `ainb.dask.map_collection`).
            task: A prompt with ``{column}`` fields and other ``{names}`` from `names`, or an async or plain function of one item.
                Validation looks at all of it. What it redacts is redacted in prompts and in what is kept; a function is code of
                your own and gets its item as it is.
            options: ``model``, ``system``, ``schema`` (pydantic model, dataclass, TypedDict or JSON schema dict), ``names``
                (values of the notebook), ``limit``, ``sample``, ``budget_usd`` (of the whole run); fields of `BatchOptions`
                (``keep``, ``resume``, ``retry_failed``, ``on_error``, ``fail_fast``, ``concurrency``, ``circuit_wait_seconds``,
                ``journal``, ``out``, ``watcher``); everything else as for `ask`.

        Returns:
            Frame on the index of `data`, same order and length: `reply` string, one typed column a schema field, `status`
            category (ok, error, rejected, cancelled), `error_type` category, `error_message` string, `attempts` Int16,
            `cached` bool, `cost_usd` Float64, `input_tokens`, `output_tokens` Int64, `duration_s` Float64 (seconds); NA where
            unknown. With ``out`` the path of the file that holds the same columns.

        Raises:
            ConfigError: Something makes no sense (a column that does not exist, …); nothing was sent.
            BatchFailedError: Rows failed and ``on_error="raise"``; its `frame` holds all rows.
            BatchInterrupted: The person stopped it; its `frame`, also `last_map`, holds what is done.
        """
        from ainb.batch import plan as mapping

        if is_dask(data):
            from ainb.dask import map_collection

            return cast("pd.DataFrame", map_collection(self, data, task, options))
        return self.run_batch(mapping.make_batch(self, data, task, options))

    def for_partitions(self, task: str | Callable[..., Any], **options: Any) -> Callable[..., pd.DataFrame]:
        """`map` as a function of one partition, for ``ddf.map_partitions(session.for_partitions("Classify: {review}"))``.

        It holds the session's options and no key, so that it can go to other machines. A row is paid once, however often Dask
        computes its partition.

        Args:
            task: As for `map`.
            options: As for `map`, without ``limit``, ``sample`` and ``out``.

        Raises:
            ConfigError: Something makes no sense, or the extra ``dask`` is not installed.
        """
        from ainb.dask import map_partitions_function

        return map_partitions_function(self, task, options)

    def run_batch(self, batch: Batch) -> pd.DataFrame | Path:
        """Run a batch that ``mapping.make_batch`` made and wait; what `map` does once its arguments are read."""
        from ainb.batch import plan as mapping

        try:
            result = mapping.run_blocking(batch)
        except mapping.BatchInterrupted as stopped:
            self.last_map = stopped.frame
            raise
        self.last_map = None if isinstance(result, Path) else result
        return result

    def preview_map(self, data: Any, task: str, **options: Any) -> tuple[Preview, str | None]:
        """What `map` would send, without sending it: the first row's call, and a line on tokens and price of all rows or None.

        Args:
            data: As for `map`; no iterator, because its rows could not be read again.
            task: A prompt with ``{column}`` fields.
            options: As for `map`.

        Raises:
            ConfigError: Something makes no sense, or no row can be filled.
        """
        from ainb.batch import plan as mapping

        if is_dask(data):
            return mapping.preview_rows(self, data.head(PREVIEW_ROWS, npartitions=-1), task, options)[0], None
        return mapping.preview_rows(self, data, task, options)

    def submit_map(
        self, data: Any, task: str | Callable[..., Any], **options: Any
    ) -> Job[pd.DataFrame | Path]:
        """Start a batch and return at once; arguments as for `map`.

        Returns:
            A job whose result is what `map` returns.
        """
        from ainb.batch import plan as mapping

        if is_dask(data):
            raise ConfigError(
                "a Dask collection goes on in the background by itself: session.map(ddf, …).persist()"
            )
        return mapping.submit(mapping.make_batch(self, data, task, options))

    def runs(self) -> pd.DataFrame:
        """Batches of this home, newest first.

        Returns:
            Frame of shape (n_runs, 9): `run_id`, `title`, `model` str, `started_at`, `finished_at` datetime64[us, UTC] (NaT while
            unfinished), `rows` Int64 (NA while unfinished), `done`, `failed` Int64, `cost_usd` Float64 of what is known.
        """
        from ainb.batch import plan as mapping

        return mapping.runs_frame(self)

    usage = reports.usage
    costs = reports.costs
    errors = reports.errors
    summary = reports.summary
    record = reports.record
    monitored = reports.monitored
    status = reports.status
    take_over = reports.take_over

    def state(self) -> list[dict[str, Any]]:
        """What `status` shows, as plain rows that are cheap to ask for; see `ainb.assembly.Stages.status`."""
        return self._stages.status()

    def book_elsewhere(self, cost_usd: Decimal) -> None:
        """Book what other processes spent for this session in its own budget."""
        self._stages.budget.book_elsewhere(cost_usd)

    @property
    def log(self) -> UsageLog:
        """The usage log, for the functions of `ainb.usage`."""
        return self._stages.log

    def cache_status(self) -> dict[str, Any]:
        """What the cache did and holds, as in `status`; empty when it is off."""
        return self._stages.cache.status() if self._stages.cache else {}

    def clear_cache(self) -> int:
        """Forget every stored answer of the home, other sessions' too; returns how many there were."""
        return ENGINE.run(self._stages.cache.clear()) if self._stages.cache else 0

    def prune_cache(self, older_than_seconds: float | None = None) -> int:
        """Forget stored answers past an age; returns how many there were.

        Args:
            older_than_seconds: The age; None means the session's ``ttl_seconds``, and nothing is forgotten where that is None too.
        """
        return ENGINE.run(self._stages.cache.prune(older_than_seconds)) if self._stages.cache else 0

    @property
    def budget(self) -> Budget | None:
        """What calls may cost; None means no budget."""
        return self._stages.budget.options

    def set_budget(self, budget: Budget | None) -> None:
        """Take another budget, or none; what is spent stays spent, and calls that wait for money are tried again."""
        self._stages.budget.change(budget)
        self.config = dataclasses.replace(self.config, budget=budget)

    def reset_budget(self) -> None:
        """Forget what is spent of the budget: today's, the session's, or every user's or batch's."""
        self._stages.budget.reset()

    def budget_status(self) -> list[BudgetStatus]:
        """How the budget stands: one item, or one for each user or batch that money went through; empty without a budget."""
        return self._stages.budget.status()

    def state_status(self) -> dict[str, Any]:
        """Where shared state lives, how far away that is and who else is there, as in `status`; empty where nothing is shared."""
        return self._stages.shared.status() if self._stages.shared else {}

    def close(self) -> None:
        """Write out what waits to be written, end threads, let go of files and servers; the session may not be used afterwards."""
        ENGINE.run(self._stages.close())
        self._stages.log.close()
        for provider in list(self._functions):
            provider.close()
        self._providers.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


ENGINE.at_shutdown(providers.close_clients)


def is_dask(data: Any) -> bool:
    """Whether rows are a Dask collection; Dask need not be there to tell."""
    return type(data).__module__.partition(".")[0] == "dask"


def _with_arguments(
    config: Config,
    given: Mapping[str, Any],
    home: str | os.PathLike[str] | None,
    timeout_seconds: float | None,
) -> Config:
    changes = read_arguments({name: value for name, value in given.items() if value is not UNSET})
    if home is not None:
        changes["home"] = Path(home).expanduser()
    if timeout_seconds is not UNSET:
        changes["deadline"] = dataclasses.replace(
            config.deadline or Deadline(), timeout_seconds=timeout_seconds
        )
    return dataclasses.replace(config, **changes) if changes else config


_current: Session | None = None


def current() -> Session:
    """The notebook's session, made from the configuration on first use."""
    global _current  # noqa: PLW0603 - a kernel has one notebook, and so one current session
    if _current is None:
        _current = _maker()()
    return _current


def use(session: Session | None) -> None:
    """Make `session` the notebook's; None means make a new one from the configuration when next asked."""
    global _current  # noqa: PLW0603 - see current()
    _current = session


def _maker() -> Callable[[], Session]:
    """The loaded extension's (it adds ``%config Ainb`` and shows notices), else `Session`.

    It is looked up, not handed in, so that ``%load_ext`` need not import this module.
    """
    make = getattr(sys.modules.get("ainb.magics"), "make_session", None)
    return make or Session
