"""Table of the runs in the journal."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from ainb.batch.journal.store import JOURNAL_FILE, Journal
from ainb.usage.frames.batches import records_frame

if TYPE_CHECKING:
    import pandas as pd

    from ainb.core import Core

RUN_COLUMNS = {
    "run_id": "string", "title": "string", "model": "string", "started_at": "time", "finished_at": "time",
    "rows": "Int64", "done": "Int64", "failed": "Int64", "cost_usd": "Float64",
}  # fmt: skip


def runs_frame(core: Core) -> pd.DataFrame:
    """The runs in the journal of a session's home; see ``Session.runs``."""
    path = core.config.home_folder() / JOURNAL_FILE
    runs = []
    if os.path.exists(path) and core.config.replay != "replay":  # noqa: PTH110 - Path.exists may raise
        with contextlib.closing(Journal(path)) as journal:
            runs = journal.runs()
    return records_frame(runs, RUN_COLUMNS)
