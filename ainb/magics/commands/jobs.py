"""``%ai jobs``: batch jobs of providers, and cancelling those of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ainb.errors import ConfigError
from ainb.magics.commands.frame_report import MAX_ROWS, FrameReport
from ainb.magics.display.numbers import as_text, is_known, local_time, money
from ainb.magics.parsing.arguments import Arguments
from ainb.magics.shell import NotebookShell
from ainb.panels.formatting import UNKNOWN, count
from ainb.panels.markup import Column, Report, Table
from ainb.plain import counted
from ainb.suggestions import closest

if TYPE_CHECKING:
    import pandas as pd

CANCEL = "cancel"
WORDS = 2
NONE = "no batch job was submitted in this home; %%ai --each FRAME --batch-api submits one"


def show_jobs(shell: NotebookShell, arguments: Arguments) -> FrameReport | Report:
    """Show the jobs, or cancel those of a run.

    Raises:
        ConfigError: The word is not an action, or the run has no unfinished job.
    """
    session, words = shell.session(), arguments.words
    if words and words[0].lower() != CANCEL:
        raise ConfigError(
            f"%ai jobs takes no word, or cancel RUN; it is {words[0]!r}; "
            f"{closest(words[0].lower(), [CANCEL])}"
        )
    if len(words) == 1:
        raise ConfigError("%ai jobs cancel takes the run: %ai jobs shows them")
    if len(words) == WORDS:
        frame = session.cancel_batch_jobs(words[1])
        line = (
            "the provider was asked to stop; finished rows keep their answers, and running the cell again "
            "collects them"
        )
        return FrameReport(Report([line], _tables(frame)), frame)
    frame = session.batch_jobs()
    return FrameReport(Report([_gist(frame)], _tables(frame)), frame) if len(frame) else Report([NONE])


def _gist(frame: pd.DataFrame) -> str:
    under_way = int((frame["state"] != "merged").sum())
    jobs = f"{counted(len(frame), 'job')}, {under_way:,} under way"
    return f"{jobs}; run the cell again to collect, %ai jobs cancel RUN stops them" if under_way else jobs


def _tables(frame: pd.DataFrame) -> list[Table]:
    columns = [
        Column("run", lambda job: job.run_id),
        Column("provider", lambda job: job.provider),
        Column("job", lambda job: as_text(job.job_id)),
        Column("state", lambda job: job.state),
        Column("rows", lambda job: count(job.rows), "number"),
        Column("answered", lambda job: count(job.answered), "number"),
        Column("failed", lambda job: count(job.failed), "number"),
        Column("submitted", lambda job: local_time(job.submitted_at), "short"),
        Column("cost", _cost, "number"),
    ]
    jobs = ((job,) for job in frame.head(MAX_ROWS).itertuples(index=False))
    return [Table.of("Batch jobs", jobs, columns)]


def _cost(job: Any) -> str:
    return money(job.cost_usd) if is_known(job.cost_usd) else UNKNOWN
