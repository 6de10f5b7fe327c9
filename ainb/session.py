"""The composition root: options in, stages in order, then `ask`, `submit`."""

from __future__ import annotations

import dataclasses
import functools
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar, cast

from ainb import keys, providers
from ainb.config import Config, load_config, read_models
from ainb.engine import ENGINE, Job
from ainb.errors import ConfigError
from ainb.events import Notice
from ainb.messages import Alternative, Call, CallOptions, Provider, Reply, Request
from ainb.pipeline import compose
from ainb.pipeline.answer import check_again
from ainb.pipeline.budget_options import Budget, BudgetStatus
from ainb.pipeline.cache import Cache
from ainb.pipeline.checks import is_async
from ainb.pipeline.circuit_core import Circuit
from ainb.pipeline.deadline import Deadline
from ainb.pipeline.preview import Preview, preview_call
from ainb.pipeline.rate_limit import RateLimit
from ainb.pipeline.record import CallIds
from ainb.pipeline.retry_core import Retry
from ainb.pipeline.schema import read_schema
from ainb.pipeline.validation_options import Validation
from ainb.pricing import Prices
from ainb.prompts import Prompt, read_prompt
from ainb.providers.function import FunctionProvider
from ainb.stages import Runtime, Sender, Stages
from ainb.stores.address import StateAddress, parse_state

if TYPE_CHECKING:
    import pandas as pd

    from ainb.batch.batch import Batch
    from ainb.usage.log import UsageLog
    from ainb.usage.rows import Row
    from ainb.usage.where import Since

