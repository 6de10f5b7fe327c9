"""The front that knows IPython: ``%%ai``, ``%ai``, completion and how a Reply is shown.

``%load_ext ainb`` comes here and must take no time, so this module only leaves names with the shell; whatever is behind them is
imported when one of them is first used.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from functools import cached_property
from importlib import metadata
from typing import TYPE_CHECKING, Any

from IPython.core.completer import context_matcher
from IPython.core.magic import no_var_expand

from ainb import host
from ainb.magics.errors import Failures
from ainb.magics.jupyter_ai import AiMagics

if TYPE_CHECKING:
    from pathlib import Path

    from ainb.magics.shell import Front
    from ainb.messages import Reply

NAMES = ("ainb", "ai")
REPLY = "ainb.replies.Reply"
# Another project's distribution that also unpacks into a folder called ainb.
STRANGER = "ainb"


def add_accessor(_info: object = None) -> None:
    """Give DataFrames and Series their ``.ai`` once pandas is there; asked before every cell, so it must cost nothing."""
    if "pandas" in sys.modules:
        import ainb.accessor  # noqa: F401 - importing it is what registers it


class _Loaded:
    """What was registered on a shell, so that it can be taken away again."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.settings = _LazySettings(self)
        self.failures = Failures(shell)
        self.habits = AiMagics(lambda: self.front, parent=shell)
        self.matcher = self._make_matcher()
        self.magics: dict[tuple[str, str], Callable[..., Any]] = {}

    @cached_property
    def front(self) -> Front:
        """The front of this shell, made when it is first needed."""
        from ainb.magics.shell import Front

        return Front(self.shell, self.failures)

    def make_session(self) -> object:
        """The notebook's session; see `ainb.host.Host`."""
        return self.front.make_session()

    def notebook(self) -> Path | None:
        """Path of the running notebook; see `ainb.host.Host`."""
        return self.front.notebook()

    def register(self) -> None:
        """Leave everything with the shell."""
        for name in NAMES:
            if _is_owned(self.shell, name):
                _say(
                    f"another extension owns %%{name} and keeps it; "
                    "use %%ainb and %ainb, or load ainb in a kernel without the other"
                )
            else:
                self._register_magics(name)
        self.shell.display_formatter.mimebundle_formatter.for_type(REPLY, self._reply_bundle)
        self.shell.configurables.append(self.settings)
        if not any(type(item).__name__ == "AiMagics" for item in self.shell.configurables):
            self.shell.configurables.append(self.habits)
        self.shell.events.register("post_run_cell", self.failures.remember)
        self.shell.events.register("pre_run_cell", add_accessor)
        if self.shell.Completer is not None:
            self.shell.Completer.custom_matchers.append(self.matcher)

    def unregister(self) -> None:
        """Take everything back that is still ours."""
        for (kind, name), function in self.magics.items():
            table = self.shell.magics_manager.magics[kind]
            if table.get(name) is function:
                del table[name]
        self.shell.display_formatter.mimebundle_formatter.pop(REPLY, None)
        _drop(self.shell.configurables, self.settings)
        _drop(self.shell.configurables, self.habits)
        with contextlib.suppress(ValueError):
            self.shell.events.unregister("post_run_cell", self.failures.remember)
            self.shell.events.unregister("pre_run_cell", add_accessor)
        if self.shell.Completer is not None:
            _drop(self.shell.Completer.custom_matchers, self.matcher)

    def origin(self) -> tuple[str | None, str | None]:
        """Notebook and cell of what runs now."""
        from ainb.magics.origin import origin

        return origin(self.shell)

    def _reply_bundle(self, reply: Reply, **_: Any) -> dict[str, Any]:
        return self.front.reply_bundle(reply)

    def _make_matcher(self) -> Any:
        @context_matcher(identifier="ainb.matcher")
        def matcher(context: Any) -> dict[str, Any]:
            """Complete the lines of ainb's magics, and nothing else."""
            if "%ai" not in context.full_text:
                return {"completions": []}
            from ainb.magics.parsing.completion import complete

            return complete(self.front, context)

        return matcher

    def _register_magics(self, name: str) -> None:
        # Not output_can_be_silenced: it reads the prompt as Python, and "it's a test" would fail after it was paid for.
        @no_var_expand
        def cell(line: str, cell: str) -> Any:
            """Send the cell to a language model; %ai help lists the options."""
            from ainb.magics.cell import run_cell

            return run_cell(self.front, line, cell, f"%%{name}")

        @no_var_expand
        def line(line: str) -> Any:
            """Status, help and settings of ainb; %ai help lists the subcommands."""
            from ainb.magics.line import run_line

            return run_line(self.front, line, f"%{name}")

        for kind, function in (("cell", cell), ("line", line)):
            self.shell.register_magic_function(function, kind, name)
            self.magics[kind, name] = function


class _LazySettings:
    """Stands among the shell's configurables for the front's settings until ``%config`` asks for them."""

    def __init__(self, loaded: _Loaded) -> None:
        self._loaded = loaded

    @property  # type: ignore[misc]  # what %config asks for, and no more
    def __class__(self) -> type:
        return type(self._loaded.front.settings)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loaded.front.settings, name)


_LOADED: dict[int, _Loaded] = {}


def load(shell: Any) -> None:
    """Register everything on a shell."""
    unload(shell)
    loaded = _LOADED[id(shell)] = _Loaded(shell)
    loaded.register()
    host.register(
        host.Host(
            make_session=loaded.make_session,
            find_origin=loaded.origin,
            find_notebook=loaded.notebook,
        )
    )
    if _mixed_with_stranger():
        _say(
            "an unrelated package is installed under the name ainb and its files are mixed with these; "
            "mend it with pip uninstall ainb, then pip install --force-reinstall ainb-notebook"
        )


def unload(shell: Any) -> None:
    """Take everything away again."""
    loaded = _LOADED.pop(id(shell), None)
    if loaded is None:
        return
    loaded.unregister()
    host.unregister()


def _is_owned(shell: Any, name: str) -> bool:
    manager = shell.magics_manager
    return name in manager.magics["cell"] or name in getattr(manager, "lazy_magics", ())


def _drop(items: list[Any], unwanted: Any) -> None:
    items[:] = [item for item in items if item is not unwanted]


def _say(text: str) -> None:
    sys.stderr.write(f"ainb: {text}\n")


def _mixed_with_stranger() -> bool:
    try:
        metadata.distribution(STRANGER)
    except metadata.PackageNotFoundError:
        return False
    return True
