"""Tests of ``03_batch.ipynb`` in a kernel that is killed halfway: a second run pays only for the rest.

A server on loopback replaces the local model. It answers at a steady pace, so that the notebook can be killed
halfway on a machine of any speed. It counts requests, and its model has a price, so that the usage log shows
which calls were paid.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress

import pandas as pd
import psutil
import pytest

import ainb
from tests.fault_server import Fault, FaultServer
from tests.python_path import python_path
from tests.test_notebooks import FOLDER

ROWS = 300
IN_FLIGHT = 8
PACE_SECONDS = 0.1
WAIT_SECONDS = 60
SHIPPED_MODEL = "local:smollm2"
PAID_MODEL = "openai:gpt-4o-mini"


def stand_in():
    """A plan of the fault server that answers each sentence with its human label."""
    reviews = pd.read_csv(FOLDER / "data" / "reviews.csv")
    labels = {
        text: "positive" if rating > 0 else "negative"
        for text, rating in zip(reviews["text"].str.strip(), reviews["rating"], strict=True)
    }

    def plan(seen):
        sentence = seen.body["messages"][-1]["content"].rpartition("\nSentence: ")[2].strip()
        return Fault(text=json.dumps({"label": labels[sentence]}), delay_seconds=PACE_SECONDS)

    return plan


@pytest.fixture
def laptop(tmp_path, monkeypatch):
    """A copy of the shipped notebook that uses the server's model, and a home that outlives the kernel."""
    (tmp_path / "data").symlink_to(FOLDER / "data")
    path = tmp_path / "03_batch.ipynb"
    shipped = (FOLDER / path.name).read_text("utf-8")
    assert shipped.count(SHIPPED_MODEL) >= 2
    path.write_text(shipped.replace(SHIPPED_MODEL, PAID_MODEL), "utf-8")
    with FaultServer(stand_in()) as server:
        settings = {
            "AINB_HOME": str(tmp_path / "home"), "AINB_NOTEBOOK": str(path), "AINB_REPLAY": "off",
            "AINB_RATE_LIMIT_CONCURRENCY": str(IN_FLIGHT), "OPENAI_API_KEY": "any", "OPENAI_BASE_URL": server.base_url,  # noqa: E501
            "PYTHONPATH": python_path(),
        }  # fmt: skip
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        yield path, server


def start(path):
    """Run the notebook in a new kernel and save it, as ``make notebooks`` does."""
    return subprocess.Popen(
        [sys.executable, FOLDER / "run.py", "--quiet", "--save", path],
        cwd=path.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def journal_rows(home):
    """Number of rows of the notebook's run in the journal; 0 without a journal."""
    path = home / "journal.sqlite3"
    if not path.exists():
        return 0
    with (
        suppress(sqlite3.OperationalError),
        closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as file,
    ):
        return int(file.execute("SELECT count(*) FROM rows").fetchone()[0])
    return 0


def run_and_kill(path, at_rows):
    """Run the notebook and kill its kernel as soon as the journal has that many rows."""
    with start(path) as runner:
        end = time.monotonic() + WAIT_SECONDS
        while (
            journal_rows(path.parent / "home") < at_rows and runner.poll() is None and time.monotonic() < end
        ):
            time.sleep(0.01)
        (kernel,) = psutil.Process(runner.pid).children()
        kernel.kill()
        said, _ = runner.communicate(timeout=WAIT_SECONDS)
    assert "DeadKernelError" in said, said


def test_the_notebook_killed_half_way_finishes_on_its_second_run_and_pays_only_for_the_rest(laptop, tmp_path):
    path, server = laptop
    home = tmp_path / "home"

    run_and_kill(path, at_rows=ROWS // 2)
    kept, sent = journal_rows(home), server.hits
    with start(path) as runner:
        said, _ = runner.communicate(timeout=WAIT_SECONDS)

    assert runner.returncode == 0, said
    assert ROWS // 2 <= kept < ROWS
    assert sent <= kept + IN_FLIGHT
    with ainb.Session("scripted:echo", home=home) as session:
        runs = session.runs()
        usage = session.usage()
    run = runs.sort_values("started_at").iloc[0]
    assert (run["done"], run["failed"]) == (ROWS, 0)
    assert pd.notna(run["finished_at"])
    second = usage[usage["session_id"] == usage["session_id"].iloc[-1]]
    paid = second[~second["cache_hit"]]
    assert len(paid) == server.hits - sent
    assert (paid["cost_usd"] > 0).all()
    assert ROWS - kept - IN_FLIGHT <= len(paid) <= ROWS - kept
    assert server.hits <= ROWS + IN_FLIGHT
    assert "{'ok': 300" in path.read_text("utf-8")
