"""What the magics of one shell share: its settings, its session, and the ways to show something."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ainb import session as sessions
from ainb.errors import AinbError
from ainb.events import Event, Notice
from ainb.magics.display.reply import Bundle, Look, facts, plain_text, reply_bundle
from ainb.magics.display.streaming import NotebookStream, Stream, TerminalStream
from ainb.magics.errors import Failures
from ainb.magics.settings import Ainb
from ainb.messages import Reply
from ainb.panels.escapes import clean, one_line
from ainb.panels.markup import Report
from ainb.prompts.chats import Chats
from ainb.runtime import Runtime
from ainb.session import Session
from ainb.stores.notebook import find_notebook

# Options that a call reads anew each time: changing one must not forget what was spent or which circuit is open.
READ_BY_EACH_CALL = frozenset(
    {"model", "fallback", "aliases", "chat_tokens", "api_base", "display", "footer"}
)
QUIET_DISPLAYS = frozenset({"static", "off"})
PLAIN_DISPLAYS = frozenset({"text", "off"})
# Notices of what is about to be done; a notebook shows stderr on red.
NO_WARNING = {"forecast"}


class Front:
    """One shell.

    Args:
        shell: The running IPython shell.
        failures: What went wrong in it so far; None means nothing is known of.
    """

    def __init__(self, shell: Any, failures: Failures | None = None) -> None:
        self.shell = shell
        self.failures = failures or Failures(shell)
        self.chats = Chats()
        self.settings = Ainb(parent=shell)
        self.settings.changed = self._settings_changed
        self.lines: list[str] = []
        self.cassette_name: str | None = None
        self._said: set[tuple[str, str]] = set()
        self._printed: Reply | None = None
        self._made: Session | None = None
        self._config: Any = None

    # The session

    def make_session(self) -> Session:
        """The notebook's session, from the options in force; notices come to this front."""
        self._config = self.settings.in_force()
        self._made = Session(config=self._config, runtime=Runtime(sink=self.listen))
        return self._made

    def session(self) -> Session:
        """The notebook's session.

        Raises:
            ConfigError: An option makes no sense, or a setting was refused.
        """
        if self.settings.fault is not None:
            self.settings.in_force()
        return sessions.current()

    def _settings_changed(self) -> None:
        """Let the next call see new options; a session that somebody else handed over is left alone."""
        made, old = self._made, self._config
        if made is None or sessions.current() is not made:
            return
        new = self.settings.in_force()
        changed = {name for name in vars(new) if getattr(new, name) != getattr(old, name)}
        self._config = new
        if changed <= READ_BY_EACH_CALL | {"budget"}:
            made.config = new
            if "budget" in changed:
                made.set_budget(new.budget)
        elif changed:
            sessions.use(None)

    # Lines beside the output

    def listen(self, event: Event) -> None:
        """Take an event of the pipeline; a notice is said once."""
        if isinstance(event, Notice) and (event.kind, event.text) not in self._said:
            self._said.add((event.kind, event.text))
            if self.in_notebook and event.kind in NO_WARNING:
                sys.stdout.write(f"ainb: {one_line(event.text)}\n")
            else:
                self.say(event.text)

    def forget_notices(self, kind: str) -> None:
        """Let notices of a kind be said again."""
        self._said = {said for said in self._said if said[0] != kind}

    def say(self, text: str) -> None:
        """One line for the person, on stderr."""
        line = f"ainb: {one_line(text)}"
        self.lines.append(line)
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(line + "\n")
            sys.stderr.flush()

    def say_again(self) -> None:
        """Repeat the lines of this cell, after its output was cleared."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write("".join(f"{line}\n" for line in self.lines))

    # What is shown, and how

    @property
    def in_notebook(self) -> bool:
        """Whether the shell is a kernel's."""
        return getattr(self.shell, "kernel", None) is not None

    def watched(self) -> bool:
        """Whether a person sees what comes: a front end that could answer a question, or a terminal."""
        if self.in_notebook:
            return bool(getattr(self.shell.kernel, "_allow_stdin", False))
        return sys.stdout.isatty()

    def display(self) -> str:
        """The display option in force; "auto" when the options cannot be read, for showing never fails a call."""
        try:
            return str(sessions.current().config.display)
        except AinbError:
            return "auto"

    def look(self) -> Look:
        """What this place can show."""
        display = self.display()
        footer = getattr(sessions.current().config, "footer", True) if display != "off" else False
        return Look(
            rich=self.in_notebook and display not in PLAIN_DISPLAYS,
            footer=bool(footer),
            # While it is recorded a cell must read as it will when it is replayed.
            steady=display == "static" or sessions.current().config.replay != "off",
        )

    def stream(self, *, asked: bool | None) -> Stream | None:
        """Something to show pieces with, or None.

        Args:
            asked: What the person asked for; None means when somebody is watching.
        """
        display = self.display()
        wanted = self.watched() if asked is None else asked
        if not wanted or display in QUIET_DISPLAYS:
            return None
        if not self.in_notebook:
            return TerminalStream()
        return NotebookStream(self.shell.display_pub, sessions.current().runtime.clock, self.say)

    def printed(self, reply: Reply) -> None:
        """Remember that the terminal holds the text already, so that Out[n] does not repeat it."""
        self._printed = reply

    def reply_bundle(self, reply: Reply, **_: Any) -> Bundle:
        """How the shell shows a Reply; an error in here never fails the call."""
        try:
            if reply is self._printed:
                self._printed = None
                return {"text/plain": " · ".join(facts(reply)) if self.look().footer else ""}
            return reply_bundle(reply, self.look())
        except Exception as error:  # noqa: BLE001 - a display error never fails a call
            self.say(f"the reply is shown as plain text ({type(error).__name__}: {error})")
            return {"text/plain": plain_text(reply)[0]}

    def show(self, shown: Report | str | Any) -> None:
        """Show what a subcommand made: a line, a report, or anything that IPython can display."""
        if isinstance(shown, str):
            sys.stdout.write(f"{clean(shown)}\n")
        elif isinstance(shown, Report):
            bundle = shown.bundle() if self.look().rich else {"text/plain": str(shown)}
            self.shell.display_pub.publish(bundle)
        else:
            from IPython.display import display

            display(shown)

    # The notebook

    def offer_cell(self, text: str) -> None:
        """Put a text into a next cell, where the front end can."""
        with contextlib.suppress(Exception):  # it is shown all the same
            self.shell.set_next_input(text, replace=False)

    def bind(self, name: str, value: Any) -> None:
        """Give the notebook a variable."""
        self.shell.push({name: value}, interactive=not name.startswith("_"))

    def names(self) -> Mapping[str, Any]:
        """The notebook's names; IPython's own are left out, but for inputs and outputs."""
        hidden = self.shell.user_ns_hidden
        names = {
            name: value
            for name, value in self.shell.user_ns.items()
            if hidden.get(name, hidden) is not value or name.startswith("_")
        }
        names["In"] = self.shell.history_manager.input_hist_raw
        names["Err"] = self.failures.reports
        names["Out"] = self.shell.user_ns.get("Out", {})
        return names

    def notebook(self) -> Path | None:
        """The notebook's path, beside which its cassette lies; None where nobody can tell."""
        if self.cassette_name is not None:
            return Path.cwd() / self.cassette_name
        return find_notebook(self.shell.user_ns.get("__vsc_ipynb_file__"))
