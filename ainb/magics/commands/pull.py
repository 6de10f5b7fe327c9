"""``%ai pull NAME`` and ``%ai pull hf:OWNER/REPO/FILE.gguf``: download a local model, with progress."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import sys
import uuid
from collections.abc import Callable

from ainb.clock import SYSTEM_CLOCK, Clock
from ainb.errors import CallInterrupted, NotConfirmedError
from ainb.magics.parsing.arguments import Arguments
from ainb.magics.parsing.flags import Flag
from ainb.magics.shell import QUIET_DISPLAYS, NotebookShell
from ainb.panels.markup import box, escape
from ainb.providers import local as local_models

PERIOD_SECONDS = 0.2
MEGABYTE = 1_000_000
HUB_PREFIX = "hf:"
YES = Flag(
    name="yes",
    goes_to="cell",
    help="download a file of the Hugging Face hub without a question",
    example="%ai pull hf:Qwen/Qwen2.5-1.5B-Instruct-GGUF/qwen2.5-1.5b-instruct-q4_k_m.gguf --yes",
)


def pull(shell: NotebookShell, arguments: Arguments) -> str:
    """Download a model to this machine.

    Raises:
        ConfigError: There is no such model.
        CallInterrupted: The user stopped it.
    """
    name = arguments.words[0].removeprefix("local:")
    if name.startswith(HUB_PREFIX):
        return _pull_from_hub(shell, name, confirmed="yes" in arguments.cell)
    if shell.session().config.replay == "replay":
        return f"nothing was downloaded: in replay the cassette answers for local:{name}"
    return _download(shell, name, functools.partial(local_models.pull, name), "starts again where it can")


def _pull_from_hub(shell: NotebookShell, reference: str, *, confirmed: bool) -> str:
    """Show size and licence of a file of the hub, and download it once confirmed.

    Raises:
        NotConfirmedError: The download was not confirmed.
    """
    file = local_models.look_up(reference)
    if not confirmed:
        answer = shell.confirm(f"{file.summary}. Download it?")
        if answer is None:
            raise NotConfirmedError(
                f"{file.summary}; nobody could be asked, and nothing was downloaded; "
                f"allow it with %ai pull {reference} --yes"
            )
        if not answer:
            raise NotConfirmedError(f"{file.summary}; it was not confirmed, and nothing was downloaded")
    else:
        shell.print_line(file.summary)
    get = functools.partial(local_models.pull_from_hub, file)
    return _download(shell, file.name, get, "continues where it stopped")


def _download(shell: NotebookShell, name: str, get: Callable[..., object], next_time: str) -> str:
    progress = DownloadProgress(shell, name)
    try:
        get(progress=progress)
    except KeyboardInterrupt:
        raise CallInterrupted(f"stopped by you; %ai pull {next_time}") from None
    finally:
        progress.end()
    if importlib.util.find_spec("xllamacpp") is None:
        return (
            f"local:{name} is on this machine; "
            "to ask it, install llama.cpp: pip install 'ainb-notebook[local]'"
        )
    return f"local:{name} is on this machine; ask it with %%ai local:{name}"


class DownloadProgress:
    """Progress of a download: one updated output in a notebook, one line in a terminal, otherwise nothing."""

    def __init__(self, shell: NotebookShell, name: str, clock: Clock = SYSTEM_CLOCK) -> None:
        self._shell = shell
        self._name = name
        self._clock = clock
        self._display_id = uuid.uuid4().hex
        self._on = shell.is_watched() and shell.display() not in QUIET_DISPLAYS
        self._next_at = 0.0
        self._shown = False

    def __call__(self, done_bytes: int, total_bytes: int | None) -> None:
        """Show the bytes received and the total (None when unknown), at most five times a second."""
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
