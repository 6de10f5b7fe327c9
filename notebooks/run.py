"""Run notebooks headless and print the outputs of their cells.

    python notebooks/run.py [--quiet] [--save] NOTEBOOK...

The notebook files are changed only with ``--save``. ``AINB_REPLAY=record`` records the replies; ``replay``
needs no model. The exit status is 1 if a cell without the tag ``raises-exception`` fails.
"""

from __future__ import annotations

import argparse
import copy
import os
import shutil
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from ainb.clock import SYSTEM_CLOCK

CELL_TIMEOUT_SECONDS = 300


def run(path: Path) -> nbformat.NotebookNode:
    """Execute a notebook in its own folder and return it with its outputs."""
    notebook = nbformat.read(path, as_version=4)
    metadata = copy.deepcopy(notebook.metadata)
    os.environ["AINB_NOTEBOOK"] = str(path.absolute())  # its cassette is beside it
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT_SECONDS,
        resources={"metadata": {"path": str(path.parent)}},
        record_timing=False,
        extra_arguments=["--IPKernelApp.log_level=ERROR"],  # newer kernels warn of their own loopback sockets
        coalesce_streams=True,
    )
    client.execute()
    notebook.metadata = metadata  # drops the versions of this machine
    return notebook


def why_skipped(path: Path) -> str | None:
    """Why the notebook cannot run here: a missing program (``ainb.needs`` in its metadata); else None."""
    program = nbformat.read(path, as_version=4).metadata.get("ainb", {}).get("needs")
    if program is None or shutil.which(program) is not None:
        return None
    return f"it needs {program}, which is not installed"


def text_of(output: nbformat.NotebookNode) -> str:
    """The text of one output as in a terminal."""
    if output.output_type == "stream":
        return str(output.text).rstrip()
    if output.output_type == "error":
        return "\n".join(output.traceback)
    return str(output.data.get("text/plain", "")).rstrip()


def print_cells(notebook: nbformat.NotebookNode) -> None:
    """Print every code cell, indented after a bar, and its outputs below."""
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        print("\n" + "\n".join(f"  | {line}" for line in cell.source.splitlines()))
        for output in cell.outputs:
            print("\n".join(f"  {line}" for line in text_of(output).splitlines()))


def main() -> int:
    """Run the given notebooks; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quiet", action="store_true", help="print one line a notebook")
    parser.add_argument("--save", action="store_true", help="keep the outputs in the notebook files")
    parser.add_argument("notebooks", nargs="+", type=Path)
    arguments = parser.parse_args()
    os.environ.setdefault("AINB_DISPLAY", "static")
    for path in arguments.notebooks:
        if reason := why_skipped(path):
            print(f"{path}: skipped, {reason}")
            continue
        started = SYSTEM_CLOCK.monotonic()
        try:
            notebook = run(path)
        except CellExecutionError as error:
            print(f"{path} failed: {error}", file=sys.stderr)
            return 1
        if arguments.save:
            nbformat.write(notebook, path)
        if arguments.quiet:
            cells = sum(cell.cell_type == "code" for cell in notebook.cells)
            print(f"{path}: {cells} cells ran in {SYSTEM_CLOCK.monotonic() - started:.0f} s")
        else:
            print_cells(notebook)
    return 0


if __name__ == "__main__":
    sys.exit(main())
