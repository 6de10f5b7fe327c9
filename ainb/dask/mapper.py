"""What travels to the workers: a function of one partition, made of plain data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ainb.batch.template import Template
from ainb.config.tree import Config
from ainb.dask.runs import Run

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Mapper:
    """Sends the rows of a partition, wherever it runs; hand it to ``ddf.map_partitions``.

    Holds no key, no connection and nothing of the notebook but what the prompt names.

    Attributes:
        run: The run that the partitions are parts of.
        config: Options of the core that a worker process makes.
        task: The prompt, or a function of one row.
        given: Further keyword arguments of ``Session.map``.
    """

    run: Run
    config: Config
    task: Template | Callable[..., Any]
    given: Mapping[str, Any]

    __name__ = "ainb"  # what Dask calls the tasks

    def __call__(self, rows: Any, partition_info: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Send the rows of one partition.

        Args:
            rows: The partition, a pandas DataFrame or Series.
            partition_info: Dask's word on which partition it is; None while Dask only wants to know the columns: then nothing is
                sent and the frame has no rows.

        Raises:
            ConfigError: A column that the prompt uses does not exist.
        """
        from ainb.dask import worker

        if partition_info is None:
            return worker.columns_of(self, rows)
        return worker.map_part(self, rows, int(partition_info["number"]))

    def __repr__(self) -> str:
        return f"<ainb run {self.run.run_id}>"

    def __dask_tokenize__(self) -> tuple[str, str]:
        """One run, one name: computed again it is the same work."""
        return ("ainb", self.run.run_id)
