"""The workers' side: a session a process, a batch a partition, and a word to the notebook now and then."""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ainb.batch import plan as mapping
from ainb.core import Core
from ainb.dask.frames import empty_result
from ainb.dask.gather import find, topic_of
from ainb.dask.reports import Report, report_of
from ainb.dask.runs import FOLDER, Run
from ainb.engine import ENGINE
from ainb.errors import AinbError, ConfigError
from ainb.events import CallFinished, Event, Notice
from ainb.runtime import Runtime
from ainb.stores.base import default_home
from ainb.usage.rows import Row, build_row

if TYPE_CHECKING:
    import pandas as pd

    from ainb.batch.batch import Batch
    from ainb.batch.progress import Progress
    from ainb.config.tree import Config
    from ainb.dask.mapper import Mapper

REPORT_SECONDS = 0.5
LOOK_SECONDS = 0.5
GONE = frozenset({"cancelled", "released", "forgotten"})

_cores: list[tuple[Config, Core]] = []
_making = threading.Lock()
_reporters: list[Reporter] = []


def map_part(mapper: Mapper, rows: Any, number: int) -> pd.DataFrame:
    """Send the rows of a partition and wait.

    Args:
        mapper: What is to be done.
        rows: The partition.
        number: Which one it is.

    Returns:
        A frame as of ``Session.map``, on the index of `rows`.

    Raises:
        AinbError: Nobody waits for the result any more.
        BatchFailedError: Rows failed and ``on_error="raise"``.
    """
    gather = find(mapper.run.run_id)
    core = None if gather is None else gather.core
    run = mapper.run
    tell: Callable[[Report], None]
    if gather is not None and core is not None:  # the notebook's own process, and its own session
        tell, ships_rows = gather.take, False
    else:
        run, ships_rows = _run_here(mapper.run)
        tell = _way_to(run.run_id)
    reporter = Reporter(tell, run_id=run.run_id, number=number, ships_rows=ships_rows)
    _reporters.append(reporter)
    try:
        core = core or _core(mapper, run)
        reporter.core = core
        part = mapping.Part(run_id=run.run_id, journal=run.journal(number), watcher=reporter.watch)
        batch = mapping.make_batch(core, rows, mapper.task, dict(mapper.given), part)
        frame: pd.DataFrame = _wait(batch)
        if batch.progress.state == "finished":
            run.finish(number)
        core.log.flush()  # who has the frame finds its calls in the log, too
        return frame
    finally:
        _reporters.remove(reporter)
        reporter.send()


def map_items(mapper: Mapper, items: Any, number: int) -> pd.DataFrame:
    """`map_part` for a partition of a bag."""
    return map_part(mapper, list(items), number)


def columns_of(mapper: Mapper, rows: Any) -> pd.DataFrame:
    """The frame that such rows would result in, without rows; nothing is sent.

    Raises:
        ConfigError: A column that the prompt uses does not exist.
    """
    gather = find(mapper.run.run_id)
    core = (None if gather is None else gather.core) or _core(mapper, mapper.run)
    if hasattr(rows, "columns") and hasattr(mapper.task, "check"):
        mapper.task.check([str(column) for column in rows.columns])
    return empty_result(core, rows.iloc[:0], mapper.task, dict(mapper.given))[1]


