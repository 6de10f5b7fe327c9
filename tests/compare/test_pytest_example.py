"""Tests of the pytest example in the notebook: it replays the cassette and fails below the bound."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tests.python_path import python_path

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / "07_compare.ipynb"
WAIT_SECONDS = 180


def example():
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    return re.search(
        r"```python\n(# test_labels\.py.*?)```", "\n".join(cell.source for cell in cells), re.DOTALL
    )[1]


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        (("", ""), 0, "1 passed"),
        (
            ("LEAST = 0.70", "LEAST = 0.80"),
            1,
            "| prompt | local:smollm2 | 300 | 0 | 0 | 0.823 (0.776 to 0.862) |",
        ),
        (
            ("as positive or negative", "as good or bad"),
            1,
            "no record of this request in 07_compare.ainb.jsonl",
        ),
    ],
    ids=["recorded", "below the bound", "a changed prompt"],
)
def test_the_example_passes_fails_below_the_bound_and_tells_a_prompt_that_was_not_recorded(
    tmp_path, change, code, said
):
    shutil.copytree(NOTEBOOK.parent / "data", tmp_path / "data")
    shutil.copy(NOTEBOOK.with_name("07_compare.ainb.jsonl"), tmp_path)
    (tmp_path / "test_labels.py").write_text(example().replace(*change), encoding="utf-8")
    environment = os.environ | {
        "PYTHONPATH": python_path(),
        "AINB_MODEL_DIR": str(tmp_path / "models"),
        "AINB_HOME": str(tmp_path / "home"),
    }

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_labels.py"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=WAIT_SECONDS, check=False,
    )  # fmt: skip

    assert done.returncode == code, done.stdout + done.stderr
    assert said in done.stdout
    assert not (tmp_path / "home").exists()
