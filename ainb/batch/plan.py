"""From what the caller of ``Session.map`` says to a batch that is ready to go."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ainb.batch.batch import (
    Batch,
    BatchInterrupted,
    BatchOptions,
    House,
    Task,
    function_identity,
    open_source,
)
from ainb.batch.forecast import forecast
from ainb.batch.journal import Journal
from ainb.batch.runner import Work
from ainb.batch.template import Template
from ainb.engine import ENGINE
from ainb.errors import ConfigError, InvalidPromptError
from ainb.events import Notice
from ainb.messages import Call, Message, Reply, Request
from ainb.pipeline.answer.schema import Schema, read_schema
from ainb.pipeline.cache.key import reply_key
from ainb.providers.function import ItemProvider
from ainb.redaction.filter import redact

if TYPE_CHECKING:
    import pandas as pd

    from ainb.batch.job_context import JobContext
    from ainb.batch.progress import Watcher
    from ainb.batch.source import Source
    from ainb.core import Core
    from ainb.engine import Job
    from ainb.pipeline.validation.preview import Preview

__all__ = ["BatchInterrupted", "make_batch", "run_blocking", "runs_frame", "submit"]

DEFAULT_CONCURRENCY = 64
STOP_SECONDS = 1.5
CANCEL_SECONDS = 0.4
JOURNAL_FILE = "journal.sqlite3"
_BATCH_OPTIONS = {item.name for item in dataclasses.fields(BatchOptions)}


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a run that several processes share.

    Attributes:
        run_id: The run; its rows are taken from the journal whether it is finished or not.
        journal: The file for this part's finished rows; None means nowhere.
        watcher: Told of this part's progress.
    """

    run_id: str
    journal: Path | None
    watcher: Watcher


def make_batch(
    core: Core,
    data: Any,
    task: str | Template | Callable[..., Any],
    given: dict[str, Any],
    part: Part | None = None,
) -> Batch:
    """Read the arguments of ``Session.map``.

    Args:
        core: Whose pipeline the rows go through.
        data: The rows.
        task: A template, or a function of one item.
        given: Keyword arguments of ``Session.map``; those of the batch are taken out, the rest are the call's.
        part: Which part of a shared run the rows are; None means that they are a run of their own.

    Raises:
        ConfigError: Something makes no sense; nothing was sent.
    """
    names: Mapping[str, Any] = given.pop("names", None) or {}
    schema = given.pop("schema", None)
    limit, sample = given.pop("limit", None), given.pop("sample", None)
    options = _read_options(given)
    if options.batch_api and given.get("fallback"):
        raise ConfigError("a batch job is answered by one model; leave fallback out, or leave batch_api out")
    source = open_source(data, limit=limit, sample=sample)
    checked = None if schema is None else read_schema(schema)
    batch_id = core.new_id() if part is None else part.run_id
    plan = _plan(core, task, {**given, "batch_id": batch_id}, source=source, names=names, schema=checked)
    house = House(
        clock=core.runtime.clock,
        sink=core.runtime.sink,
        place=f"{core.config.home_folder()}|{core.runtime.origin()[0]}",
        journal=_journal(core, part),
        new_id=lambda: batch_id,
        backlog=lambda: core.log.backlog,
        run_id=None if part is None else part.run_id,
    )
    jobs = _jobs(core, plan, options)
    rate_limit = core.config.rate_limit
    most = (rate_limit and rate_limit.concurrency) or DEFAULT_CONCURRENCY
    if plan.slots is not None:
        most, options = min(most, plan.slots), dataclasses.replace(options, fixed_concurrency=True)
    elif plan.template is None and options.concurrency is not None:
        # One's own function, and one's own word for how many: there is nothing to find out.
        options = dataclasses.replace(options, fixed_concurrency=True)
    if options.watcher is not None:
        _tell_forecast(core, source, plan, batch_api=options.batch_api)
    if part is not None:
        options = dataclasses.replace(options, watcher=part.watcher)
    return Batch(source, plan.task, house, options, most=most, jobs=jobs)


def _jobs(core: Core, plan: _Plan, options: BatchOptions) -> JobContext | None:
    """The provider's batch API where it was asked for; None in replay, whose rows come from the cassette like any others."""
    if not options.batch_api:
        for name in ("max_wait_seconds", "batch_poll_seconds"):
            if getattr(options, name) is not None:
                raise ConfigError(f"{name} is an option of batch jobs; add batch_api=True (--batch-api)")
        return None
    from ainb.batch.job_context import JobContext, JobOptions, check_call

    call = check_call(plan.call, concurrency=options.concurrency)
    poll = options.batch_poll_seconds
    wanted = JobOptions(
        poll_seconds=core.config.batch_poll_seconds if poll is None else poll,
        max_wait_seconds=options.max_wait_seconds,
        retry_failed=options.retry_failed,
    )
    return None if core.config.replay == "replay" else JobContext(core, call, wanted)