class Reporter:
    """Tells the notebook of a partition, twice a second at most and when it has ended.

    Args:
        tell: Takes a report on its way; from any thread.
        run_id: The run.
        number: The partition.
        ships_rows: Whether usage rows travel with it.

    Attributes:
        core: Whose calls are told of, once there is one.
    """

    def __init__(self, tell: Callable[[Report], None], *, run_id: str, number: int, ships_rows: bool) -> None:
        self.run_id = run_id
        self.core: Core | None = None
        self._tell = tell
        self._number = number
        self._ships_rows = ships_rows
        self._attempt = secrets.token_hex(4)
        self._progress: Progress | None = None
        self._notices: list[tuple[str, str]] = []
        self._rows: list[Row] = []
        self._told_at = float("-inf")

    def watch(self, progress: Progress) -> None:
        """Take the state of the partition's batch."""
        self._progress = progress
        if self.core is None or progress.state != "running":
            return  # the last word is said by `send`
        now = self.core.runtime.clock.monotonic()
        if now - self._told_at >= REPORT_SECONDS:
            self._told_at = now
            self.send()

    def hear(self, event: Event) -> bool:
        """Take an event of the pipeline; whether it is this run's call."""
        if isinstance(event, Notice):
            self._notices.append((event.kind, event.text))
            return False
        if event.call.options.batch_id != self.run_id:
            return False
        if self._ships_rows and self.core is not None:
            log = self.core.log
            self._rows.append(build_row(event, session_id=log.session_id, content=log.options.content))
        return True

    def send(self) -> None:
        """Say how things are."""
        if self._progress is None:
            return
        notices, self._notices = self._notices, []
        rows, self._rows = self._rows, []
        self._tell(
            report_of(
                self._progress, partition=self._number, attempt=self._attempt, notices=notices, rows=rows
            )
        )


def _hear(event: Event) -> None:
    """What every worker session's events go to: a notice to all, a call to one of its run."""
    for reporter in tuple(_reporters):
        if reporter.hear(event) and isinstance(event, CallFinished):
            return


def _core(mapper: Mapper, run: Run) -> Core:
    """This process's session for such options, made once.

    Raises:
        ConfigError: The options do not go with other processes.
    """
    config = mapper.config
    if config.replay != "off":
        raise ConfigError(
            "a cassette belongs to one process; with replay switched on compute in the notebook's: .compute(scheduler='threads')"
        )
    home = config.home if run.is_here else default_home()
    env_file = config.env_file if config.env_file is not None and Path(config.env_file).exists() else None
    config = dataclasses.replace(config, home=home, env_file=env_file)
    with _making:
        for known, core in _cores:
            if known == config:
                return core
        made = Core(config, Runtime(sink=_hear))
        _cores.append((config, made))
        return made


def _run_here(run: Run) -> tuple[Run, bool]:
    """The run as this machine sees it, and whether its usage rows must travel: its home is not the notebook's then."""
    if run.is_here or run.folder is None:
        return run, not run.is_here
    folder = default_home() / FOLDER / run.folder.name
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return dataclasses.replace(run, folder=None), True
    return dataclasses.replace(run, folder=folder), True


def _worker() -> Any:
    """The Dask worker whose task this is, or None."""
    distributed = sys.modules.get("distributed")
    if distributed is not None:
        with contextlib.suppress(ValueError):
            return distributed.get_worker()
    return None


def _way_to(run_id: str) -> Callable[[Report], None]:
    """How reports reach the notebook: past the scheduler, or not at all where there is none."""
    worker = _worker()
    if worker is None:
        return _nowhere
    topic = topic_of(run_id)
    return lambda report: worker.log_event(topic, report.to_json())


def _nowhere(_report: Report) -> None:
    """Where there is neither a scheduler nor the notebook's own process."""


def _wait(batch: Batch) -> Any:
    """Run the batch; stop it when the task is not wanted any more, so that nothing is paid for nobody."""
    is_unwanted = _unwanted()
    job = ENGINE.submit(batch.run())
    while not job.wait(LOOK_SECONDS):
        if is_unwanted():
            ENGINE.loop().call_soon_threadsafe(batch.stop)
            if not job.wait(mapping.STOP_SECONDS):
                job.cancel()
                job.wait(mapping.CANCEL_SECONDS)
            raise AinbError(
                "nobody waits for this partition any more; what is done of it is kept in its journal"
            )
    return job.result()


def _unwanted() -> Callable[[], bool]:
    worker = _worker()
    if worker is None:
        return lambda: False
    key = worker.get_current_task()

    def look() -> bool:
        task = worker.state.tasks.get(key)
        return task is None or task.state in GONE or worker.status.name in {"closing", "closed"}

    return look
