"""Pandas accessors ``df.ai`` and ``df.ainb``, which send the rows of a table through the notebook's session.

Importing this module registers them. The extension imports it before the first cell that runs with pandas
loaded, so that ``%load_ext ainb`` does not load pandas.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from ainb.job import Job
from ainb.session import current

NAMES = ("ainb", "ai")


class RowsAccessor:
    """Accessor ``df.ainb`` and ``series.ainb``; the items of a Series fill ``{value}``.

    Args:
        rows: The table or column.
    """

    def __init__(self, rows: pd.DataFrame | pd.Series[Any]) -> None:
        self._rows = rows

    def map(self, task: str | Callable[..., Any], **options: Any) -> pd.DataFrame | Path:
        """Send one call per row and wait for the table of answers; see ``Session.map``."""
        return current().map(self._rows, task, **options)

    def submit_map(self, task: str | Callable[..., Any], **options: Any) -> Job[pd.DataFrame | Path]:
        """Start a batch and return at once; see ``Session.submit_map``."""
        return current().submit_map(self._rows, task, **options)


class ShortAccessor(RowsAccessor):
    """Accessor ``df.ai``, for tables without a column of that name.

    Raises:
        AttributeError: The table has a column named "ai", which ``df.ai`` may mean as well.
    """

    def __init__(self, rows: pd.DataFrame | pd.Series[Any]) -> None:
        if isinstance(rows, pd.DataFrame) and "ai" in rows.columns:
            raise AttributeError(
                "this table has a column 'ai': df['ai'] is the column, "
                "df.ainb.map(…) sends the rows to a model"
            )
        super().__init__(rows)


def _register() -> list[str]:
    """Add the accessors to DataFrame and Series.

    Returns:
        A notice if another package has registered ``df.ai``, else an empty list.
    """
    owner = None
    for kind, register in (
        (pd.DataFrame, pd.api.extensions.register_dataframe_accessor),
        (pd.Series, pd.api.extensions.register_series_accessor),
    ):
        for name, accessor in zip(NAMES, (RowsAccessor, ShortAccessor), strict=True):
            present = getattr(kind, name, None)
            if present is not None and getattr(present, "__module__", "") != __name__:
                owner = getattr(present, "__module__", None) or type(present).__module__
            elif present is None:
                register(name)(accessor)
    if owner is None:
        return []
    return [
        (
            f"df.ai belongs to another package ({owner}) and is left unchanged; "
            "df.ainb.map(…) does what df.ai.map(…) would"
        )
    ]


# Lines for the user, each removed when it is shown.
notices = _register()
