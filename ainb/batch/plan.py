"""Builds a `Batch` from the arguments of ``Session.map``."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ainb.batch.batch import Batch
from ainb.batch.context import BatchContext, short_title
from ainb.batch.forecast.confirmation import announce
from ainb.batch.forecast.forecast import forecast
from ainb.batch.forecast.layout import row_first_hint
from ainb.batch.input.arguments import giving_back, open_rows, read_task
from ainb.batch.input.calls import FunctionCalls, RowCalls, TemplateCalls
from ainb.batch.input.source import Source
from ainb.batch.input.template import Template
from ainb.batch.journal import JOURNAL_FILE, Journal, JournalError, LogFirst
from ainb.batch.options import BatchOptions, take_options
from ainb.batch.packs import PackCalls, check_packs
from ainb.batch.results.output import make_output
from ainb.batch.running.pace import Pace
from ainb.errors import ConfigError, InvalidPromptError
from ainb.pipeline.answer import read_schema

if TYPE_CHECKING:
    from ainb.batch.jobs.context import JobContext
    from ainb.batch.jobs.under_way import JobsUnderWay
    from ainb.core import Core
    from ainb.messages import Call
    from ainb.pipeline.validation import Preview


def make_batch(
    core: Core,
    data: Any,
    task: str | Template | Callable[..., Any],
    given: dict[str, Any],
    *,
    run_id: str | None = None,
    journal: Path | None = None,
) -> Batch:
    """Build a batch from the arguments of ``Session.map``.

    Args:
        core: Core of the session whose pipeline the rows go through.
        data: The rows.
        task: A template, or a function of one item.
        given: Keyword arguments of ``Session.map``; those of the batch are removed, the rest belong to the
            calls.
        run_id: The run to which the rows belong, if several processes share one; None starts a separate run.
        journal: With `run_id`, the journal of this part's rows; None stores none.

    Raises:
        ConfigError: An argument is invalid; nothing was sent.
    """
    source, calls, options = _read_arguments(core, data, task, given)
    # Before the journal is opened, so that a refused batch leaves no run behind.
    with giving_back(source):
        jobs = _jobs(core, calls, options)
        # The parts of a shared run must have the same columns, so a function's return value is a text there.
        fields = calls.fields if run_id is None else calls.fields or {}
        output = make_output(core, source, options, fields=fields)
        if run_id is None and isinstance(calls, TemplateCalls):
            _show_notes(core, calls)
            _show_hint(core, source, calls, options)
            announce(core, source, calls, options)
    identity = _digest(f"{core.config.home_folder()}|{core.runtime.origin()[0]}", *calls.identity)
    opened, run_id = _open_journal(
        core, options, calls, identity=identity, run_id=run_id, path=journal, jobs=jobs
    )
    context = BatchContext(
        core=core,
        source=source,
        calls=calls,
        options=options,
        output=output,
        pace=Pace(core, calls, options),
        identity=identity,
        run_id=run_id,
        journal=opened,
        jobs=jobs,
        under_way=_under_way(core, calls, options, identity),
    )
    return Batch(context)


def preview_rows(core: Core, data: Any, text: str, given: dict[str, Any]) -> tuple[Preview, str | None]:
    """Preview of the first call, for the first row or pack that can be filled, and a forecast of all rows.

    Args:
        core: Core of the session whose pipeline the rows would go through.
        data: The rows; they are read, so an iterator is an error.
        text: A template.
        given: Keyword arguments of ``Session.map``.

    Raises:
        ConfigError: An argument is invalid, or no row can be filled.
    """
    source, calls, options = _read_arguments(core, data, text, given)
    if isinstance(calls, TemplateCalls):
        _show_notes(core, calls)
    with giving_back(source):
        if not source.length:
            raise ConfigError("a dry run reads the first rows; it takes a table or a list with some")
    first = list(itertools.islice(_fillable(calls, source, run_id=core.new_id()), options.rows_per_call))
    if not first or not isinstance(calls, TemplateCalls):
        raise ConfigError("no row can be filled: a cell that the prompt uses is empty in every one of them")
    call = first[0]
    if len(first) > 1:
        packs = PackCalls(calls, options)
        call = packs.make([packs.open_row(0, None, row, row.request) for row in first])
    found = forecast(core, source, calls, batch_api=options.batch_api)
    return core.preview(call), None if found is None else found.text


def _fillable(calls: RowCalls, source: Source, *, run_id: str) -> Iterator[Call]:
    for row in source.read(calls.uses or ()):
        with contextlib.suppress(InvalidPromptError):
            yield calls.make(row, run_id=run_id)


def _read_arguments(
    core: Core, data: Any, task: str | Template | Callable[..., Any], given: dict[str, Any]
) -> tuple[Source, RowCalls, BatchOptions]:
    names = given.pop("names", None) or {}
    schema = given.pop("schema", None)
    options = take_options(given)
    _check_given(given, options)
    source = open_rows(data, task, names, given)
    with giving_back(source):
        checked = None if schema is None else read_schema(schema)
        read = read_task(task, source, names)
        calls: RowCalls
        if isinstance(read, Template):
            calls = TemplateCalls(core, read, given, schema=checked, options=options)
        else:
            calls = FunctionCalls(core, read, given, schema=checked)
        if options.rows_per_call > 1:
            check_packs(calls, options)
        return source, calls, options


def _check_given(given: Mapping[str, Any], options: BatchOptions) -> None:
    """Check that the options of calls go with batch jobs and with packs, if these are requested."""
    if options.batch_api and given.get("fallback"):
        raise ConfigError("a batch job is answered by one model; leave fallback out, or leave batch_api out")
    for name in ("stream", "on_text"):
        if options.batch_api and given.get(name):
            raise ConfigError(
                f"a batch job has no streamed replies; leave {name} out, or leave batch_api out"
            )
        if options.rows_per_call > 1 and given.get(name):
            raise ConfigError(
                f"the reply to a call for {options.rows_per_call} rows is no text to stream; "
                f"leave {name} out, or leave rows_per_call out"
            )


def _open_journal(
    core: Core,
    options: BatchOptions,
    calls: RowCalls,
    *,
    identity: str,
    run_id: str | None,
    path: Path | None,
    jobs: JobContext | None,
) -> tuple[Journal | None, str]:
    """The journal, and the id of the run to resume or of a new run, which is registered in the journal.

    An error of the journal causes a notice, and the batch runs without it.
    """
    open_run = jobs.store.open_run(identity) if jobs is not None and options.resume else None
    new_id = run_id or open_run or core.new_id()
    # A row answered by the journal would be missing in the cassette.
    if not options.journal or core.config.replay != "off" or (run_id is not None and path is None):
        return None, new_id
    journal, log_first = None, LogFirst(core.log, core.runtime.clock)
    try:
        if path is None:
            journal = Journal(core.config.home_folder() / JOURNAL_FILE, before_commit=log_first)
        else:
            journal = Journal(path, mode="TRUNCATE", before_commit=log_first)
        found = None
        if run_id is None and (options.retry_failed or options.resume):
            found = journal.newest(identity, finished=options.retry_failed)
        if found is None:
            title, now = short_title(calls.title), core.runtime.clock.unix()
            journal.start(new_id, identity=identity, title=title, model=calls.model, now=now)
    except JournalError as error:
        core.notify(f"{error}; the batch continues, but cannot be resumed", "journal")
        if journal is not None:
            journal.close()
        return None, new_id
    return journal, found or new_id


def _show_notes(core: Core, calls: TemplateCalls) -> None:
    for note in calls.template.notes:
        core.notify(note, "fields")


def _show_hint(core: Core, source: Source, calls: TemplateCalls, options: BatchOptions) -> None:
    """Show a hint for a prompt that puts the row first; also in replay, so that the output is the same."""
    if options.prompt_cache == "auto":
        hint = row_first_hint(source, calls, prices=core.prices)
        if hint is not None:
            core.notify(hint, "layout")


def _jobs(core: Core, calls: RowCalls, options: BatchOptions) -> JobContext | None:
    """The context of batch jobs if they are requested; None in replay, where a cassette answers the rows."""
    if not options.batch_api:
        return None
    from ainb.batch.jobs.context import JobContext, check_jobs

    if core.config.replay == "replay":
        check_jobs(calls, options).delivery = "batch"
        return None
    return JobContext(core, calls, options)


def _under_way(core: Core, calls: RowCalls, options: BatchOptions, identity: str) -> JobsUnderWay | None:
    """Open batch jobs of the home, to warn about rows of a prompt that are sent live."""
    live = isinstance(calls, TemplateCalls) and not options.batch_api and core.config.replay == "off"
    if not live:
        return None
    from ainb.batch.jobs.under_way import jobs_under_way

    return jobs_under_way(core.config.home_folder(), identity, core.notify)


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
