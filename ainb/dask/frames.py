"""What comes back, before anything has been computed: the columns and their types, without rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ainb.batch import plan as mapping

if TYPE_CHECKING:
    import pandas as pd

    from ainb.batch.batch import Batch
    from ainb.batch.template import Template
    from ainb.core import Core


def empty_result(
    core: Core, rows: Any, task: Template | Callable[..., Any], given: dict[str, Any]
) -> tuple[Batch, pd.DataFrame]:
    """A batch of no rows, in which every option is checked, and the frame that it results in.

    Args:
        core: Whose options count.
        rows: A table without rows.
        task: The prompt, or a function.
        given: Keyword arguments of ``Session.map``.

    Returns:
        The batch, never to be run, and a frame of shape (0, n_columns). Which categories a column has is left open where they
        come from the answers.

    Raises:
        ConfigError: Something makes no sense.
    """
    from dask.dataframe.utils import clear_known_categories

    batch = mapping.make_batch(core, rows, task, {**given, "journal": False})
    frame = batch.frame()
    open_columns = [
        name for name, dtype in frame.dtypes.items() if str(dtype) == "category" and name != "status"
    ]
    opened: pd.DataFrame = clear_known_categories(frame, cols=open_columns)  # type: ignore[no-untyped-call]
    return batch, opened
