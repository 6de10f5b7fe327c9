"""``df.ai``: pandas accessor that maps rows with the notebook's session; importing this module registers it.

``%load_ext ainb`` imports it before the first cell that runs with pandas loaded, so that loading the
extension loads no pandas.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from ainb.engine import Job
from ainb.session import current


class RowsAccessor:
    """Accessor ``df.ai`` and ``series.ai``; a Series fills ``{value}``.

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


pd.api.extensions.register_dataframe_accessor("ai")(RowsAccessor)
pd.api.extensions.register_series_accessor("ai")(RowsAccessor)
