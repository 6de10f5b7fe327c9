"""`Batch`: one run over the rows of a source into a DataFrame or a file; can be stopped and resumed."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ainb.batch.context import BatchContext, short_title
from ainb.batch.forecast.forecast import past_outputs
from ainb.batch.input.calls import TemplateCalls
from ainb.batch.input.reader import RowReader
from ainb.batch.progress import Progress
from ainb.batch.reporter import ProgressReporter
from ainb.batch.running.runner import STOP_SECONDS, Runner
from ainb.engine import ENGINE
from ainb.errors import AinbError, BatchPendingError
from ainb.event_loop import COLLECTOR, ends_program
from ainb.job import Job
from ainb.plain import counted
from ainb.status import status_rows

if TYPE_CHECKING:
    import pandas as pd

    from ainb.batch.jobs.runner import JobRunner

CANCEL_SECONDS = 0.4


class BatchFailedError(AinbError):
    """Rows failed and ``on_error="raise"`` is set.

    What to do: read ``frame["error_message"]`` of the failed rows; ``retry_failed=True`` sends only those
    again.

    Attributes:
        frame: All rows, including the successful ones; None when the results went to a file.
    """

    frame: pd.DataFrame | None = None


class BatchInterrupted(KeyboardInterrupt):
    """The user stopped a batch; finished rows are kept.

    What to do: run the same call again; it sends only the rows that have no result yet.

    Attributes:
        frame: All rows; those that were not reached have the status "cancelled". None when the results went
            to a file.
    """

    def __init__(self, message: str, *, frame: pd.DataFrame | None = None) -> None:
        super().__init__(message)
        self.frame = frame

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


class Batch:
    """One run over all rows of a source.

    Args:
        context: Rows, calls, options, output and run.

    Attributes:
        context: The context.
        progress: Counts so far.
    """

    def __init__(self, context: BatchContext) -> None:
        self.context = context
        title, model = short_title(context.calls.title), context.calls.model
        self.progress = Progress(title=title, model=model, total=context.source.length)
        self._reporter = ProgressReporter(self.progress, context.options.watcher, context.clock)
        self._runner = self._make_runner()
        self._reporter.on_exit = self._runner.end_program

    def _make_runner(self) -> Runner | JobRunner:
        context = self.context
        if context.jobs is None:
            make = Runner
            # In replay a cassette answers each row on its own.
            if context.options.rows_per_call > 1 and context.core.config.replay != "replay":
                from ainb.batch.packs import PackRunner

                make = PackRunner
            return make(context, self._make_reader(), self._reporter)
        from ainb.batch.jobs.runner import JobRunner

        return JobRunner(context, context.jobs, self._make_reader(), self._reporter)

    async def run(self) -> pd.DataFrame | Path:
        """Send all rows, on the running loop.

        Returns:
            The frame, or the path of the file that was written.

        Raises:
            BatchFailedError: Rows failed and ``on_error="raise"``.
            BatchPendingError: Batch jobs are not done within ``max_wait_seconds``.
        """
        try:
            self._reporter.start()
            with self._collecting():
                await self._runner.run()
            self.progress.state = "finished" if self._runner.complete else "stopped"
        except BatchPendingError as error:
            self.progress.state = "stopped"
            error.frame = self.frame()
            raise
        except BaseException as error:
            is_stop = ends_program(error) or not isinstance(error, Exception)
            self.progress.state = "stopped" if is_stop else "failed"
            raise
        finally:
            self._reporter.update(last=True)
            self._remember_output()
            self._close()
            await self._reporter.finish()
        if self._reporter.exit_error is not None:  # raised by the watcher for the last state
            raise self._reporter.exit_error
        if self.context.options.on_error == "raise" and (self.progress.failed or self._lacks_something()):
            raise self._failure()
        return self.context.output.result()

    def run_blocking(self) -> pd.DataFrame | Path:
        """Run and wait; after an interrupt calls in flight get 1.5 s, then the rest is cancelled.

        Raises:
            BatchInterrupted: The user or the user's own code stopped it; its `frame` holds the rows.
            SystemExit: The user's own code raised it.
        """
        self.show()
        job = self.submit()
        try:
            job.wait()
        except KeyboardInterrupt:
            self.stop(job)
            raise self._interruption() from None
        try:
            return job.result()
        except KeyboardInterrupt:  # raised by the user's own code
            raise self._interruption() from None

    def submit(self) -> Job[pd.DataFrame | Path]:
        """Run in the background."""
        return ENGINE.submit(self.run())

    def start(self) -> Job[pd.DataFrame | Path]:
        """Run in the background, with a panel that can cancel it where a user is watching."""

        def cancel() -> None:
            job.cancel()

        self.show(cancel=cancel)
        job = self.submit()
        return job

    def show(self, *, cancel: Callable[[], None] | None = None) -> None:
        """Open the panel of the front end, before `submit`; without effect in replay and with a watcher.

        Args:
            cancel: Action of a Cancel button, for a batch that runs while the cell continues; None without
                one.
        """
        core = self.context.core
        if self.context.options.watcher is None and core.config.replay == "off":
            self._reporter.watch_with(
                core.runtime.watch_batch(state=functools.partial(status_rows, core), cancel=cancel)
            )

    def stop(self, job: Job[Any]) -> None:
        """Send no more rows; wait 1.5 s for those in flight, then cancel them.

        Args:
            job: Result of `submit`.
        """
        ENGINE.loop().call_soon_threadsafe(self._runner.stop)
        if not job.wait(STOP_SECONDS):
            job.cancel()
            job.wait(CANCEL_SECONDS)

    def frame(self) -> pd.DataFrame | None:
        """The rows so far; None when they are written to a file."""
        return self.context.output.frame()

    def _remember_output(self) -> None:
        """Store the output tokens of the replies for the forecast of the next batch."""
        calls, progress = self.context.calls, self.progress
        if isinstance(calls, TemplateCalls) and not calls.free:
            known = past_outputs(self.context.core)
            known.add(calls, rows=progress.counted_replies, output_tokens=progress.reply_tokens)

    def _close(self) -> None:
        complete = False
        try:
            self.context.output.close(complete=self._runner.all_ended)
            complete = self._runner.complete
        finally:
            # A run whose result could not be written stays unfinished: its answers are in the journal.
            self._runner.finished.close(complete=complete, row_count=self.progress.done)

    def _collecting(self) -> contextlib.AbstractContextManager[None]:
        # A user function may leave reference cycles that hold much memory.
        context = self.context
        return contextlib.nullcontext() if context.calls.uses is None else COLLECTOR.rare(context.pace.most)

    def _make_reader(self) -> RowReader:
        source, uses, output = self.context.source, self.context.calls.uses, self.context.output
        if uses is None:
            open_rows = source.items
        else:
            open_rows = functools.partial(source.read, tuple(dict.fromkeys((*uses, *output.carries))))
        return RowReader(open_rows, output.start, in_thread=source.may_block)

    def _interruption(self) -> BatchInterrupted:
        total = f" of {self.progress.total:,}" if self.progress.total is not None else ""
        kept = self.context.journal is not None
        again = "run the cell again to continue" if kept else "nothing was kept on disk"
        if jobs := self.progress.jobs_under_way:
            rows, many = sum(job.rows for job in jobs), counted(len(jobs), "job")
            again = (
                f"{many} with {counted(rows, 'row')} still running at {jobs[0].provider}: "
                "run the cell again to collect them, or see %ai jobs"
            )
        text = f"stopped by you: {self.progress.done:,}{total} rows done, {again}"
        return BatchInterrupted(text, frame=self.frame())

    def _lacks_something(self) -> bool:
        """Whether rows were not sent for want of a key, another option, or a record in replay."""
        return bool(self.progress.errors.keys() & {"ConfigError", "ReplayMissError"})

    def _failure(self) -> BatchFailedError:
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.progress.errors.most_common(3))
        position, kind, message = self.progress.last_errors[0]
        failed = self.progress.failed
        many, what, again = failed, "failed", "retry_failed=True sends only these again"
        if not failed:
            many, what, again = self.progress.rejected, "were not sent", "another run sends these"
        error = BatchFailedError(
            f"{many:,} of {self.progress.done:,} rows {what} ({kinds}), "
            f"such as row {position}: {kind}: {message}; "
            f"the other rows are kept, and {again}"
        )
        error.frame = self.frame()
        return error
