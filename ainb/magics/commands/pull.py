"""``%ai pull NAME``: download a local model and show the progress."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import uuid

from ainb.clock import SYSTEM_CLOCK, Clock
from ainb.errors import CallInterrupted
from ainb.magics.parsing.arguments import Arguments
from ainb.magics.shell import QUIET_DISPLAYS, NotebookShell
from ainb.panels.markup import box, escape

PERIOD_SECONDS = 0.2
MEGABYTE = 1_000_000


def pull(shell: NotebookShell, arguments: Arguments) -> str:
    """Download a model to this machine.

    Raises:
        ConfigError: There is no such model.
        CallInterrupted: The user stopped it.
    """
    from ainb.providers import local as local_models

    name = arguments.words[0].removeprefix("local:")
    if shell.session().config.replay == "replay":
        return f"nothing was downloaded: in replay the cassette answers for local:{name}"
    progress = DownloadProgress(shell, name)
    try:
        local_models.pull(name, progress=progress)
    except KeyboardInterrupt:
        raise CallInterrupted("stopped by you; %ai pull starts again where it can") from None
    finally:
        progress.end()
    if importlib.util.find_spec("xllamacpp") is None:
        return (
            f"local:{name} is on this machine; "
            "to ask it, install llama.cpp: pip install 'ainb-notebook[local]'"
        )
    return f"local:{name} is on this machine; ask it with %%ai local:{name}"


class DownloadProgress:
    """Progress of a download: one updated output in a notebook, one line in a terminal, else nothing."""

    def __init__(self, shell: NotebookShell, name: str, clock: Clock = SYSTEM_CLOCK) -> None:
        self._shell = shell
        self._name = name
        self._clock = clock
        self._display_id = uuid.uuid4().hex
        self._on = shell.is_watched() and shell.display() not in QUIET_DISPLAYS
        self._next_at = 0.0
        self._shown = False

    def __call__(self, done_bytes: int, total_bytes: int | None) -> None:
        """Show the bytes received of the total, which is None when unknown; at most five times a second."""
        now = self._clock.monotonic()
        if not self._on or now < self._next_at:
            return
        self._next_at = now + PERIOD_SECONDS
        try:
            self._show(done_bytes, total_bytes)
        except Exception:  # noqa: BLE001 - a display error never fails the download
            self._on = False

    def end(self) -> None:
        """Clear the progress."""
        if not self._shown:
            return
        with contextlib.suppress(Exception):
            if self._shell.in_notebook:
                self._shell.ipython.display_pub.clear_output(wait=True)
            else:
                sys.stderr.write("\r\x1b[2K")
                sys.stderr.flush()

    def _show(self, done: int, total: int | None) -> None:
        line = f"{self._name}: {done // MEGABYTE} MB"
        line += f" of {total // MEGABYTE} MB" if total else ""
        if self._shell.in_notebook:
            bar = (
                f'<progress aria-label="downloaded" value="{done}" max="{total}"></progress>' if total else ""
            )
            self._shell.ipython.display_pub.publish(
                {
                    "text/plain": line,
                    "text/html": box(f'<p role="status">{escape(line)}</p>', bar, kind="wait"),
                },
                transient={"display_id": self._display_id},
                update=self._shown,
            )
        else:
            sys.stderr.write(f"\r\x1b[2K{line}")
            sys.stderr.flush()
        self._shown = True
