"""Maps a Dask collection: checks the arguments, opens the run and makes the lazy result."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import sys
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from ainb.batch import Template
from ainb.config import Config
from ainb.core import Core
from ainb.dask.mapper import Mapper, map_items
from ainb.dask.meta import empty_result
from ainb.dask.monitor import RunMonitor, latest, register
from ainb.dask.runs import open_run
from ainb.errors import ConfigError

LAST_REPORT_SECONDS = 5.0
NOT_FOR_PARTS = {
    "limit": "use ddf.head(n) or ddf.partitions[:n] first",
    "sample": "use ddf.sample(frac=…) first",
    "out": "write the result with .to_parquet(…) or .to_csv(…)",
}


def map_collection(core: Core, data: Any, task: str | Callable[..., Any], given: dict[str, Any]) -> Any:
    """One call per row of a Dask collection, lazily.

    Args:
        core: Core with the options for the workers.
        data: Dask DataFrame, Series or bag.
        task: As for ``Session.map``.
        given: As for ``Session.map``, without ``limit``, ``sample`` and ``out``.

    Returns:
        A Dask DataFrame with the columns of ``Session.map`` and the partitions, index and divisions of
        `data`; for a bag the index of each partition counts from 0. Nothing is sent before it is computed;
        when it is computed again, rows come from the journal.

    Raises:
        ConfigError: An argument is invalid (a column that does not exist, …); nothing was sent.
    """
    kind = _kind_of(data)
    rows: Any = [] if kind == "Bag" else data._meta  # noqa: SLF001 - Dask's own name of the columns without rows
    columns = None if kind == "Bag" else ["value"]
    if kind == "DataFrame":
        columns = [str(name) for name in rows.columns]
    mapper, meta = _prepare(core, rows, task, given, columns=columns, partitions=data.npartitions)
    _warn_of_separate_limits(core)
    if kind != "Bag":
        return data.map_partitions(mapper, meta=meta)
    import dask.dataframe as dd
    from dask.delayed import delayed

    parts = [
        delayed(map_items, pure=True)(mapper, items, number) for number, items in enumerate(data.to_delayed())
    ]
    return dd.from_delayed(parts, meta=meta, verify_meta=False)


def map_partitions_function(core: Core, task: str | Callable[..., Any], given: dict[str, Any]) -> Mapper:
    """A function for ``ddf.map_partitions``; see ``Session.for_partitions``.

    Raises:
        ConfigError: An argument is invalid, or Dask is not installed.
    """
    require_extra()
    mapper, _ = _prepare(core, [], task, given, columns=None, partitions=None)
    _warn_of_separate_limits(core)
    return mapper


def compute(core: Core, frame: Any) -> Any:
    """Compute a result of `map_collection`, and wait for the workers' last reports."""
    result = frame.compute()
    monitor = latest(core)
    if monitor is not None:
        monitor.ended.wait(LAST_REPORT_SECONDS)
    return result


def require_extra() -> None:
    """Check that Dask is installed, without loading it.

    Raises:
        ConfigError: It is not; the message names the extra.
    """
    if importlib.util.find_spec("dask") is None or importlib.util.find_spec("distributed") is None:
        raise ConfigError(
            'tables on Dask need the extra "dask"; pip install "ainb-notebook[dask]", '
            "or map a pandas DataFrame"
        )


def _kind_of(data: Any) -> str:
    require_extra()
    kind = type(data).__name__
    if kind not in {"DataFrame", "Series", "Bag"}:
        raise ConfigError(f"a batch takes a DataFrame, a Series or a bag of Dask; it is {kind}")
    return kind


def _prepare(
    core: Core,
    rows: Any,
    task: str | Callable[..., Any],
    given: dict[str, Any],
    *,
    columns: list[str] | None,
    partitions: int | None,
) -> tuple[Mapper, Any]:
    """Check the arguments, open the run, and make the mapper and the empty result."""
    if given.get("batch_api"):
        raise ConfigError(
            "batch_api does not go with a Dask collection, whose workers send their rows one by one; "
            "compute the rows first: session.map(ddf.compute(), …, batch_api=True)"
        )
    for name, instead in NOT_FOR_PARTS.items():
        if given.pop(name, None) is not None:
            raise ConfigError(
                f"{name} does not go with a Dask collection, whose number of rows is unknown; {instead}"
            )
    watcher = given.pop("watcher", None)
    names: Mapping[str, Any] = given.pop("names", None) or {}
    ready = Template(task.strip(), columns=columns, names=names) if isinstance(task, str) else task
    if isinstance(task, str):
        given["model"] = ":".join(core.find_model(given.get("model")))
    # The fields of a bag's rows are known on the workers only.
    keep = {} if columns is not None else {"keep": False}
    batch, meta = empty_result(core, rows, ready, {**given, **keep})
    run = open_run(
        core,
        identity=batch.context.identity,
        partitions=partitions,
        resume=given.get("resume", True),
        retry_failed=given.get("retry_failed", False),
    )
    notebook, cell_id = core.runtime.origin()
    config, budget_usd = _portable(core, given.pop("budget_usd", None))
    given |= {"notebook": notebook, "cell_id": cell_id, "budget_usd": budget_usd}
    progress = batch.progress
    register(core, RunMonitor(core, run, watcher=watcher, title=progress.title, model=progress.model))
    return Mapper(run=run, config=config, task=ready, given=given), meta


def _portable(core: Core, budget_usd: Any) -> tuple[Config, Any]:
    """The options for other machines, and the cost limit of the run.

    The password of shared state is removed. A budget per batch, and the rest of a budget per session, become
    the limit of the run, because each worker's session has its own accounts. With shared state the workers
    share the account of the run.
    """
    config = core.config
    changes: dict[str, Any] = {"home": config.home_folder().absolute()}
    if config.state is not None:
        changes["state"] = config.state.without_secrets()
    budget = config.budget
    if budget is not None and budget.hard and budget.per in {"session", "batch"}:
        left = core.budget_status()[0].left_usd if budget.per == "session" else budget.usd
        budget_usd = left if budget_usd is None else min(left, budget_usd)
        changes["budget"] = None
    return dataclasses.replace(config, **changes), budget_usd


def _warn_of_separate_limits(core: Core) -> None:
    if core.config.state is not None or core in _warned:
        return
    count = _worker_processes()
    if count:
        _warned.add(core)
        core.notify(
            f"each of the {count} worker processes has limits, circuits and budgets of its own, so that "
            "together they may send and spend that many times as much; "
            'share them with state="redis://host:6379/0" (AINB_STATE)',
            "dask",
        )


_warned: weakref.WeakSet[Core] = weakref.WeakSet()


def _worker_processes() -> int:
    """Number of processes other than this one that Dask would use now."""
    distributed = sys.modules.get("distributed")
    if distributed is not None:
        with contextlib.suppress(ValueError):  # no client
            workers = distributed.default_client().scheduler_info(n_workers=-1)["workers"]
            return sum(not address.startswith("inproc:") for address in workers)
    import dask

    if dask.config.get("scheduler", None) in {"processes", "multiprocessing"}:
        return int(dask.config.get("num_workers", None) or dask.system.CPU_COUNT)
    return 0
