"""Session: the public interface of ainb for prompts, batches, comparisons and usage reports."""

from __future__ import annotations

import dataclasses
import inspect
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Self, TypeVar, cast

from ainb import functions, host
from ainb.config import Config, load_config, read_arguments
from ainb.core import Core, Models, read_fallback
from ainb.engine import ENGINE
from ainb.errors import BatchPendingError, ConfigError
from ainb.job import Job
from ainb.messages import Call, Provider, Reply
from ainb.pipeline.budget import Budget, BudgetStatus
from ainb.pipeline.cache import Cache
from ainb.pipeline.circuit import Circuit
from ainb.pipeline.deadline import Deadline
from ainb.pipeline.rate_limit import RateLimit
from ainb.pipeline.retry import Retry
from ainb.pipeline.validation import Preview, Validation
from ainb.pricing import Prices
from ainb.prompts import Prompt
from ainb.runtime import Runtime
from ainb.status import status_rows
from ainb.stores.redis import StateAddress, parse_state
from ainb.suggestions import closest

if TYPE_CHECKING:
    from decimal import Decimal

    import pandas as pd

    from ainb.batch import Batch
    from ainb.compare import Comparison
    from ainb.usage.filters import Since
    from ainb.usage.log import UsageLog
    from ainb.usage.rows import Row

UNSET: Any = object()
PREVIEW_ROWS = 20
P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])


