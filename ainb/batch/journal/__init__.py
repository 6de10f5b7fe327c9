"""Journal of a home: finished rows on disk, so that an interrupted run can be resumed.

`store` holds the SQLite file, `group_writer` commits rows in groups, `runs` makes the table of
``Session.runs``.
"""

from ainb.batch.journal.errors import JournalError
from ainb.batch.journal.log_first import LogFirst
from ainb.batch.journal.runs import runs_frame
from ainb.batch.journal.store import JOURNAL_FILE, Journal, RunSummary

__all__ = ["JOURNAL_FILE", "Journal", "JournalError", "LogFirst", "RunSummary", "runs_frame"]
