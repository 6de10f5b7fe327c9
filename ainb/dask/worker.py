"""Worker side of a run: one session per process and set of options, and waiting for a partition's batch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ainb.batch import Batch
from ainb.config import Config
from ainb.core import Core
from ainb.dask.reporter import current_worker, dispatch
from ainb.dask.runs import FOLDER, PartitionedRun
from ainb.errors import AinbError, ConfigError
from ainb.fork import new_lock
from ainb.runtime import Runtime
from ainb.stores.files import make_folders
from ainb.stores.local import default_home

POLL_SECONDS = 0.5
GONE = frozenset({"cancelled", "released", "forgotten"})

_cores: list[tuple[Config, Core]] = []
_making = new_lock()


def process_core(config: Config, run: PartitionedRun) -> Core:
    """The core of this process for these options, made once.

    Raises:
        ConfigError: The options do not work in several processes.
    """
    if config.replay != "off":
        raise ConfigError(
            "a cassette belongs to one process; with replay on, compute in the notebook's process: "
            ".compute(scheduler='threads')"
        )
    home = config.home if run.is_here else default_home()
    env_file = config.env_file if config.env_file is not None and Path(config.env_file).exists() else None
    config = dataclasses.replace(config, home=home, env_file=env_file)
    with _making:
        for known, core in _cores:
            if known == config:
                return core
        made = Core(config, Runtime(sink=dispatch))
        _cores.append((config, made))
        return made


def local_run(run: PartitionedRun) -> tuple[PartitionedRun, bool]:
    """The run with this machine's paths, and whether usage rows must be sent to another machine's home."""
    if run.is_here or run.folder is None:
        return run, not run.is_here
    folder = default_home() / FOLDER / run.folder.name
    try:
        make_folders(folder)
    except OSError:
        return dataclasses.replace(run, folder=None), True
    return dataclasses.replace(run, folder=folder), True


def run_batch(batch: Batch) -> Any:
    """Run a batch and wait; stop it once its Dask task is cancelled, so that no further rows are paid for.

    Raises:
        AinbError: The task was cancelled.
    """
    is_cancelled = _cancellation()
    job = batch.submit()
    while not job.wait(POLL_SECONDS):
        if is_cancelled():
            batch.stop(job)
            raise AinbError("the task of this partition was cancelled; its finished rows are in the journal")
    return job.result()


def _cancellation() -> Callable[[], bool]:
    worker = current_worker()
    if worker is None:
        return lambda: False
    key = worker.get_current_task()

    def is_cancelled() -> bool:
        task = worker.state.tasks.get(key)
        return task is None or task.state in GONE or worker.status.name in {"closing", "closed"}

    return is_cancelled
