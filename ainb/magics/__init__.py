"""The IPython extension: registers ``%%ai``, ``%ai``, Tab completion and the display of a `Reply`.

``%load_ext ainb`` loads this module and must be fast, so it registers names only; what they run is imported
on first use. `cell` and `each` run ``%%ai``, `line` runs ``%ai`` with the table of `commands`; `parsing`
reads the lines, `display` shows replies, and `shell` holds what the cells of one IPython shell share.
"""

from __future__ import annotations

import contextlib
import sys
from functools import cached_property
from typing import TYPE_CHECKING, Any

from IPython.core.completer import context_matcher
from IPython.core.magic import no_var_expand

from ainb import host
from ainb.magics.display import frames
from ainb.magics.errors import CellErrors
from ainb.magics.jupyter_ai import AiMagics

if TYPE_CHECKING:
    from pathlib import Path

    from ainb.magics.shell import NotebookShell
    from ainb.messages import Reply

NAMES = ("ainb", "ai")
REPLY = "ainb.replies.Reply"


def add_accessor(_info: object = None) -> None:
    """Add ``.ai`` to DataFrames and Series once pandas is loaded; runs before every cell, so it is cheap."""
    if "pandas" in sys.modules:
        from ainb.accessor import notices

        while notices:
            _print_line(notices.pop())


def _read_pasted(lines: list[str]) -> list[str]:
    """Run before each cell: read lines from other tools; see `ainb.magics.parsing.pasted`."""
    has_options = bool(lines) and lines[0].startswith("#|")
    if not has_options and not any(line.startswith(("%ai ", "%ainb ")) and "?" in line for line in lines):
        return lines
    from ainb.magics.parsing.pasted import ask_instead_of_help, uncover_cell_magic

    return ask_instead_of_help(uncover_cell_magic(lines))


class _Extension:
    """Everything that is registered on one IPython shell."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.settings = _LazySettings(self)
        self.cell_errors = CellErrors(shell)
        self.jupyter_ai = AiMagics(lambda: self.notebook_shell, parent=shell)
        self.matcher = self._make_matcher()
        self._undo = contextlib.ExitStack()

    @cached_property
    def notebook_shell(self) -> NotebookShell:
        """State that the magics of this shell share, made on first use."""
        from ainb.magics.shell import NotebookShell

        return NotebookShell(self.shell, self.cell_errors)

    def make_session(self) -> object:
        """The notebook's session; see `ainb.host.Host`."""
        return self.notebook_shell.make_session()

    def confirm(self, question: str) -> bool | None:
        """Ask the user; see `ainb.host.Host`."""
        return self.notebook_shell.confirm(question)

    def watch_batch(self, **options: Any) -> host.BatchWatcher | None:
        """Panel of a batch; see `ainb.host.Host`."""
        return self.notebook_shell.watch_batch(**options)

    def notebook_path(self) -> Path | None:
        """Path of the running notebook; see `ainb.host.Host`."""
        return self.notebook_shell.notebook_path()

    def register(self) -> None:
        """Register magics, formatter, settings, events and completion, each with what `unregister` does."""
        shell, undo = self.shell, self._undo.callback
        for name in NAMES:
            if _is_owned(shell, name):
                _print_line(
                    f"another extension owns %%{name} and keeps it; "
                    "use %%ainb and %ainb, or load ainb in a kernel without the other"
                )
            else:
                self._register_magics(name)
        bundles = shell.display_formatter.mimebundle_formatter
        bundles.for_type(REPLY, self._reply_bundle)
        undo(bundles.pop, REPLY, None)
        frames.register(shell)
        undo(frames.unregister, shell)
        shell.configurables.append(self.settings)
        undo(_remove, shell.configurables, self.settings)
        if not any(type(item).__name__ == "AiMagics" for item in shell.configurables):
            shell.configurables.append(self.jupyter_ai)
            undo(_remove, shell.configurables, self.jupyter_ai)
        for event, callback in (("post_run_cell", self.cell_errors.record), ("pre_run_cell", add_accessor)):
            shell.events.register(event, callback)
            undo(_drop_event, shell, event, callback)
        shell.input_transformers_cleanup.insert(0, _read_pasted)
        undo(_remove, shell.input_transformers_cleanup, _read_pasted)
        if shell.Completer is not None:
            shell.Completer.custom_matchers.append(self.matcher)
            undo(_remove, shell.Completer.custom_matchers, self.matcher)

    def unregister(self) -> None:
        """Unregister what is still ours."""
        self._undo.close()

    def origin(self) -> tuple[str | None, str | None]:
        """Notebook name and cell id of the code that runs; see `ainb.host.Host`."""
        from ainb.magics.origin import origin

        return origin(self.shell)

    def _reply_bundle(self, reply: Reply, **_: Any) -> dict[str, Any]:
        return self.notebook_shell.reply_bundle(reply)

    def _make_matcher(self) -> Any:
        @context_matcher(identifier="ainb.matcher")
        def matcher(context: Any) -> dict[str, Any]:
            """Complete the lines of ainb's magics, and nothing else."""
            if "%ai" not in context.full_text:
                return {"completions": []}
            from ainb.magics.parsing.completion import complete

            return complete(self.notebook_shell, context)

        return matcher

    def _register_magics(self, name: str) -> None:
        # Not output_can_be_silenced: it parses the prompt as Python, and "it's a test" would fail after it
        # was paid for.
        @no_var_expand
        def cell(line: str, cell: str) -> Any:
            """Send the cell to a language model; %ai help lists the options."""
            from ainb.magics.entry import run_cell_magic

            return run_cell_magic(self.notebook_shell, line, cell, f"%%{name}")

        @no_var_expand
        def line(line: str) -> Any:
            """Status, help and settings of ainb; %ai help lists the subcommands."""
            from ainb.magics.entry import run_line_magic

            return run_line_magic(self.notebook_shell, line, f"%{name}")

        for kind, function in (("cell", cell), ("line", line)):
            self.shell.register_magic_function(function, kind, name)
            self._undo.callback(self._drop_magic, kind, name, function)

    def _drop_magic(self, kind: str, name: str, function: object) -> None:
        table = self.shell.magics_manager.magics[kind]
        if table.get(name) is function:
            del table[name]