F = TypeVar("F", bound=Callable[..., Any])
P = ParamSpec("P")
R = TypeVar("R")
UNSET: Any = object()
PREVIEW_ROWS = 20
Models = str | Sequence[str] | None


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
        fallback: Models that are asked, in order, when the one before is down or its circuit is open: a list, or a text with commas.
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
        fallback: Models = UNSET,
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
            "fallback": fallback if fallback is UNSET else _read_fallback(fallback),
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
        self._stages = Stages(self.config, self.runtime, self.prices)
        self.last_map: pd.DataFrame | None = None
        self.new_id = CallIds(self.runtime.clock, self.runtime.rng)
        self._handle = compose(self._stages.in_order(), Sender(self.prices))
        self._warned: set[str] = set()
        for name in self.config.fallback:
            self._warn_of_key(name)

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
        """Read what the person gave into a Call that has not started.

        Raises:
            ConfigError: Model, message or schema makes no sense.
            InvalidPromptError: The prompt is empty.
        """
        service, name = self.find_model(model)
        treatment = {key: options.pop(key) for key in self.treatments & options.keys()}
        treatment.setdefault("fallback", self.config.fallback)
        request = Request(
            provider=service,
            model=name,
            messages=read_prompt(prompt, system),
            parameters={key: value for key, value in options.items() if value is not None},
            api_base=api_base or self.config.api_base,
            api_key_name=api_key_name,
            schema=None if schema is None else read_schema(schema),
        )
        return Call(request=request, provider=self.provider(service), options=self.call_options(treatment))

    def call_options(self, treatment: dict[str, Any]) -> CallOptions:
        """Options of a call, with the place it comes from unless that is given."""
        if treatment.get("fallback"):
            models = _read_fallback(treatment["fallback"])
            treatment["fallback"] = tuple(self._alternative(name) for name in models)
        if "notebook" not in treatment:
            notebook, cell_id = self.runtime.origin()
            treatment = {"notebook": notebook, "cell_id": cell_id, **treatment}
        return CallOptions(**treatment)

    def _alternative(self, name: str) -> Alternative:
        """A model to fall back on."""
        service, model = providers.split_model(name, self.config.aliases)
        self._warn_of_key(name)
        return Alternative(self.provider(service), model)

    def _warn_of_key(self, name: str) -> None:
        """Say once, and now and not in the outage, that a fallback's key is missing; a name that makes no sense fails the call."""
        try:
            missing = providers.missing_key(*providers.split_model(name, self.config.aliases))
        except ConfigError:
            return
        if missing is None or name in self._warned or self._replays():
            return
        self._warned.add(name)
        text = f"the fallback {name} cannot be asked: {missing} is not set; set it in the environment"
        self.runtime.sink(Notice(text, "fallback"))

    def find_model(self, model: str | None = None) -> tuple[str, str]:
        """Service and model name of `model`, of the session's model, or of the embedded one where it is ready.

        Raises:
            ConfigError: Nothing is configured (the message lists the ways to choose), or the name makes no sense.
        """
        name = model or self.config.model or self._recorded_model() or providers.embedded_model()
        if name is None:
            raise ConfigError(providers.ways_to_choose())
        return providers.split_model(name, self.config.aliases)

    def _recorded_model(self) -> str | None:
        """In replay the model that the cassette knows, so that a notebook that names none needs no setting here."""
        replay = self._stages.replay
        return replay.library.usual_model() if replay is not None and self._replays() else None

    def _replays(self) -> bool:
        return self._stages.replay is not None and self._stages.replay.mode == "replay"

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

    def guard(self, *, model: str, cache: bool = True) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Put the whole pipeline around a function that calls a model: cache, limits, retry, circuit.

        An async function stays async and runs on the caller's loop; a plain one stays plain and runs in a thread. The first
        argument is the prompt (a text), the others are keyword parameters; the function returns a text or a `Reply`.

        Args:
            model: Names the model in rows, circuits and limits.
            cache: Whether the same prompt and parameters are answered from the cache.

        >>> session = Session("scripted:echo", cache=None)
        >>> @session.guard(model="my-model", cache=False)
        ... def call_llm(prompt, **params):
        ...     return prompt.upper()
        >>> call_llm("hello")
        'HELLO'
        """

        def decorate(function: Callable[P, R]) -> Callable[P, R]:
            name = f"{function.__module__}.{function.__qualname__}"
            provider = FunctionProvider(function, name=name, text_only=True)

            def make_call(prompt: str, **parameters: Any) -> Call:
                options = self.call_options({"cache": "use" if cache else "off"})
                request = Request(
                    provider="function", model=model, messages=read_prompt(prompt), parameters=parameters
                )
                return Call(request=request, provider=provider, options=options)

            if is_async(function):

                @functools.wraps(function)
                async def guarded_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                    return provider.result(await self.handle(make_call(*args, **kwargs)))  # type: ignore[arg-type]

                return cast(Callable[P, R], guarded_async)

            @functools.wraps(function)
            def guarded(*args: P.args, **kwargs: P.kwargs) -> Any:
                return provider.result(ENGINE.run(self.handle(make_call(*args, **kwargs))))  # type: ignore[arg-type]

            return cast(Callable[P, R], guarded)

        return decorate

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
        from ainb import mapping

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
        from ainb import mapping

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
        from ainb import mapping

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
        from ainb import mapping

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
        from ainb import mapping

        return mapping.runs_frame(self)

    def usage(self, since: Since = None, columns: Iterable[str] | None = None, **where: Any) -> pd.DataFrame:
        """Every call of every session of the home, a row each, oldest first; see `ainb.usage.frames.usage`."""
        from ainb.usage import frames

        return frames.usage(self._stages.log, since=since, columns=columns, **where)

    def costs(
        self, by: str | Sequence[str] | None = None, *, since: Since = None, **where: Any
    ) -> pd.DataFrame:
        """Tokens and money by any columns of the log; see `ainb.usage.totals.costs`."""
        from ainb.usage import totals

        return totals.costs(self._stages.log, by, since=since, **where)

    def errors(
        self, by: str | Sequence[str] | None = None, *, since: Since = None, **where: Any
    ) -> pd.DataFrame:
        """The failed calls, or how many there were of each kind; see `ainb.usage.totals.errors`."""
        from ainb.usage import totals

        return totals.errors(self._stages.log, by, since=since, **where)

    def summary(self, *, hours: float | None = None, days: float | None = None, **where: Any) -> pd.DataFrame:
        """How the calls of the last hours or days went; see `ainb.usage.summary.summary`."""
        from ainb.usage import summary

        return summary.summary(self._stages.log, hours=hours, days=days, **where)

    def record(self, *, prompt: str, model: str, **facts: Any) -> Row:
        """Log a call that was made elsewhere; see `ainb.usage.recorder.Recorder.record`."""
        return self._stages.log.recorder.record(prompt=prompt, model=model, **facts)

    def take_over(self, rows: Iterable[Row], cost_usd: Decimal) -> None:
        """Log calls that other processes made for this session, and book what they cost in its own budget.

        Args:
            rows: Rows that are not in this home's log yet.
            cost_usd: What is known of their cost, and of that of others whose rows are in the log.
        """
        for row in rows:
            self._stages.log.add(row)
        self._stages.budget.book_elsewhere(cost_usd)

    def monitored(self, *, operation: str, model: str, provider: str = "unknown") -> Callable[[F], F]:
        """Decorate a function so that each call of it is a row; see `ainb.usage.recorder.Recorder.monitored`."""
        return self._stages.log.recorder.monitored(operation=operation, model=model, provider=provider)

    def status(self) -> pd.DataFrame:
        """What circuits, queues, buckets, retry budgets and the cache are doing now.

        Returns:
            Frame indexed by `name`: a row a model that was called (``provider:model``), one for the cache, one a budget, one
            for shared state. Columns, NA where they do not apply: `part`, `endpoint`, `circuit` (closed, open, half-open, forced-open, disabled), `probe_in_s`
            (seconds), `failure_rate`, `calls_in_window`, `waiting`, `in_flight`, `concurrency`, `paused_s`, `share`,
            `…_level`, `…_capacity`, `…_limit` of each limited dimension, `retries_left`, `store`, `hits`, `misses`,
            `coalesced`, `stale`, `hit_rate`, `entries`, `size_bytes`; `limit_usd`, `spent_usd`, `reserved_usd`, `left_usd`; of shared state
            `connected`, `distance_ms` (there and back), `peers` (how many others) and `peer_names`.
        """
        from ainb.usage.status import status_frame

        return status_frame(self.state())

    def state(self) -> list[dict[str, Any]]:
        """What `status` shows, as plain rows that are cheap to ask for; see `ainb.stages.Stages.status`."""
        return self._stages.status()

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
        """Write out what waits to be written and let go of it; the session may not be used afterwards."""
        ENGINE.run(self._stages.close())
        self._stages.log.close()
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


def _read_fallback(value: Models) -> tuple[str, ...]:
    try:
        return read_models(value)
    except ValueError as error:
        raise ConfigError(f"fallback takes {error}; it is {value!r}") from None


def _with_arguments(
    config: Config,
    given: Mapping[str, Any],
    home: str | os.PathLike[str] | None,
    timeout_seconds: float | None,
) -> Config:
    changes = {name: value for name, value in given.items() if value is not UNSET}
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
