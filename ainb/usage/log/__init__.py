"""Usage log on disk: one row per call in SQLite, written by one thread per file.

`log` is the log of one session; it queues finished calls at the `writer` of its file, which makes rows and
commits them in groups to a `log_file` (`store`, `rollups`, `schema` with its scripts in `sql`). `reading`
opens the file for queries, `cleaned` makes reports from a checked copy of a damaged file, `recorder` makes
rows for calls outside the pipeline, `packing` speeds up fetching, and `jsonlog` writes rows to the logger
`ainb`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ainb.lazy import lazy_exports

if TYPE_CHECKING:
    from ainb.usage.log.cleaned import checked
    from ainb.usage.log.log import FILE_NAME, UsageLog
    from ainb.usage.log.options import Log
    from ainb.usage.log.packing import pack
    from ainb.usage.log.recorder import Estimators
    from ainb.usage.log.rollups import FROM_CALLS, FROM_SUMS, table_of_sums
else:
    __getattr__ = lazy_exports(
        __name__,
        cleaned="checked",
        log="FILE_NAME UsageLog",
        options="Log",
        packing="pack",
        recorder="Estimators",
        rollups="FROM_CALLS FROM_SUMS table_of_sums",
    )

__all__ = [
    "FILE_NAME",
    "FROM_CALLS",
    "FROM_SUMS",
    "Estimators",
    "Log",
    "UsageLog",
    "checked",
    "pack",
    "table_of_sums",
]