class _LazySettings:
    """Proxy of the settings, so that they are loaded only when ``%config`` reads them."""

    def __init__(self, extension: _Extension) -> None:
        self._extension = extension

    @property  # type: ignore[misc]  # the only attribute that %config reads
    def __class__(self) -> type:
        return type(self._extension.notebook_shell.settings)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._extension.notebook_shell.settings, name)


_LOADED: dict[int, _Extension] = {}


def load(shell: Any) -> None:
    """Register the extension on a shell."""
    unload(shell)
    extension = _LOADED[id(shell)] = _Extension(shell)
    extension.register()
    host.register(
        host.Host(
            make_session=extension.make_session,
            find_origin=extension.origin,
            find_notebook=extension.notebook_path,
            confirm=extension.confirm,
            watch_batch=extension.watch_batch,
        )
    )
    if _is_mixed_with_other():
        _print_line(
            "an unrelated package is installed under the name ainb and its files are mixed with these; "
            "repair it with pip uninstall ainb, then pip install --force-reinstall ainb-notebook"
        )


def unload(shell: Any) -> None:
    """Remove the extension from a shell."""
    extension = _LOADED.pop(id(shell), None)
    if extension is None:
        return
    extension.unregister()
    host.unregister()


def _is_owned(shell: Any, name: str) -> bool:
    manager = shell.magics_manager
    return name in manager.magics["cell"] or name in getattr(manager, "lazy_magics", ())


def _remove(items: list[Any], unwanted: Any) -> None:
    items[:] = [item for item in items if item is not unwanted]


def _drop_event(shell: Any, event: str, callback: object) -> None:
    with contextlib.suppress(ValueError):
        shell.events.unregister(event, callback)


def _print_line(text: str) -> None:
    sys.stderr.write(f"ainb: {text}\n")


def _is_mixed_with_other() -> bool:
    """Whether the other project whose package folder is also called ainb is installed."""
    # By the names of folders: importing importlib.metadata would take most of the time of ``%load_ext``.
    return any(site_folder().glob("ainb-*.*-info"))


def site_folder() -> Path:
    """The folder that holds the package and the installer's metadata."""
    from pathlib import Path

    return Path(__file__).parents[2]
