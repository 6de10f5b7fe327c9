"""Table of the runs in the journal."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ainb.batch.journal.store import JOURNAL_FILE, Journal

if TYPE_CHECKING:
    import pandas as pd

    from ainb.core import Core


def runs_frame(core: Core) -> pd.DataFrame:
    """The runs in the journal of a session's home; see ``Session.runs``."""
    import pandas as pd

    path = core.config.home_folder() / JOURNAL_FILE
    runs = []
    if os.path.exists(path) and core.config.replay != "replay":  # noqa: PTH110 - Path.exists may raise
        journal = Journal(path)
        runs = journal.runs()
        journal.close()
    texts = {
        name: pd.array([getattr(run, name) for run in runs], dtype="string")
        for name in ("run_id", "title", "model")
    }
    times = {
        name: pd.to_datetime([getattr(run, name) for run in runs], unit="s", utc=True).astype(
            "datetime64[us, UTC]"
        )
        for name in ("started_at", "finished_at")
    }
    counts = {
        column: pd.array([getattr(run, name) for run in runs], dtype="Int64")
        for column, name in (("rows", "row_count"), ("done", "done"), ("failed", "failed"))
    }
    cost = pd.array([run.cost_nano_usd / 1e9 for run in runs], dtype="Float64")
    return pd.DataFrame({**texts, **times, **counts, "cost_usd": cost})
