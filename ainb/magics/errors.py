"""Descriptions of the errors of cells for a model: ``{Err[n]}``, ``%ai error`` and ``%ai fix``.

This module sends nothing.
"""

from __future__ import annotations

import contextlib
import itertools
import linecache
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from traceback import FrameSummary
from typing import Any

MAX_KEPT = 100
# The limits leave room for the answer in the context of a small local model.
MAX_REPORT_CHARS = 6_000
MAX_CELL_CHARS = 2_500
MAX_MESSAGE_CHARS = 1_000
MAX_LINE_CHARS = 200
MAX_OWN_FRAMES = 5
MAX_CAUSES = 3
CONTEXT_LINES = 2
_CELL_PREFIXES = ("<ipython-input", "<doctest ")
_LIBRARY_PARTS = ("site-packages", "dist-packages")


class CellErrors:
    """Descriptions of the errors of one notebook's cells, by execution count.

    Args:
        ipython: The running IPython shell.
    """

    def __init__(self, ipython: Any) -> None:
        self._ipython = ipython
        self.reports: dict[int, str] = {}
        self.last: str | None = None

    def record(self, result: Any) -> None:
        """Record the error of a finished cell; never raises, because IPython would print it."""
        error = result.error_in_exec or result.error_before_exec
        if not isinstance(error, Exception):
            return
        with contextlib.suppress(Exception):
            cell = result.info.raw_cell if result.info is not None else ""
            text = describe_error(error, cell, self._cells())
            if result.execution_count is not None:
                self.reports[result.execution_count] = text
            while len(self.reports) > MAX_KEPT:
                del self.reports[min(self.reports)]
            # Errors of ainb itself are not explained by the next %ai error.
            if not type(error).__module__.startswith("ainb"):
                self.last = text

    def latest(self) -> str | None:
        """The last error of the notebook, also from before the extension was loaded; None without any."""
        error = getattr(sys, "last_value", None)
        if self.last is None and isinstance(error, Exception):
            self.last = describe_error(error, "", self._cells())
        return self.last

    def _cells(self) -> dict[str, int]:
        return dict(getattr(self._ipython.compile, "_filename_map", {}))


def describe_error(error: BaseException, cell: str, cells: dict[str, int]) -> str:
    """Describe an error: the cell, the error, and the frames of the user's own code; secrets are redacted.

    Args:
        error: The exception.
        cell: Source of the cell that raised it; "" leaves it out.
        cells: File names of cells, and their execution counts.
    """
    from ainb.redaction import redact

    around = _cell_around(cell.rstrip(), _failing_line(error, cells))
    parts = [f"The cell:\n```python\n{around}\n```"] if cell.strip() else []
    parts.append("The error:\n" + "\n".join(_causes(error)))
    steps = list(_describe_frames(error, cells))
    if steps:
        parts.append("Where it happened, outermost first:\n" + "\n".join(steps))
    return _cut(redact("\n\n".join(parts)), MAX_REPORT_CHARS)


def _failing_line(error: BaseException, cells: dict[str, int]) -> int:
    """Line of the cell that raised the error, from 1; 1 when unknown."""
    if isinstance(error, SyntaxError) and error.lineno:
        return error.lineno
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame.lineno or 1 for frame in frames if _is_cell(frame.filename, cells)), 1)


def _cell_around(cell: str, failing: int) -> str:
    """The cell, shortened to the whole lines around the failing one that fit into the limit."""
    if len(cell) <= MAX_CELL_CHARS:
        return cell.strip("\n")
    lines = [_cut(line, MAX_LINE_CHARS) for line in cell.splitlines()]
    first = last = min(max(failing, 1), len(lines)) - 1
    room = MAX_CELL_CHARS - len(lines[first])
    while True:
        before = len(lines[first - 1]) + 1 if first else room + 1
        after = len(lines[last + 1]) + 1 if last + 1 < len(lines) else room + 1
        if min(before, after) > room:
            break
        is_before = before <= room and (after > room or failing - 1 - first <= last - failing + 1)
        room -= before if is_before else after
        first, last = (first - 1, last) if is_before else (first, last + 1)
    head = [f"# … {first} lines before"] if first else []
    tail = [f"# … {len(lines) - last - 1} lines after"] if last + 1 < len(lines) else []
    return "\n".join([*head, *lines[first : last + 1], *tail])


def _causes(error: BaseException) -> Iterator[str]:
    """The error and its causes, one line each."""
    current: BaseException | None = error
    for number in range(MAX_CAUSES):
        if current is None:
            return
        words = "".join(traceback.format_exception_only(current)).strip()
        yield ("" if number == 0 else "which came from: ") + _cut(words, MAX_MESSAGE_CHARS)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def _describe_frames(error: BaseException, cells: dict[str, int]) -> Iterator[str]:
    """Frames of the user's code with their lines; frames of libraries are only counted."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [place for place, frame in enumerate(frames) if is_own(frame.filename, cells)]
    shown = own[-MAX_OWN_FRAMES:]
    places = range(own[0], len(frames)) if own else ()
    for is_shown, group in itertools.groupby(places, shown.__contains__):
        run = [frames[place] for place in group]
        if is_shown:
            yield from (_describe_frame(frame, cells) for frame in run)
        else:
            yield _count_frames(run)


def _is_cell(filename: str, cells: dict[str, int]) -> bool:
    return filename in cells or filename.startswith(_CELL_PREFIXES)


def is_own(filename: str, cells: dict[str, int]) -> bool:
    """Whether a file is a cell or a module of the user's own, not of a library."""
    if _is_cell(filename, cells):
        return True
    if filename.startswith("<") or any(part in filename for part in _LIBRARY_PARTS):
        return False
    paths = sysconfig.get_paths()
    return not filename.startswith((paths["stdlib"], paths["platstdlib"]))


def _describe_frame(frame: FrameSummary, cells: dict[str, int]) -> str:
    count = cells.get(frame.filename)
    place = "the cell" if frame.filename.startswith(_CELL_PREFIXES) else frame.filename
    if count is not None:
        place = f"In[{count}]"
    lines = linecache.getlines(frame.filename)
    failing = frame.lineno or 1
    first = max(1, failing - CONTEXT_LINES)
    around = [
        f"  {'>' if number == failing else ' '} {number:>3} | "
        + _cut(lines[number - 1].rstrip(), MAX_LINE_CHARS)
        for number in range(first, min(len(lines), failing + CONTEXT_LINES) + 1)
    ]
    return "\n".join([f"{place}, line {failing}, in {frame.name}:", *around])


def _count_frames(frames: list[FrameSummary]) -> str:
    names = dict.fromkeys(_library(frame.filename) for frame in frames)
    count = f"{len(frames)} frames" if len(frames) > 1 else "1 frame"
    return f"({count} of {', '.join(names)}, the last in {frames[-1].name})"


def _library(filename: str) -> str:
    for part in _LIBRARY_PARTS:
        if part in filename:
            rest = filename.rpartition(part)[2].lstrip("/\\")
            return rest.replace("\\", "/").partition("/")[0].removesuffix(".py")
    return "Python's own library"


def _cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else f"{text[:characters]} …"
