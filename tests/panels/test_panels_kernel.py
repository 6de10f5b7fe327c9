"""Tests of panels in notebooks that run in real kernels."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from tests.python_path import python_path

ROOT = Path(__file__).parents[2]
SANITIZE = ROOT / "notebooks" / "sanitize.cfg"
CELL_SECONDS = 180
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
CELLS = [
    """import os, tempfile
os.environ["AINB_HOME"] = tempfile.mkdtemp()
%load_ext ainb
import pandas as pd
from ainb.testing import script
%config Ainb.prices = {"echo": {"input_usd_per_million": 100, "output_usd_per_million": 200}}
%config Ainb.retry = False
script("down", [503])
frame = pd.DataFrame({"review": [f"review {number} <b>x</b>" for number in range(6)]})""",
    "%%ai scripted:echo --each frame --into labels\nLabel: {review}",
    """import datetime as dt, ainb
session = ainb.current()
try:
    session.ask("hello", model="scripted:down")
except ainb.AinbError as error:
    print(error)""",
    "%ai panel",
    "%ai panel cost",
    "%ai panel errors",
    "ainb.panel('batch')",
    "from ainb.panels.output.live import stop_all\nstop_all()",
]


class Watched(NotebookClient):
    """Runs a notebook as a front end that can answer input requests."""

    async def async_start_new_kernel_client(self, **kwargs):
        client = await super().async_start_new_kernel_client(**kwargs)
        client.allow_stdin = True
        return client


def run(client: type[NotebookClient], display: str, folder: Path) -> nbformat.NotebookNode:
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = new_notebook(
        cells=[new_code_cell(source.replace("\\\n", "\n")) for source in CELLS],
        metadata={"kernelspec": kernel},
    )
    environment = {**os.environ, "AINB_DISPLAY": display, "PYTHONPATH": python_path()}
    done = client(notebook, timeout=CELL_SECONDS, resources={"metadata": {"path": str(folder)}})
    done.execute(env=environment)
    return notebook


def outputs(notebook, cell: int) -> list[list[str]]:
    return [
        sorted(output.get("data", {}))
        for output in notebook.cells[cell].outputs
        if output.output_type != "stream"
    ]


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory):
    """The same notebook, run with and without an interactive front end."""
    folder = tmp_path_factory.mktemp("notebooks")
    ran = {
        "auto": run(Watched, "auto", folder),
        "static": run(NotebookClient, "static", folder),
    }
    for name, notebook in ran.items():
        nbformat.write(notebook, folder / f"{name}.ipynb")
    return folder, ran


@pytest.mark.parametrize("mode", ["auto", "static"])
def test_every_panel_ends_as_text_and_html_without_a_widget(notebooks, mode):
    _, ran = notebooks
    notebook = ran[mode]

    assert WIDGET_VIEW not in nbformat.writes(notebook)
    for cell in (1, 3, 4, 5, 6):
        assert outputs(notebook, cell)[0] == ["text/html", "text/plain"], cell
    html = "".join(
        output.data["text/html"]
        for cell in (1, 3, 4, 5)
        for output in notebook.cells[cell].outputs
        if "data" in output and "text/html" in output.data
    )
    assert "6 of 6 rows" in html
    assert "503 server fault" in html
    assert "scripted:echo" in html


def test_only_the_static_one_leaves_out_what_differs_from_run_to_run(notebooks):
    _, ran = notebooks

    texts = {
        mode: "".join(
            output.data["text/html"]
            for cell in notebook.cells
            for output in cell.outputs
            if "text/html" in output.get("data", {})
        )
        for mode, notebook in ran.items()
    }
    assert "rows/s" in texts["auto"]
    assert "rows/s" not in texts["static"]
    assert 'class="run"></span>' in texts["static"]


def test_strict_nbval_passes_in_static_display_whichever_mode_wrote_the_notebook(notebooks):
    folder, ran = notebooks

    command = [
        *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--nbval", "--nbval-current-env"),
        *(
            "--nbval-sanitize-with",
            str(SANITIZE),
            f"--nbval-cell-timeout={CELL_SECONDS}",
            "-q",
            "-c",
            os.devnull,
        ),
        *(str(folder / f"{mode}.ipynb") for mode in ran),
    ]
    environment = {**os.environ, "AINB_DISPLAY": "static", "PYTHONPATH": python_path()}
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=600, check=False
    )

    assert done.returncode == 0, done.stdout[-4000:]
    assert f"{len(CELLS) * len(ran)} passed" in done.stdout
