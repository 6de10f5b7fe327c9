"""Batches: one call per row of a table, resumable, with one failure never affecting another row.

From ``Session.map`` to the result of a row:

- `Source`: the input rows, read lazily.
- `RowCalls` (`TemplateCalls`, `FunctionCalls`): builds the `Call` of a row from a prompt or a user function.
- `BatchOptions`: how rows are treated.
- `BatchContext`: source, calls, options, run id and journal; everything below takes it.
- `RowResult`: result of one row; what the journal stores and the output takes.
- `Output`: a DataFrame in memory (`Results`), or a file.

`plan.make_batch` reads the arguments and makes a `Batch`; its `Runner` sends the rows with as many workers as
`Pace` allows; `Journal` keeps what has finished; `Progress` counts.
"""

from ainb.batch.batch import Batch, BatchFailedError, BatchInterrupted
from ainb.batch.files import is_path
from ainb.batch.input.template import Template
from ainb.batch.journal import runs_frame
from ainb.batch.options import BatchOptions
from ainb.batch.plan import make_batch, preview_rows
from ainb.batch.progress import Progress
from ainb.batch.reporter import LoopWatcher, ProgressReporter, Watcher
from ainb.batch.results.display_form import short_form
from ainb.batch.results.frame import column_name

__all__ = [
    "Batch", "BatchFailedError", "BatchInterrupted", "BatchOptions", "LoopWatcher", "Progress",
    "ProgressReporter", "Template", "Watcher", "column_name", "is_path", "make_batch", "preview_rows",
    "runs_frame", "short_form",
]  # fmt: skip
