"""Context of a batch: rows, calls, options and run, shared by all its parts."""

from __future__ import annotations

import asyncio
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ainb.batch.input.calls import RowCalls
from ainb.batch.input.source import Source
from ainb.batch.journal import Journal
from ainb.batch.options import BatchOptions
from ainb.batch.results.output import Output
from ainb.batch.results.row_result import RowResult
from ainb.batch.running.pace import Pace
from ainb.core import Core
from ainb.event_loop import USER_THREADS, carried, ends_program

if TYPE_CHECKING:
    from ainb.batch.jobs.context import JobContext
    from ainb.batch.jobs.under_way import JobsUnderWay
    from ainb.clock import Clock
    from ainb.messages import Call, Reply

TITLE_CHARACTERS = 60


@dataclass(frozen=True, kw_only=True)
class BatchContext:
    """Everything a batch needs besides its progress.

    Attributes:
        core: Core of the session whose pipeline the rows go through.
        source: The rows.
        calls: Builds the call of a row.
        options: How rows are treated.
        output: Receives the results of rows.
        pace: How many rows may be in flight.
        identity: Hash of home, notebook or script, prompt, parameters and model: equal for the same work.
        run_id: Id of this run, new or resumed; the ``batch_id`` of its calls.
        journal: Journal of finished rows; None without one, and then the run cannot be resumed.
        jobs: The provider's batch API if it answers the rows; None sends them live.
        under_way: Open batch jobs of the home while rows are sent live; None without any.
    """

    core: Core
    source: Source
    calls: RowCalls
    options: BatchOptions
    output: Output
    pace: Pace
    identity: str
    run_id: str
    journal: Journal | None
    jobs: JobContext | None = None
    under_way: JobsUnderWay | None = None

    @property
    def clock(self) -> Clock:
        """Clock of the session."""
        return self.core.runtime.clock

    async def make_call(self, row: Any) -> Call:
        """Build the call of a row; in a thread if the user's code converts its values to text."""
        if self.calls.is_plain_row(row):
            return self.calls.make(row, run_id=self.run_id)
        return await USER_THREADS.run(functools.partial(self.calls.make, row, run_id=self.run_id))

    async def open_row(self, row: Any) -> Call | RowResult:
        """The call of a row, or its result if its data prevents sending.

        Raises:
            RaisedByUser: The user's code raised SystemExit or KeyboardInterrupt.
        """
        try:
            return await self.make_call(row)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # an error of a row's data affects that row only
            if ends_program(error):
                raise carried(error) from error
            return RowResult.of_error(error, status="rejected")

    async def read_result(self, reply: Reply) -> RowResult:
        """Result of a row from its reply; in a thread if the user's code parses it.

        An error of that code becomes the result.

        Raises:
            RaisedByUser: A serialiser raised SystemExit or KeyboardInterrupt.
        """
        try:
            if self.calls.is_plain_reply(reply):
                return self.calls.result(reply)
            return await USER_THREADS.run(functools.partial(self.calls.result, reply))
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # raised by a serialiser of the user's model
            if ends_program(error):
                raise carried(error) from error
            return RowResult.of_reply(reply).with_error(error)


def short_title(title: str) -> str:
    """A title shortened at a word, for one line."""
    if len(title) <= TITLE_CHARACTERS:
        return title
    return f"{title[:TITLE_CHARACTERS].rsplit(' ', 1)[0]} …"