def _journal(core: Core, part: Part | None) -> Callable[[], Journal] | None:
    """Where finished rows are kept; with a cassette nowhere, because a row that is taken from there would not be recorded."""
    if core.config.replay != "off":
        return None
    if part is not None:
        path = part.journal
        return None if path is None else lambda: Journal(path, mode="TRUNCATE")
    return lambda: Journal(core.config.home_folder() / JOURNAL_FILE)


def preview_rows(core: Core, data: Any, text: str, given: dict[str, Any]) -> tuple[Preview, str | None]:
    """What a batch would send: the call of its first row that can be filled, and a line on all of them; nothing is sent.

    Args:
        core: Whose pipeline the rows would go through.
        data: The rows; they are read, so an iterator is refused.
        text: A template.
        given: Keyword arguments of ``Session.map``.

    Raises:
        ConfigError: Something makes no sense, or no row can be filled.
    """
    names: Mapping[str, Any] = given.pop("names", None) or {}
    schema = given.pop("schema", None)
    source = open_source(data, limit=given.pop("limit", None), sample=given.pop("sample", None))
    batch_api = _read_options(given).batch_api
    if not source.length:
        raise ConfigError("a dry run reads the first rows; it takes a table or a list that has some")
    checked = None if schema is None else read_schema(schema)
    options = {**given, "batch_id": core.new_id()}
    plan = _plan(core, text, options, source=source, names=names, schema=checked)
    call = next(_fillable(plan.task, source), None)
    if call is None or plan.template is None or plan.model is None:
        raise ConfigError("no row can be filled: a cell that the prompt uses is empty in every one of them")
    line = forecast(
        source,
        plan.template,
        model=plan.model,
        prices=core.prices,
        parameters=plan.parameters,
        batch_api=batch_api,
    )
    return core.preview(call), line


def _fillable(task: Task, source: Source) -> Iterator[Call]:
    for row in source.read(task.uses or ()):
        with contextlib.suppress(InvalidPromptError):
            work = task.prepare(row)
            if work.call is not None:
                yield work.call


def run_blocking(batch: Batch) -> pd.DataFrame | Path:
    """Run a batch and wait; an interrupt gives calls under way 1.5 s, cancels the rest and keeps what is done.

    Raises:
        BatchInterrupted: The person stopped it; its `frame` holds the rows.
    """
    job = ENGINE.submit(batch.run())
    try:
        job.wait()
    except KeyboardInterrupt:
        ENGINE.loop().call_soon_threadsafe(batch.stop)
        if not job.wait(STOP_SECONDS):
            job.cancel()
            job.wait(CANCEL_SECONDS)
        raise batch.interrupted() from None
    return job.result()


def submit(batch: Batch) -> Job[pd.DataFrame | Path]:
    """Run a batch in the background."""
    return ENGINE.submit(batch.run())


def runs_frame(core: Core) -> pd.DataFrame:
    """The runs in the journal of a session's home; see ``Session.runs``."""
    import pandas as pd

    path = core.config.home_folder() / JOURNAL_FILE
    runs = []
    if path.exists() and core.config.replay != "replay":
        journal = Journal(path)
        runs = journal.runs()
        journal.close()
    texts = {
        name: pd.array([getattr(run, name) for run in runs], dtype="string")
        for name in ("run_id", "title", "model")
    }
    times = {
        name: pd.to_datetime([getattr(run, name) for run in runs], unit="s", utc=True).astype(
            "datetime64[us, UTC]"
        )
        for name in ("started_at", "finished_at")
    }
    counts = {
        column: pd.array([getattr(run, name) for run in runs], dtype="Int64")
        for column, name in (("rows", "row_count"), ("done", "done"), ("failed", "failed"))
    }
    cost = pd.array([run.cost_nano_usd / 1e9 for run in runs], dtype="Float64")
    return pd.DataFrame({**texts, **times, **counts, "cost_usd": cost})


@dataclass(frozen=True, kw_only=True)
class _Plan:
    task: Task
    slots: int | None
    call: Call | None = None
    template: Template | None = None
    model: str | None = None
    parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def _plan(
    core: Core,
    task: str | Template | Callable[..., Any],
    given: dict[str, Any],
    *,
    source: Source,
    names: Mapping[str, Any],
    schema: Schema | None,
) -> _Plan:
    if isinstance(task, str):
        task = Template(task.strip(), columns=source.columns, names=names)
    if isinstance(task, Template):
        return _template_plan(core, task, given, schema=schema)
    if callable(task):
        return _function_plan(core, task, given, schema=schema)
    raise ConfigError(
        f"a batch takes a prompt with {{columns}} or a function of one item; it is {type(task).__name__}"
    )


