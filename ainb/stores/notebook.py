"""Path of the running notebook or script, as far as known, and of its cassette."""

from __future__ import annotations

import os
import sys
from pathlib import Path

SUFFIX = ".ainb.jsonl"
VARIABLE = "AINB_NOTEBOOK"
FRONT_END_VARIABLE = "JPY_SESSION_NAME"


def find_notebook(front_end_path: str | None = None) -> Path | None:
    """Path of the running notebook or script.

    Sources in this order: ``AINB_NOTEBOOK``, Jupyter (``JPY_SESSION_NAME``), the front end, the started
    script.

    Args:
        front_end_path: Path that the front end has set in the kernel, as VS Code does in
            ``__vsc_ipynb_file__``.

    Returns:
        An absolute path; None for a console, an unsaved notebook, and a module started with ``-m``.
    """
    if named := os.environ.get(VARIABLE):
        return Path.cwd() / Path(named).expanduser()
    for text in (os.environ.get(FRONT_END_VARIABLE), front_end_path):
        found = _saved(text) if text else None
        if found is not None:
            return found
    return _script()


def cassette_path(notebook: Path) -> Path:
    """Path of the cassette beside a notebook or script; the path of a cassette is returned unchanged."""
    if notebook.name.endswith(SUFFIX):
        return notebook
    stem = notebook.stem if notebook.suffix in {".ipynb", ".py", ".md"} else notebook.name
    return notebook.with_name(stem + SUFFIX)


def _saved(text: str) -> Path | None:
    """The file named by a front end, whose path may be relative to an unknown folder of the server."""
    path = Path(text)
    for place in (path if path.is_absolute() else None, Path.cwd() / path.name):
        if place is not None and place.suffix and place.is_file():
            return place
    return None


def _script() -> Path | None:
    started = getattr(sys.modules.get("__main__"), "__file__", None)
    path = Path(started) if started else None
    # A program such as pytest is not the user's script.
    if path is None or path.suffix != ".py" or path.name == "__main__.py":
        return None
    return Path.cwd() / path
