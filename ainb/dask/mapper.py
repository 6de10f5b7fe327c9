"""`Mapper`: picklable function that maps one partition on a worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ainb.batch import Template, make_batch
from ainb.config import Config
from ainb.dask.meta import empty_result
from ainb.dask.monitor import find
from ainb.dask.reporter import PartitionReporter, delivery
from ainb.dask.reports import PartitionReport
from ainb.dask.runs import PartitionedRun
from ainb.dask.worker import local_run, process_core, run_batch

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Mapper:
    """Sends the rows of a partition, in any process; pass it to ``ddf.map_partitions``.

    It holds no key and no connection, and of the notebook's variables only those that the prompt uses.

    Attributes:
        run: The run that the partitions are parts of.
        config: Options of the session that a worker process makes.
        task: The prompt, or a function of one row.
        given: Further keyword arguments of ``Session.map``.
    """

    run: PartitionedRun
    config: Config
    task: Template | Callable[..., Any]
    given: Mapping[str, Any]

    __name__ = "ainb"  # Dask names its tasks after it

    def __call__(self, rows: Any, partition_info: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Send the rows of one partition.

        Args:
            rows: The partition, a pandas DataFrame or Series.
            partition_info: Dask's description of the partition; None when Dask only determines the columns:
                then nothing is sent and the frame has no rows.

        Raises:
            ConfigError: A column that the prompt uses does not exist.
        """
        if partition_info is None:
            return self._columns(rows)
        return self.map_rows(rows, int(partition_info["number"]))

    def __repr__(self) -> str:
        return f"<ainb run {self.run.run_id}>"

    def __dask_tokenize__(self) -> tuple[str, str]:
        """The run is the identity: a second computation is the same work."""
        return ("ainb", self.run.run_id)

    def map_rows(self, rows: Any, number: int) -> pd.DataFrame:
        """Send the rows of a partition and wait.

        Args:
            rows: The partition: anything that ``Session.map`` takes.
            number: Its number.

        Returns:
            A frame as of ``Session.map``, on the index of `rows`.

        Raises:
            AinbError: The task was cancelled.
            BatchFailedError: Rows failed and ``on_error="raise"``.
        """
        monitor = find(self.run.run_id)
        core = None if monitor is None else monitor.core
        run, ships_rows = self.run, False
        deliver: Callable[[PartitionReport], None]
        if monitor is not None and core is not None:  # this is the notebook's process
            deliver = monitor.take
        else:
            run, ships_rows = local_run(self.run)
            deliver = delivery(run.run_id)
        with PartitionReporter(deliver, run_id=run.run_id, number=number, ships_rows=ships_rows) as reporter:
            core = core or process_core(self.config, run)
            reporter.core = core
            given = {**self.given, "watcher": reporter.watch}
            batch = make_batch(core, rows, self.task, given, run_id=run.run_id, journal=run.journal(number))
            frame: pd.DataFrame = run_batch(batch)
            if batch.progress.state == "finished":
                try:
                    run.finish(number)
                except OSError as error:
                    text = (
                        f"partition {number} cannot be marked as finished ({error}); "
                        "another run reads its journal"
                    )
                    core.notify(text, "journal")
            core.log.flush()  # so that the usage log holds the calls of a finished frame
            return frame

    def _columns(self, rows: Any) -> pd.DataFrame:
        """The empty result for such rows; nothing is sent."""
        monitor = find(self.run.run_id)
        core = (None if monitor is None else monitor.core) or process_core(self.config, self.run)
        if hasattr(rows, "columns") and isinstance(self.task, Template):
            self.task.check([str(column) for column in rows.columns])
        return empty_result(core, rows.iloc[:0], self.task, dict(self.given))[1]


def map_items(mapper: Mapper, items: Any, number: int) -> pd.DataFrame:
    """`Mapper.map_rows` for a partition of a bag."""
    return mapper.map_rows(list(items), number)
