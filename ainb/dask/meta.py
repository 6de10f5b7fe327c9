"""Columns and dtypes of a result before it is computed (Dask's ``meta``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from ainb.batch import make_batch

if TYPE_CHECKING:
    import pandas as pd

    from ainb.batch import Batch, Template
    from ainb.core import Core


def empty_result(
    core: Core, rows: Any, task: Template | Callable[..., Any], given: dict[str, Any]
) -> tuple[Batch, pd.DataFrame]:
    """A batch without rows, which checks every option, and its empty result.

    Args:
        core: Core of the session.
        rows: A table without rows.
        task: The prompt, or a function.
        given: Keyword arguments of ``Session.map``.

    Returns:
        The batch, which must not be run, and a frame of shape (0, n_columns). Categories that come from the
        answers are left unknown.

    Raises:
        ConfigError: An argument is invalid.
    """
    from dask.dataframe.utils import clear_known_categories

    batch = make_batch(core, rows, task, {**given, "journal": False})
    frame = cast("pd.DataFrame", batch.frame())
    open_columns = [
        name for name, dtype in frame.dtypes.items() if str(dtype) == "category" and name != "status"
    ]
    opened: pd.DataFrame = clear_known_categories(frame, cols=open_columns)  # type: ignore[no-untyped-call]
    return batch, opened
