"""`NotebookShell`: state shared by the cells of one IPython shell: settings, session, chats, display."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ainb import session as sessions
from ainb.errors import AinbError
from ainb.events import Event, Notice
from ainb.magics.display.reply import Bundle, DisplayOptions, facts, plain_text, reply_bundle
from ainb.magics.display.streaming import NotebookStream, Stream, TerminalStream
from ainb.magics.errors import CellErrors
from ainb.magics.settings import Ainb
from ainb.messages import Reply
from ainb.panels.escapes import clean, one_line
from ainb.panels.markup import Report
from ainb.prompts import Chats
from ainb.runtime import Runtime
from ainb.session import Session
from ainb.stores.notebook import find_notebook

if TYPE_CHECKING:
    from ainb.batch import LoopWatcher

# Options that each call reads anew: changing one must not reset the budget's spending or close an open
# circuit.
READ_BY_EACH_CALL = frozenset(
    {"model", "fallback", "aliases", "chat_tokens", "api_base", "display", "footer"}
)
QUIET_DISPLAYS = frozenset({"static", "off"})
PLAIN_DISPLAYS = frozenset({"text", "off"})
# Notices that are no warnings go to stdout: a notebook shows stderr on a red background.
NO_WARNING = {"forecast"}
SHOWN_AFTER_SECONDS = 1.0


class NotebookShell:
    """Settings, session, chats and display of one IPython shell, in a notebook or a terminal.

    Args:
        ipython: The running IPython shell.
        cell_errors: Errors of its cells so far; None without any.
    """

    def __init__(self, ipython: Any, cell_errors: CellErrors | None = None) -> None:
        self.ipython = ipython
        self.cell_errors = cell_errors or CellErrors(ipython)
        self.chats = Chats()
        self.settings = Ainb(parent=ipython)
        self.settings.changed = self._settings_changed
        self.printed_lines: list[str] = []
        self.cassette_name: str | None = None
        self._shown_notices: set[tuple[str, str]] = set()
        self._printed: Reply | None = None
        self._made: Session | None = None
        self._config: Any = None

    # The session

    def make_session(self) -> Session:
        """A session with the effective options, whose notices are printed here."""
        self._config = self.settings.effective()
        self._made = Session(config=self._config, runtime=Runtime(sink=self.listen))
        return self._made

    def session(self) -> Session:
        """The notebook's session.

        Raises:
            ConfigError: An option is invalid, or a setting was refused.
        """
        if self.settings.error is not None:
            self.settings.effective()
        return sessions.current()

    def _settings_changed(self) -> None:
        """Apply new options from the next call on; a session set with `ainb.session.use` is not changed."""
        made, old = self._made, self._config
        if made is None or sessions.current() is not made:
            return
        new = self.settings.effective()
        changed = {name for name in vars(new) if getattr(new, name) != getattr(old, name)}
        self._config = new
        if changed <= READ_BY_EACH_CALL | {"budget"}:
            made.config = new
            if "budget" in changed:
                made.set_budget(new.budget)
        elif changed:
            sessions.use(None)

    # Notices

    def listen(self, event: Event) -> None:
        """Print a notice of the pipeline, each text once; other events are ignored."""
        if isinstance(event, Notice) and (event.kind, event.text) not in self._shown_notices:
            self._shown_notices.add((event.kind, event.text))
            if self.in_notebook and event.kind in NO_WARNING:
                sys.stdout.write(f"ainb: {one_line(event.text)}\n")
            else:
                self.print_line(event.text)

    def forget_notices(self, kind: str) -> None:
        """Allow notices of a kind to be printed again."""
        self._shown_notices = {notice for notice in self._shown_notices if notice[0] != kind}

    def print_line(self, text: str) -> None:
        """Print one line for the user on stderr."""
        line = f"ainb: {one_line(text)}"
        self.printed_lines.append(line)
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(line + "\n")
            sys.stderr.flush()

    def reprint_lines(self) -> None:
        """Print the lines of this cell again, after its output was cleared."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write("".join(f"{line}\n" for line in self.printed_lines))

    # Display

    @property
    def in_notebook(self) -> bool:
        """Whether the shell belongs to a Jupyter kernel."""
        return getattr(self.ipython, "kernel", None) is not None

    def is_watched(self) -> bool:
        """Whether a user sees output as it arrives: a front end that takes input, or a terminal."""
        if self.in_notebook:
            return bool(getattr(self.ipython.kernel, "_allow_stdin", False))
        return sys.stdout.isatty()

    def confirm(self, question: str) -> bool | None:
        """The user's answer to a question; None where no input is possible (nbconvert, scripts)."""
        can_ask = self.is_watched() if self.in_notebook else sys.stdin is not None and sys.stdin.isatty()
        if not can_ask:
            return None
        return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}

    def watch_batch(
        self, *, state: Callable[[], Any], cancel: Callable[[], None] | None
    ) -> LoopWatcher | None:
        """A panel for a batch that Python code of the cell starts; see `ainb.host.Host`.

        None when no user is watching, with the display "static" or "off", and in other threads, whose output
        belongs to no cell.
        """
        in_cell = threading.current_thread() is threading.main_thread()
        if not in_cell or not self.is_watched() or self.display() in QUIET_DISPLAYS:
            return None
        from ainb.panels.batch import BatchPanel

        return BatchPanel.open(
            display=self.display(),
            state=state,
            cancel=cancel,
            # A loop over small batches is not to leave a panel for each. In the background it is shown at
            # once, because a later cell may be running after a second.
            after_seconds=SHOWN_AFTER_SECONDS if cancel is None else 0.0,
            on_error=self.print_line,
        )

    def display(self) -> str:
        """The effective display option; "auto" when the options are invalid: display never fails a call."""
        try:
            return str(sessions.current().config.display)
        except AinbError:
            return "auto"

    def display_options(self) -> DisplayOptions:
        """Display options of replies in this front end."""
        display = self.display()
        footer = getattr(sessions.current().config, "footer", True) if display != "off" else False
        return DisplayOptions(
            rich=self.in_notebook and display not in PLAIN_DISPLAYS,
            footer=bool(footer),
            # The output of a recorded cell must equal that of its replay.
            deterministic=display == "static" or sessions.current().config.replay != "off",
        )

    def open_stream(self, *, requested: bool | None) -> Stream | None:
        """A stream that shows a reply piece by piece; None when it is not to be streamed.

        Args:
            requested: ``--stream`` or ``--no-stream``; None streams if a user is watching.
        """
        display = self.display()
        wanted = self.is_watched() if requested is None else requested
        if not wanted or display in QUIET_DISPLAYS:
            return None
        if not self.in_notebook:
            return TerminalStream()
        return NotebookStream(self.ipython.display_pub, sessions.current().runtime.clock, self.print_line)

    def mark_printed(self, reply: Reply) -> None:
        """Mark a reply that was printed to the terminal, so that Out[n] does not repeat it."""
        self._printed = reply

    def reply_bundle(self, reply: Reply, **_: Any) -> Bundle:
        """The MIME bundle of a Reply; a display error never fails the call."""
        try:
            if reply is self._printed:
                self._printed = None
                return {"text/plain": " · ".join(facts(reply)) if self.display_options().footer else ""}
            return reply_bundle(reply, self.display_options())
        except Exception as error:  # noqa: BLE001 - a display error never fails a call
            self.print_line(f"the reply is shown as plain text ({type(error).__name__}: {error})")
            return {"text/plain": plain_text(reply)[0]}

    def show(self, shown: Report | str | Any) -> None:
        """Show the result of a subcommand: a line, a report, or anything that IPython can display."""
        if isinstance(shown, str):
            sys.stdout.write(f"{clean(shown)}\n")
        elif isinstance(shown, Report):
            bundle = shown.bundle() if self.display_options().rich else {"text/plain": str(shown)}
            self.ipython.display_pub.publish(bundle)
        else:
            from IPython.display import display

            display(shown)

    # The notebook

    def insert_cell(self, text: str) -> None:
        """Put a text into a new cell below if the front end supports it."""
        with contextlib.suppress(Exception):  # the text is shown in any case
            self.ipython.set_next_input(text, replace=False)

    def bind(self, name: str, value: Any) -> None:
        """Set a variable of the notebook."""
        self.ipython.push({name: value}, interactive=not name.startswith("_"))

    def namespace(self) -> Mapping[str, Any]:
        """Variables of the notebook without IPython's own, and `In`, `Out` and `Err`."""
        hidden = self.ipython.user_ns_hidden
        names = {
            name: value
            for name, value in self.ipython.user_ns.items()
            if hidden.get(name, hidden) is not value or name.startswith("_")
        }
        names["In"] = self.ipython.history_manager.input_hist_raw
        names["Err"] = self.cell_errors.reports
        names["Out"] = self.ipython.user_ns.get("Out", {})
        return names

    def variables(self, is_kind: Callable[[Any], bool]) -> list[str]:
        """Names of the variables whose value is of a kind, sorted, without names that begin with ``_``."""
        names = self.namespace().items()
        return sorted(name for name, value in names if not name.startswith("_") and is_kind(value))

    def notebook_path(self) -> Path | None:
        """Path of the notebook, in whose folder its cassette is; None when unknown."""
        if self.cassette_name is not None:
            return Path.cwd() / self.cassette_name
        return find_notebook(self.ipython.user_ns.get("__vsc_ipynb_file__"))
