"""One batch from data to frame: reads the source, resumes or opens a run, lets the runner go, and hands back the rows."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any, Literal

from ainb.batch.collector import COLLECTOR
from ainb.batch.concurrency import Concurrency
from ainb.batch.files import OrderedFile, is_path, read_rows
from ainb.batch.progress import Progress, Ticker, Watcher
from ainb.batch.results import Results
from ainb.batch.runner import Runner, RunOptions, Work
from ainb.batch.source import Source, read_source
from ainb.errors import AinbError, BatchPendingError, ConfigError
from ainb.events import Notice

if TYPE_CHECKING:
    import pandas as pd

    from ainb.batch.job_context import JobContext
    from ainb.batch.job_runner import JobRunner
    from ainb.batch.journal import Journal
    from ainb.batch.results import Outcome
    from ainb.clock import Clock
    from ainb.events import Sink
    from ainb.messages import Reply
    from ainb.pipeline.answer.schema import Schema

TITLE_CHARACTERS = 60


class BatchFailedError(AinbError):
    """Rows failed and ``on_error="raise"`` was asked for.

    Attributes:
        frame: Every row, those that succeeded too; None when the results went to a file.
    """

    frame: pd.DataFrame | None = None


class BatchInterrupted(KeyboardInterrupt):
    """The person stopped a batch; what was done is kept.

    Attributes:
        frame: Every row; those that were not reached have the status "cancelled". None when the results went to a file.
    """

    def __init__(self, message: str, *, frame: pd.DataFrame | None = None) -> None:
        super().__init__(message)
        self.frame = frame

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is to be done with each row, as the session prepared it.

    Attributes:
        prepare: Makes the Work of an item.
        name_run: Told the id of the run before the first row; the calls carry it as their ``batch_id``, also those of a run resumed.
        uses: Names that the template takes from a row; None when the item goes to a function whole.
        title: The beginning of the template or the function's name, for people.
        model: ``provider:model``.
        identity: What makes two runs the same work, beside the session's own part.
        schema: What each reply must be, or None.
        rebuild: Makes the Work of a prompt that was sent earlier; None where the task is a function.
    """

    prepare: Callable[[Any], Work]
    name_run: Callable[[str], None]
    uses: tuple[str, ...] | None
    title: str
    model: str
    identity: tuple[Any, ...]
    schema: Schema | None = None
    rebuild: Callable[[str], Work] | None = None

    @property
    def short_title(self) -> str:
        """The title cut at a word, for one line."""
        if len(self.title) <= TITLE_CHARACTERS:
            return self.title
        return f"{self.title[:TITLE_CHARACTERS].rsplit(' ', 1)[0]} …"


@dataclass(frozen=True, kw_only=True)
class House:
    """What a batch takes from its session.

    Attributes:
        clock: Time.
        sink: Told of notices.
        place: Home and notebook or script: part of a run's identity.
        journal: Opens the journal; None when the session keeps none.
        new_id: Makes an id for a run.
        backlog: Calls that have ended and are not in the usage log yet; a run that outpaces the log waits for it.
        run_id: The run that is gone on with, finished or not; None means that it is looked up, or a new one.
    """

    clock: Clock
    sink: Sink
    place: str
    journal: Callable[[], Journal] | None
    new_id: Callable[[], str]
    backlog: Callable[[], int]
    run_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class BatchOptions:
    """How a batch treats its rows.

    Attributes:
        keep: Input columns carried in front of the result: True for all, or their names.
        resume: Go on with an unfinished run of the same work; False starts anew.
        retry_failed: Send the rows again that ended in an error in the newest run of the same work.
        on_error: "keep" failed rows in the frame, or "raise" after the last row.
        fail_fast: Take no more rows after the first that fails.
        concurrency: Most rows under way; None means as many as the session's limit lets through.
        fixed_concurrency: Start with that many instead of finding out; for models whose slots are known.
        circuit_wait_seconds: How long an open circuit is waited for in all.
        journal: Keep finished rows on disk, so that an interrupted run can be resumed.
        out: Path of a file that the results are streamed to, in place of a frame; None means a frame.
        watcher: Told of progress at most five times a second; None means nobody.
        batch_api: Send the rows as batch jobs of the provider, at the batch rate.
        max_wait_seconds: How long the call waits for batch jobs; None means until they are done.
        batch_poll_seconds: First wait between polls of a batch job; None means the configured one.

    Raises:
        ConfigError: A value makes no sense.
    """

    keep: bool | tuple[str, ...] = False
    resume: bool = True
    retry_failed: bool = False
    on_error: Literal["keep", "raise"] = "keep"
    fail_fast: bool = False
    concurrency: int | None = None
    fixed_concurrency: bool = False
    circuit_wait_seconds: float = 120.0
    journal: bool = True
    out: str | Path | None = None
    watcher: Watcher | None = None
    batch_api: bool = False
    max_wait_seconds: float | None = None
    batch_poll_seconds: float | None = None

    def __post_init__(self) -> None:
        if self.on_error not in {"keep", "raise"}:
            raise ConfigError(f"on_error must be 'keep' or 'raise'; it is {self.on_error!r}")
        if self.concurrency is not None and (type(self.concurrency) is not int or self.concurrency < 1):
            raise ConfigError(
                f"concurrency must be a whole number of rows, 1 or more; it is {self.concurrency!r}"
            )
        if not self.circuit_wait_seconds >= 0:
            raise ConfigError(f"circuit_wait_seconds must be 0 or more; it is {self.circuit_wait_seconds!r}")