def _template_plan(core: Core, template: Template, given: dict[str, Any], *, schema: Schema | None) -> _Plan:
    # One call read in full; each row's differs in the last message alone.
    first = core.make_call("a row's prompt comes here", **given)
    request = dataclasses.replace(first.request, schema=schema)
    before, provider, options = request.messages[:-1], first.provider, first.options
    endpoint, account = first.place(), first.payer()
    pick: dict[str, Any] = {name: getattr(request, name) for name in _REQUEST_FIELDS}

    def prepare(row: Mapping[str, Any]) -> Work:
        return of_prompt(*template.fill(row))

    def of_prompt(prompt: str, values: tuple[str, ...] | None = None) -> Work:
        messages = (*before, Message("user", prompt))
        call = Call(
            request=Request(messages=messages, **pick),
            provider=provider,
            options=options,
            endpoint=endpoint,
            account=account,
            values=values,
        )
        call.row_key = reply_key(call)
        return Work(key=call.row_key, call=call, send=core.handle)

    def name_run(run_id: str) -> None:
        nonlocal options
        options = dataclasses.replace(options, batch_id=run_id)

    identity = (template.text, _told(request), names_digest(template))
    return _Plan(
        task=Task(
            prepare=prepare,
            name_run=name_run,
            uses=template.uses,
            title=redact(" ".join(template.text.split())),
            model=f"{request.provider}:{request.model}",
            identity=identity,
            schema=schema,
            rebuild=of_prompt,
        ),
        call=first,
        slots=getattr(provider, "slots", None),
        template=template,
        model=f"{request.provider}:{request.model}",
        parameters=request.parameters,
    )


def _function_plan(
    core: Core, function: Callable[..., Any], given: dict[str, Any], *, schema: Schema | None
) -> _Plan:
    digest = hashlib.sha256(function_identity(function).encode()).hexdigest()[:12]
    title = getattr(function, "__qualname__", type(function).__name__)
    shared = core.function_provider(function, name=f"{title}#{digest}")
    model = given.pop("model", None) or title
    treatment = {name: value for name, value in given.items() if name in core.treatments}
    unknown = given.keys() - treatment.keys()
    if unknown:
        raise ConfigError(f"{min(unknown)!r} is an option of a model; a function takes the item alone")
    options = core.call_options({"cache": "off", **treatment})

    def prepare(item: Any) -> Work:
        text = item if isinstance(item, str) else json.dumps(item, default=str, ensure_ascii=False)
        request = Request(provider="function", model=model, messages=(Message("user", text),), schema=schema)
        call = Call(request=request, provider=ItemProvider(shared, item), options=options)
        call.row_key = reply_key(call)
        return Work(key=call.row_key, call=call, send=core.handle)

    def name_run(run_id: str) -> None:
        nonlocal options
        options = dataclasses.replace(options, batch_id=run_id)

    told = None if schema is None else schema.json_schema
    task = Task(
        prepare=prepare,
        name_run=name_run,
        uses=None,
        title=title,
        model=model,
        identity=(title, digest, told),
        schema=schema,
    )
    return _Plan(task=task, slots=None)


_REQUEST_FIELDS = [item.name for item in dataclasses.fields(Request) if item.name != "messages"]
Send = Callable[[Call], Awaitable[Reply]]


def names_digest(template: Template) -> str:
    """Digest of what the notebook's names put into the prompt: another value is another run."""
    return hashlib.sha256(json.dumps(template.constants).encode()).hexdigest() if template.is_filled else ""


def _told(request: Request) -> list[Any]:
    schema = None if request.schema is None else request.schema.json_schema
    head = [[message.role, message.content] for message in request.messages[:-1]]
    return [request.provider, request.model, dict(request.parameters), request.api_base, schema, head]


def _read_options(given: dict[str, Any]) -> BatchOptions:
    chosen = {name: given.pop(name) for name in list(given) if name in _BATCH_OPTIONS}
    keep = chosen.get("keep", False)
    if isinstance(keep, str):
        chosen["keep"] = (keep,)
    elif not isinstance(keep, bool):
        chosen["keep"] = tuple(keep)
    return BatchOptions(**chosen)


def _tell_forecast(core: Core, source: Source, plan: _Plan, *, batch_api: bool) -> None:
    if plan.template is None or plan.model is None:
        return
    text = forecast(
        source,
        plan.template,
        model=plan.model,
        prices=core.prices,
        parameters=plan.parameters,
        batch_api=batch_api,
    )
    if text is not None:
        core.runtime.sink(Notice(text, "forecast"))
