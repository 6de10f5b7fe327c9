"""Usage log of one session: a row for every finished, recorded or monitored call."""

from __future__ import annotations

import contextlib
import contextvars
import functools
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random, SystemRandom
from typing import TYPE_CHECKING

from ainb.call_ids import CallIds
from ainb.clock import SYSTEM_CLOCK, Clock
from ainb.errors import AinbError
from ainb.events import CallFinished, Event, Notice, Sink, silent
from ainb.usage.log.options import Log
from ainb.usage.log.reading import why_unreadable
from ainb.usage.log.recorder import Estimators, Recorder
from ainb.usage.log.writer import FLUSH_SECONDS, Logged, Recorded, WarningListener, Writer
from ainb.usage.log.writer_registry import shared_writer
from ainb.usage.rows import Row, build_row

if TYPE_CHECKING:
    import sqlite3

FILE_NAME = "usage.sqlite3"
LOGGER = logging.getLogger("ainb")


class UsageLog(WarningListener):
    """Usage log of one session, in the file that all sessions of a home share.

    ``recorder`` makes rows for calls outside the pipeline.

    Args:
        path: The log file; None keeps the last rows in memory only.
        clock: Source of times and ages of rows.
        sink: Receiver of one notice when the log cannot be written.
        options: Limits and content of the log; None means the defaults.
        rng: Source of random bits of the ids.
        estimators: Functions that estimate tokens and cost of calls outside the pipeline.
        copy_to: Log that also receives every row, except calls answered from a cassette; None means no copy.
            It is closed with this one.
        log_lines: Whether rows also go to the logger ``ainb``, once it has a level.

    Attributes:
        on_record: Called with each row that `recorder` makes; None means no listener.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        clock: Clock = SYSTEM_CLOCK,
        sink: Sink = silent,
        options: Log | None = None,
        rng: Random | None = None,
        estimators: Estimators | None = None,
        copy_to: UsageLog | None = None,
        log_lines: bool = True,
    ) -> None:
        self.options = options or Log()
        self._path = path
        self._clock = clock
        self._sink = sink
        self._ids = CallIds(clock, rng or SystemRandom())
        self.session_id = self._ids()
        self._make_row = functools.partial(
            build_row, session_id=self.session_id, content=self.options.content
        )
        if path is None:
            self._writer = Writer(None, clock, self.options)
        else:
            self._writer = shared_writer(path, clock, self.options)
        self._has_warned = False
        self._writer.listeners.add(self)
        self._copy = copy_to
        self._log_lines = log_lines
        self.on_record: Callable[[Row], None] | None = None
        self.recorder = Recorder(
            self._take, self._ids, clock, self.session_id, estimators, content=self.options.content
        )

    def listener(self, event: Event) -> None:
        """Event sink that queues a row for every finished call."""
        if event.__class__ is CallFinished:
            self.add((self._make_row, event))

    def add(self, item: Recorded) -> None:
        """Queue a row, or a finished call with the function that makes its row."""
        if not self._log_lines:
            self._writer.append(Logged(item, None))
        elif LOGGER.level == logging.NOTSET:
            self._writer.append(item)
        else:
            self._writer.append(Logged(item, contextvars.copy_context()))
        if self._copy is not None and (isinstance(item, Row) or not item[1].call.replayed):
            # The copy is not logged: one line per call.
            self._copy._writer.append(Logged(item, None))  # noqa: SLF001 - its own class

    def _take(self, row: Row) -> None:
        self.add(row)
        if self.on_record is not None:
            self.on_record(row)

    def warn(self, text: str) -> None:
        """Send the first warning about the log to the session's sink; later ones are dropped."""
        if not self._has_warned:
            self._has_warned = True
            with contextlib.suppress(Exception):
                self._sink(Notice(text, "log"))

    @property
    def backlog(self) -> int:
        """Number of finished calls not written yet; a producer of many calls should wait when it grows."""
        return self._writer.backlog

    def now(self) -> float:
        """Seconds since 1970, by the log's clock."""
        return self._clock.unix()

    def flush(self, timeout_seconds: float = FLUSH_SECONDS) -> bool:
        """Wait until every finished call is in the log, or in memory when the log cannot be written.

        Returns:
            Whether that happened in time.
        """
        return self._writer.flush(timeout_seconds)

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection to all rows of the home, including every finished call of this process.

        Raises:
            AinbError: The file became unreadable while it was read.
        """
        import sqlite3

        try:
            with self._writer.reading() as connection:
                yield connection
        except sqlite3.Error as error:
            raise AinbError(
                f"the usage log {self._path or 'in memory'} cannot be read ({error}); try again, or move it "
                "away and a new one is created"
            ) from error

    def unreadable_reason(self) -> str | None:
        """Reason why the rows of the file are missing from queries, in one line; None when they are not."""
        return None if self._path is None else why_unreadable(self._path)

    def usual_output_tokens(self, provider: str, model: str) -> int | None:
        """Median output tokens of a model's last replies; None when too few are known."""
        from ainb.usage.outputs import usual_output_tokens

        with contextlib.suppress(AinbError), self.reading() as connection:
            return usual_output_tokens(connection, provider, model)
        return None

    def recent(self) -> list[Row]:
        """The last rows of this process, oldest first, without a query."""
        self.flush()
        return list(self._writer.recent)

    def close(self) -> None:
        """Write queued rows; a call that ends later is still logged."""
        if self._copy is not None:
            self._copy.close()
        self._writer.listeners.discard(self)
        if self._writer.listeners:
            self.flush()
        else:
            self._writer.stop()