class Session:
    """Sends prompts to models through the pipeline and reports their usage.

    Args:
        model: ``provider:model`` or an alias; None means the configured one.
        rate_limit: Limits of requests, tokens and calls in flight; None turns the stage off, as it does for
            the next four. An argument that is left out has its configured value.
        retry: Attempts after transient faults.
        circuit: When to stop calls to a failing provider.
        budget: Limit on spending; None means no budget.
        cache: Storage and reuse of answers.
        fallback: Models to try in order when the previous one is down or its circuit is open: a list, or a
            comma-separated text.
        validation: Rules that redact or refuse prompts before they are sent.
        timeout_seconds: Total time of a call; None means no limit.
        state: Redis URL for limits, circuits, budgets and cache shared with other kernels and machines; None
            means local state.
        home: Folder of cache, usage log and journals; None means the configured one.
        api_base: Base URL in place of the provider's own; None means the configured one.
        headers: Additional HTTP headers by service, such as ``{"openai": {"X-Team": "$TEAM"}}``;
            ``$VARIABLE`` is read when a call is made.
        config: Complete options, in place of those from all other sources; other arguments override them.
        runtime: Clock, randomness and event sink; for tests.
        unknown: Not accepted; a misspelt option raises an error that suggests the nearest name.

    Attributes:
        core: The internal parts of the session; not a stable interface.
        last_map: Frame of the last batch of `map`, also if it was stopped; None before the first.

    Raises:
        ConfigError: An option is not valid.
    """

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
        headers: Mapping[str, Mapping[str, str]] = UNSET,
        config: Config | None = None,
        runtime: Runtime | None = None,
        **unknown: Any,
    ) -> None:
        for name in unknown:
            known = inspect.signature(Session).parameters.keys() - {"unknown"}
            raise ConfigError(f"Session has no option {name!r}; {closest(name, known)}")
        given: dict[str, Any] = {
            "rate_limit": rate_limit,
            "retry": retry,
            "circuit": circuit,
            "cache": cache,
            "validation": validation,
            "budget": budget,
            "fallback": fallback if fallback is UNSET else read_fallback(fallback),
            "state": state if state is UNSET else parse_state(state),
            "headers": headers,
        }
        given |= {name: value or UNSET for name, value in (("model", model), ("api_base", api_base))}
        options = _with_arguments(load_config() if config is None else config, given, home, timeout_seconds)
        self.core = Core(options, runtime)
        self.last_map: pd.DataFrame | None = None

    # One call

    def ask(
        self, prompt: Prompt, *, model: str | None = None, system: str | None = None, **options: Any
    ) -> Reply:
        """Send a prompt and wait for the reply, in a notebook, a script or a thread.

        Args:
            prompt: Text, or a list of messages (``{"role": …, "content": …}`` or `Message`).
            model: Model for this call; None means the session's.
            system: System message that is prepended; None means none.
            options: Fields of `CallOptions` (``timeout_seconds``, ``cache``, ``tags``, …), ``api_base``,
                ``api_key_name``, ``schema`` (a pydantic model, dataclass, TypedDict or JSON schema;
                `Reply.parsed` then holds the checked value); everything else is a request parameter
                (``temperature``, ``max_tokens``, …).

        Raises:
            CallRejectedError: Nothing was sent; the message gives the reason.
            ProviderError: The call was sent and failed.
            InvalidReplyError: The reply does not match the schema.
            ConfigError: Model, key or an option is not valid.
        """
        return ENGINE.run(
            self.core.handle(self.core.make_call(prompt, model=model, system=system, **options))
        )

    def submit(
        self, prompt: Prompt, *, model: str | None = None, system: str | None = None, **options: Any
    ) -> Job[Reply]:
        """Send a prompt and return at once; arguments as for `ask`.

        Returns:
            A job: ``job.result()`` blocks, ``await job`` works on any loop, ``job.cancel()`` stops it.
        """
        return ENGINE.submit(
            self.core.handle(self.core.make_call(prompt, model=model, system=system, **options))
        )

    def make_call(self, prompt: Prompt, **options: Any) -> Call:
        """Build the `Call` that `ask` would send; arguments as for `ask`.

        Raises:
            ConfigError: Model, message or schema is not valid.
            InvalidPromptError: The prompt is empty.
        """
        return self.core.make_call(prompt, **options)

    async def handle(self, call: Call) -> Reply:
        """Send a call through all stages, on the running loop."""
        return await self.core.handle(call)

    def preview(self, call: Call) -> Preview:
        """Preview a call: the prompt as it would be sent, its tokens and price.

        Nothing is sent and no row is written to the log.
        """
        return self.core.preview(call)

    def find_model(self, model: str | None = None) -> tuple[str, str]:
        """Service and model name of `model`, or of the current model.

        Raises:
            ConfigError: No model is configured (the message lists the ways to choose one), or the name is not
                valid.
        """
        return self.core.find_model(model)

    def provider(self, service: str) -> Provider:
        """The adapter of a service, made on first use."""
        return self.core.provider(service)

    # Functions of the caller's own

    def guard(self, *, model: str, cache: bool = True) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Decorate a function that calls a model to use the whole pipeline; see `ainb.functions.guard`.

        Args:
            model: Name of the model in rows, circuits and limits.
            cache: Whether the same prompt and parameters are answered from the cache.
        """
        return functions.guard(self.core, model=model, cache=cache)

    def monitored(self, *, operation: str, model: str, provider: str = "unknown") -> Callable[[F], F]:
        """Decorate a function so that each call of it is a usage row.

        See `ainb.usage.log.recorder.Recorder.monitored`.
        """
        return self.core.log.recorder.monitored(operation=operation, model=model, provider=provider)

    def record(self, *, prompt: str, model: str, **facts: Any) -> Row:
        """Log a call made outside the pipeline; see `ainb.usage.log.recorder.Recorder.record`."""
        return self.core.log.recorder.record(prompt=prompt, model=model, **facts)

    # Tables

    def map(self, data: Any, task: str | Callable[..., Any], **options: Any) -> pd.DataFrame | Path:
        """Send one call per row and wait for the table of answers.

        An unfinished run of the same work is continued; after a finished one a new run starts, whose answers
        come from the cache.

        Args:
            data: DataFrame or Series of pandas or polars, pyarrow table, list or iterator of rows (items that
                are not mappings fill ``{value}``), or the path of a .csv, .tsv, .csv.gz, .jsonl, .parquet or
                .xlsx file, whose text cells are the text in the file; or a Dask DataFrame, Series or bag,
                whose result is a Dask DataFrame, which sends nothing before it is computed (see
                `ainb.dask.map_collection`).
            task: A prompt with ``{column}`` fields and other ``{names}`` from `names`, or an async or plain
                function of one item. Validation checks every prompt and redacts it also in stored data; a
                function is your own code and gets its item unchanged.
            options: ``model``, ``system``, ``schema`` (pydantic model, dataclass, TypedDict or JSON schema
                dict), ``names`` (values of the notebook), ``limit``, ``sample``, ``read`` (a file's ``sep``,
                ``encoding``, ``sheet``, …), ``budget_usd`` (of the whole run); fields of `BatchOptions`
                (``keep``, ``resume``, ``retry_failed``, ``on_error``, ``fail_fast``, ``concurrency``,
                ``circuit_wait_seconds``, ``journal``, ``out``, ``overwrite``, ``csv_formulas``, ``watcher``,
                ``confirm_above_usd`` (USD above which the forecast must be confirmed),
                ``batch_api``, ``max_wait_seconds``, ``batch_poll_seconds``, ``prompt_cache``,
                ``rows_per_call``); everything else as for `ask`. ``rows_per_call=N`` sends N rows in one
                call: with 10 to 25 most models answer as well as row by row, at a fraction of the tokens;
                compare on rows whose labels you know.

        Returns:
            Frame on the index of `data`, same order and length: `reply` string, one typed column per schema
            field, `status` category (ok, error, rejected, cancelled), `error_type` category, `error_message`
            string, `attempts` Int16, `cached` bool, `cost_usd` Float64, `input_tokens`, `output_tokens`
            Int64, `duration_s` Float64 (seconds); NA where unknown. Mappings, dataclasses and pydantic models
            that a function returns fill columns by key, other objects are in `reply`. For a polars frame the
            result is a polars frame. With ``out``, the path of the file with the same columns.

        Raises:
            ConfigError: An argument is not valid (a column does not exist, …); nothing was sent.
            BatchFailedError: Rows failed and ``on_error="raise"``; its `frame` contains all rows.
            BatchInterrupted: The user stopped it; its `frame`, also `last_map`, contains the finished rows.
            BatchPendingError: Batch jobs are not done within ``max_wait_seconds``; its `frame`, also
                `last_map`, contains the finished rows.
        """
        from ainb.batch import make_batch

        if is_dask(data):
            from ainb.dask import map_collection

            return cast("pd.DataFrame", map_collection(self.core, data, task, options))
        return self._run_batch(make_batch(self.core, data, task, options))

    def compare(
        self,
        data: pd.DataFrame,
        prompts: Mapping[str, str] | str,
        *,
        truth: Any,
        models: Sequence[str] | str | None = None,
        schema: Any = None,
        field: str | None = None,
        match: Literal["exact", "casefold"] = "exact",
        weights: Literal["linear", "quadratic"] | None = None,
        sample: int | None = None,
        seed: int = 0,
        budget_usd: Decimal | float | str | None = None,
        **options: Any,
    ) -> Comparison:
        """Compare prompts and models on labelled rows: accuracy, cost, and significance of differences.

        How often each is right, what it costs, and whether they differ.

        Each combination of prompt and model is a batch of `map`: cached, budgeted, resumed, replayed in CI.
        All get the same rows. A row that failed, was not sent, or has no valid answer counts as wrong.

        Args:
            data: The rows; also a list of records.
            prompts: Prompts with ``{column}`` fields by name, or one prompt. The others are compared with the
                first.
            truth: Column of `data` with the right answers; rows without one are left out and counted. An Enum
                equals its value.
            models: Models; each prompt is sent to each model. None means the session's.
            schema: As for `map`. Without a schema the text of the reply, without outer white space, is the
                label. A field that is an integer or a number is measured as a number, unless the schema lists
                its values (``Literal[1, 2, 3]``, an Enum).
            field: The field of the schema that is compared; required if it has several.
            match: "casefold" ignores the case of labels.
            weights: "linear" or "quadratic" kappa, for ordered labels. The order is that of an ordered
                Categorical or an Enum in `truth`, else of the schema's values, else of numbers.
            sample: Number of rows to compare, drawn by `seed` from those with a truth; None means all.
            seed: Random seed of the sample and of the bootstrap.
            budget_usd: Limit on the total cost in USD; rows for which no money is left are not sent. With
                ``batch_api=True`` all variants are submitted at once, and each may spend an equal share.
            options: As for `map`: ``temperature``, ``system``, ``max_tokens``, ``concurrency``, ``names``, …

        Returns:
            The result: ``frame``, ``verdict``, ``confusion()``, ``scores()``, ``disagreements()``,
            ``answers()``, ``to_markdown()``.

        Raises:
            ConfigError: An argument is not valid, such as a prompt that contains the truth; nothing was sent.
            BatchInterrupted: It was interrupted; the same call continues where it stopped.
            ReplayMissError: In replay, some rows were not recorded.
        """
        from ainb.compare import compare

        return compare(
            self.core,
            data,
            prompts,
            truth=truth,
            models=models,
            schema=schema,
            field=field,
            match=match,
            weights=weights,
            sample=sample,
            seed=seed,
            budget_usd=budget_usd,
            options=options,
        )

    def for_partitions(self, task: str | Callable[..., Any], **options: Any) -> Callable[..., pd.DataFrame]:
        """Make a function that runs `map` on one partition of a Dask DataFrame.

        Use it as ``ddf.map_partitions(session.for_partitions("Classify. {review}"))``.

        The function contains the session's options and no key, so that it can be sent to other machines. A
        row is paid for once, however often Dask computes its partition.

        Args:
            task: As for `map`.
            options: As for `map`, without ``limit``, ``sample`` and ``out``.

        Raises:
            ConfigError: An argument is not valid, or the extra ``dask`` is not installed.
        """
        from ainb.dask import map_partitions_function

        return map_partitions_function(self.core, task, options)

    def preview_map(self, data: Any, task: str, **options: Any) -> tuple[Preview, str | None]:
        """Preview `map` without sending anything.

        Returns a preview of the first row's call, and a line on tokens and price of all rows, or None.

        Args:
            data: As for `map`, except iterators, whose rows cannot be read again.
            task: A prompt with ``{column}`` fields.
            options: As for `map`.

        Raises:
            ConfigError: An argument is not valid, or no row can be filled.
        """
        from ainb.batch import preview_rows

        if is_dask(data):
            head = data.head(PREVIEW_ROWS, npartitions=-1)
            return preview_rows(self.core, head, task, options)[0], None
        return preview_rows(self.core, data, task, options)

    def submit_map(
        self, data: Any, task: str | Callable[..., Any], **options: Any
    ) -> Job[pd.DataFrame | Path]:
        """Start a batch and return at once; arguments as for `map`.

        In a notebook with ``%load_ext ainb``, a panel shows its progress and has a Cancel button.

        Returns:
            A job with the result of `map`.
        """
        from ainb.batch import make_batch

        if is_dask(data):
            raise ConfigError(
                "a Dask collection is computed in the background by Dask: session.map(ddf, …).persist()"
            )
        return make_batch(self.core, data, task, options).start()

    def runs(self) -> pd.DataFrame:
        """Batches of this home, newest first.

        Returns:
            Frame of shape (n_runs, 9): `run_id`, `title`, `model` str, `started_at`, `finished_at`
            datetime64[us, UTC] (NaT while unfinished), `rows` Int64 (NA while unfinished), `done`, `failed`
            Int64, `cost_usd` Float64 (known costs only).
        """
        from ainb.batch import runs_frame

        return runs_frame(self.core)

    def batch_jobs(self) -> pd.DataFrame:
        """Batch jobs submitted by calls with ``batch_api=True`` of this home, newest first.

        Returns:
            Frame of shape (n_jobs, 10), one row per job: `run_id` (equals `batch_id` in the log), `provider`,
            `job_id` (NA before the provider has created it), `state` str (planned, uploaded, submitting,
            submitted, cancelling, ended, fetched, merged), `rows`, `answered`, `failed` Int64 (NA when
            unknown), `submitted_at`, `expires_at` datetime64[us, UTC], `cost_usd` Float64 (NA until merged,
            and when unknown).
        """
        from ainb.jobs import jobs_frame

        return jobs_frame(self.core)

    def cancel_batch_jobs(self, run_id: str) -> pd.DataFrame:
        """Request the provider to cancel the batch jobs of a run.

        Rows that are done stay done; the same `map` call collects them.

        Args:
            run_id: Id of the run, as in `batch_jobs`.

        Returns:
            The jobs of the run, in the form of `batch_jobs`.

        Raises:
            ConfigError: The run has no active job.
            ProviderError: The provider cannot be reached now; the request is repeated when the jobs are
                collected.
        """
        from ainb.jobs import cancel_run, jobs_frame

        ENGINE.run(cancel_run(self.core, run_id))
        return jobs_frame(self.core, run_id)

    def _run_batch(self, batch: Batch) -> pd.DataFrame | Path:
        from ainb.batch import BatchInterrupted

        try:
            result = batch.run_blocking()
        except BatchInterrupted as stopped:
            self.last_map = stopped.frame
            raise
        except BatchPendingError as pending:
            self.last_map = pending.frame
            raise
        self.last_map = None if isinstance(result, Path) else result
        return result

    # Usage and state

    @property
    def log(self) -> UsageLog:
        """The usage log, for the functions of `ainb.usage.frames`."""
        return self.core.log

    def usage(self, since: Since = None, columns: Iterable[str] | None = None, **where: Any) -> pd.DataFrame:
        """One row per call of every session of the home, oldest first.

        See `ainb.usage.frames.calls.usage`.
        """
        from ainb.usage.frames import calls

        return calls.usage(self.log, since=since, columns=columns, **where)

    def costs(
        self, by: str | Sequence[str] | None = None, *, since: Since = None, **where: Any
    ) -> pd.DataFrame:
        """Tokens and money, grouped by columns of the log; see `ainb.usage.frames.totals.costs`."""
        from ainb.usage.frames import totals

        return totals.costs(self.log, by, since=since, **where)

    def errors(
        self, by: str | Sequence[str] | None = None, *, since: Since = None, **where: Any
    ) -> pd.DataFrame:
        """Failed calls, or their number by group; see `ainb.usage.frames.totals.errors`."""
        from ainb.usage.frames import totals

        return totals.errors(self.log, by, since=since, **where)

    def summary(self, *, hours: float | None = None, days: float | None = None, **where: Any) -> pd.DataFrame:
        """Rates, durations, tokens and cost of the last hours or days.

        See `ainb.usage.frames.summary.summary`.
        """
        from ainb.usage.frames import summary

        return summary.summary(self.log, hours=hours, days=days, **where)

    def status(self) -> pd.DataFrame:
        """State of circuits, queues, buckets, retry budgets and the cache.

        Returns:
            Frame indexed by `name`: one row per model that was called (``provider:model``), one for the
            cache, one per budget, one for shared state. Columns, NA where they do not apply: `part`,
            `endpoint`, `circuit` (closed, open, half-open, forced-open, disabled), `probe_in_s` (seconds),
            `failure_rate`, `calls_in_window`, `waiting`, `in_flight`, `concurrency`, `paused_s`, `share`,
            `…_level`, `…_capacity`, `…_limit` of each limited dimension, `retries_left`, `store`, `hits`,
            `misses`, `coalesced`, `stale`, `hit_rate`, `entries`, `size_bytes`; `limit_usd`, `spent_usd`,
            `reserved_usd`, `left_usd`; of shared state `connected`, `distance_ms` (round trip), `peers`
            (number of other processes) and `peer_names`.
        """
        from ainb.usage.frames.status import status_frame

        return status_frame(self.state())

    def state(self) -> list[dict[str, Any]]:
        """The rows of `status` as plain dictionaries, cheap to make; see `ainb.status.status_rows`."""
        return status_rows(self.core)

    def cache_status(self) -> dict[str, Any]:
        """Counts and size of the cache, as in `status`; empty when it is off."""
        cache = self.core.stages.cache
        return cache.lookup.status() if cache else {}

    def clear_cache(self) -> int:
        """Delete every stored answer of the home, also those of other sessions; returns their number."""
        cache = self.core.stages.cache
        return ENGINE.run(cache.lookup.clear()) if cache else 0

    def prune_cache(self, older_than_seconds: float | None = None) -> int:
        """Delete stored answers older than an age; returns their number.

        Args:
            older_than_seconds: The age; None means the session's ``ttl_seconds``, and nothing is deleted if
                that is None too.
        """
        cache = self.core.stages.cache
        return ENGINE.run(cache.lookup.prune(older_than_seconds)) if cache else 0

    @property
    def budget(self) -> Budget | None:
        """The limit on spending; None means no budget."""
        return self.core.budget

    def set_budget(self, budget: Budget | None) -> None:
        """Replace the budget; the amount spent stays, and calls waiting for money are tried again."""
        self.core.set_budget(budget)

    def reset_budget(self) -> None:
        """Reset the amount spent to 0: that of today, of the session, or of every user or batch."""
        self.core.stages.budget.limits.reset()

    def budget_status(self) -> list[BudgetStatus]:
        """State of the budget: one item, or one per user or batch with a cost; empty without a budget."""
        return self.core.budget_status()

    def state_status(self) -> dict[str, Any]:
        """Address, round-trip time and peers of the shared state, as in `status`; empty for local state."""
        shared = self.core.stages.shared
        return shared.status() if shared else {}

    @property
    def config(self) -> Config:
        """Every option."""
        return self.core.config

    @config.setter
    def config(self, config: Config) -> None:
        self.core.config = config

    @property
    def runtime(self) -> Runtime:
        """Clock, randomness and event sink."""
        return self.core.runtime

    @property
    def prices(self) -> Prices:
        """Price lists."""
        return self.core.prices

    def close(self) -> None:
        """Write queued data, end threads, close files and connections.

        The session must not be used afterwards.
        """
        self.core.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def is_dask(data: Any) -> bool:
    """Whether rows are a Dask collection; works without Dask installed."""
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
        front_end = host.registered()
        # The extension's factory adds ``%config Ainb`` and shows notices in the notebook.
        _current = Session() if front_end is None else cast(Session, front_end.make_session())
    return _current


def use(session: Session | None) -> None:
    """Set the notebook's session; with None the next use makes a new one from the options."""
    global _current  # noqa: PLW0603 - see current()
    _current = session


host.on_unregister(lambda: use(None))