class Batch:
    """A run over all rows of a source.

    Args:
        source: The rows.
        task: What is done with each.
        house: What the session lends.
        options: How rows are treated.
        most: Most rows under way where `options` leave it open.
        jobs: The provider's batch API, which answers the rows; None sends them live.

    Raises:
        ConfigError: `keep` names a column that does not exist, or `out` cannot be written.
    """

    def __init__(
        self,
        source: Source,
        task: Task,
        house: House,
        options: BatchOptions,
        *,
        most: int,
        jobs: JobContext | None = None,
    ) -> None:
        self._source = source
        self._task = task
        self._house = house
        self._options = options
        self._jobs = jobs
        self._keep = _kept_columns(source, keep=options.keep, streams=options.out is not None)
        fields = dict(task.schema.fields) if task.schema else {}
        self._results = Results(fields)
        self._file = (
            OrderedFile(options.out, fields=fields, keep=self._keep) if options.out is not None else None
        )
        self.identity = _digest(house.place, *task.identity)
        self._journal = self._open_journal()
        self.run_id = self._find_run()
        task.name_run(self.run_id)
        self.progress = Progress(title=task.short_title, model=task.model, total=source.length)
        self._ticker = Ticker(self.progress, options.watcher, house.clock)
        self._runner = self._make_runner(most) if jobs is None else self._make_job_runner(jobs)

    def _make_job_runner(self, jobs: JobContext) -> JobRunner:
        from ainb.batch.job_runner import JobRunner

        task = self._task
        if task.rebuild is None:
            raise ConfigError(
                "batch_api sends prompts; a function of one item runs here, so leave batch_api out"
            )
        return JobRunner(
            rows=self._rows(),
            prepare=task.prepare,
            rebuild=task.rebuild,
            keep=self._put,
            fields=self._fields_of if task.schema else None,
            journal=self._journal,
            run_id=self.run_id,
            identity=self.identity,
            ticker=self._ticker,
            sink=self._house.sink,
            context=jobs,
        )

    def _make_runner(self, most: int) -> Runner:
        task, house, options = self._task, self._house, self._options
        concurrency = Concurrency(options.concurrency or most, fixed=options.fixed_concurrency)
        return Runner(
            rows=self._rows(),
            prepare=task.prepare,
            keep=self._put,
            fields=self._fields_of if task.schema else None,
            concurrency=concurrency,
            journal=self._journal,
            run_id=self.run_id,
            ticker=self._ticker,
            clock=house.clock,
            sink=house.sink,
            backlog=house.backlog,
            options=RunOptions(
                fail_fast=options.fail_fast,
                retry_failed=options.retry_failed,
                circuit_wait_seconds=options.circuit_wait_seconds,
            ),
        )

    async def run(self) -> pd.DataFrame | Path:
        """Go through all rows.

        Returns:
            The frame of `frame`, or the path of the file that was written.

        Raises:
            BatchFailedError: Rows failed and ``on_error="raise"``.
        """
        try:
            self._ticker.tick()
            with self._collecting():
                await self._runner.run()
            self.progress.state = "finished" if self._runner.complete else "stopped"
        except BatchPendingError as error:
            self.progress.state = "stopped"
            error.frame = None if self._file is not None else self.frame()
            raise
        except BaseException as error:
            self.progress.state = "failed" if isinstance(error, Exception) else "stopped"
            raise
        finally:
            self._ticker.tick(last=True)
            if self._file is not None:
                self._file.close()
            self._close_journal()
        if self._options.on_error == "raise" and self.progress.failed:
            raise self._failure()
        return self._file.path if self._file is not None else self.frame()

    def _collecting(self) -> contextlib.AbstractContextManager[None]:
        # A function of the caller's own may leave cycles that hold much memory.
        return contextlib.nullcontext() if self._task.uses is None else COLLECTOR.rare()

    def stop(self) -> None:
        """Take no more rows; to be called on the loop."""
        self._runner.stop()

    def frame(self) -> pd.DataFrame:
        """The rows so far, in the order and on the index of the input; those that have not ended are "cancelled"."""
        frame = self._results.frame(self._source.index, rows=self._source.length or 0)
        if self._keep and self._source.carry is not None:
            for place, name in enumerate(self._keep):
                column = self._source.carry.iloc[
                    :, [str(item) for item in self._source.carry.columns].index(name)
                ]
                frame.insert(place, name if name not in frame.columns else f"{name}_input", column.array)
        return frame

    def interrupted(self) -> BatchInterrupted:
        """What is raised where the person waits, with all that was done."""
        total = f" of {self.progress.total:,}" if self.progress.total is not None else ""
        under_way = [job for job in self.progress.jobs if job.state != "merged"]
        if under_way:
            rows = sum(job.rows for job in under_way)
            count = f"{len(under_way)} job{'s' if len(under_way) > 1 else ''}"
            return BatchInterrupted(
                f"stopped by you: {self.progress.done:,}{total} rows done; {count} with {rows:,} rows at {under_way[0].provider} go on: "
                "run the cell again to collect them, %ai jobs shows them",
                frame=None if self._file is not None else self.frame(),
            )
        again = "run the cell again to go on" if self._journal is not None else "nothing was kept on disk"
        return BatchInterrupted(
            f"stopped by you: {self.progress.done:,}{total} rows done, {again}",
            frame=None if self._file is not None else self.frame(),
        )

    def _rows(self) -> Iterator[tuple[int, Any]]:
        rows = self._source.items() if self._task.uses is None else self._source.read(self._wanted())
        for position, item in enumerate(rows):
            if self._file is not None and isinstance(item, Mapping):
                self._file.carry(position, item)
            yield position, item

    def _wanted(self) -> tuple[str, ...]:
        uses = self._task.uses or ()
        return uses if self._file is None else tuple(dict.fromkeys((*uses, *self._keep)))

    def _put(self, position: int, outcome: Outcome) -> None:
        if self._file is not None:
            self._file.put(position, outcome)
        else:
            self._results.put(position, outcome)

    def _fields_of(self, reply: Reply) -> dict[str, Any]:
        schema = self._task.schema
        return {} if schema is None else schema.dump(reply.parsed)

    def _open_journal(self) -> Journal | None:
        if not self._options.journal or self._house.journal is None:
            return None
        try:
            return self._house.journal()
        except AinbError as error:
            self._house.sink(Notice(str(error), "journal"))
            return None

    def _find_run(self) -> str:
        if self._journal is None:
            return self._open_jobs_run() or self._house.new_id()
        found = None
        if self._house.run_id is None and self._options.retry_failed:
            found = self._journal.latest(self.identity)
        elif self._house.run_id is None and self._options.resume:
            found = self._journal.unfinished(self.identity) or self._open_jobs_run()
        if found is not None:
            return found
        run_id = self._house.run_id or self._house.new_id()
        self._journal.start(
            run_id,
            identity=self.identity,
            title=self._task.short_title,
            model=self._task.model,
            now=self._house.clock.unix(),
        )
        return run_id

    def _open_jobs_run(self) -> str | None:
        """The run of the same work that has batch jobs under way, or None."""
        if self._jobs is None or not self._options.resume:
            return None
        return self._jobs.store.open_run(self.identity)

    def _close_journal(self) -> None:
        if self._journal is None:
            return
        if self._runner.complete:
            self._journal.finish(self.run_id, row_count=self.progress.done, now=self._house.clock.unix())
        self._journal.close()

    def _failure(self) -> BatchFailedError:
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.progress.errors.most_common(3))
        position, kind, message = self.progress.last_errors[0]
        error = BatchFailedError(
            f"{self.progress.failed:,} of {self.progress.done:,} rows failed ({kinds}), such as row {position}: {kind}: {message}; "
            "the other rows are kept, and retry_failed=True sends only these again"
        )
        error.frame = None if self._file is not None else self.frame()
        return error


def open_source(data: Any, *, limit: int | None, sample: int | None) -> Source:
    """The source of whatever people give: rows in memory, or the path of a file that is read a piece at a time.

    Raises:
        ConfigError: It holds no rows, or the file does not exist.
    """
    return read_source(read_rows(data) if is_path(data) else data, limit=limit, sample=sample)


def function_identity(function: Callable[..., Any]) -> str:
    """What makes two functions the same work: their name and their source where it can be had."""
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):  # typed at a prompt, or come from another process
        source = _code_text(getattr(function, "__code__", None))
    return f"{getattr(function, '__qualname__', repr(function))}\n{source}"


def _code_text(code: Any) -> str:
    """What a compiled function does, the same in every process."""
    if not isinstance(code, CodeType):
        return ""
    values = [_code_text(value) if isinstance(value, CodeType) else repr(value) for value in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {values}"


def _kept_columns(source: Source, *, keep: bool | tuple[str, ...], streams: bool) -> tuple[str, ...]:
    if keep is False:
        return ()
    if source.columns is None and not streams:
        raise ConfigError(
            "keep needs a DataFrame or a Series to take columns from; put the rows into a frame first"
        )
    if keep is True:
        if source.columns is None:
            raise ConfigError("keep=True cannot know the columns of this source; name them: keep=['id']")
        return source.columns
    names = tuple(str(name) for name in keep)
    missing = [name for name in names if source.columns is not None and name not in source.columns]
    if missing:
        raise ConfigError(
            f"keep names a column {missing[0]!r} that does not exist; columns are: {', '.join(source.columns or ())}"
        )
    return names


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
