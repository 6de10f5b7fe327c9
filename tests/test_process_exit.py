"""Tests of process exit without closed sessions: rows are written, threads end, and the process exits."""

from __future__ import annotations

import contextlib
import gc
import sqlite3
import subprocess
import sys
import threading
import weakref

import pytest

import ainb
from ainb.pipeline.budget.options import Budget
from ainb.stores.disk import write_queue as write_line
from ainb.usage.log import writer

HANG_SECONDS = 120

PROGRAM = """
import ainb

def upper(prompt, **parameters):
    return prompt.upper()

sessions = []
for number in range(50):
    session = ainb.Session("scripted:echo", home=f"{HOME}/{number % 5}", budget=ainb.Budget(usd=5, per="day", hard=False))
    assert session.ask(f"hello {number}").text
    sessions.append((session, session.guard(model="mine")(upper)))
assert sessions[0][1]("x") == "X"
list(sessions[1][0].map(["a", "b"], "say {value}")["reply"])
"""  # noqa: E501


def run(program, home):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program.replace("{HOME}", str(home))],
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
    )


def rows(home):
    with contextlib.closing(sqlite3.connect(home / "usage.sqlite3")) as connection:
        return connection.execute("SELECT count(*) FROM calls").fetchone()[0]


def test_a_process_that_closes_no_session_exits_cleanly_with_every_row_kept(tmp_path):
    finished = run(PROGRAM, tmp_path)

    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")
    assert sum(rows(tmp_path / str(number)) for number in range(5)) == 50 + 1 + 2
    for number in range(5):
        with contextlib.closing(sqlite3.connect(tmp_path / str(number) / "cache" / "cache.db")) as connection:
            # Not every answer: if the file is locked for 50 ms, the answer stays in memory.
            assert connection.execute("SELECT count(*) FROM Cache").fetchone()[0] > 0
    assert not [*tmp_path.rglob("*-wal"), *tmp_path.rglob("*.lock")]


LOCKED = """
import sqlite3
import ainb

held = []
for number in range(8):
    session = ainb.Session("scripted:echo", home=f"{HOME}/{number}")
    session.ask("one")
    session.log.flush()
    for file in ("usage.sqlite3", "cache/cache.db"):
        held.append(sqlite3.connect(f"{HOME}/{number}/{file}", isolation_level=None))
        held[-1].execute("BEGIN IMMEDIATE")
    session.ask("two")
    held.append(session)
"""


def test_a_process_whose_files_are_locked_by_another_exits_all_the_same(tmp_path):
    finished = run(LOCKED, tmp_path)

    assert finished.returncode == 0, finished.stderr
    assert [rows(tmp_path / str(number)) for number in range(8)] == [1] * 8


def test_a_session_that_is_forgotten_ends_its_threads_and_closes_its_files(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "IDLE_SECONDS", 0.05)
    monkeypatch.setattr(write_line, "IDLE_SECONDS", 0.05)
    before = set(threading.enumerate())
    session = ainb.Session("scripted:echo", budget=Budget(usd=5, per="day", hard=False), home=tmp_path)
    session.ask("x")
    session.guard(model="mine")(lambda text: text.upper())("x")
    started = set(threading.enumerate()) - before
    names = {thread.name.rstrip("_0123456789") for thread in started}
    stages = weakref.ref(session.core.stages)

    del session
    gc.collect()
    for thread in started:
        if thread.name != "ainb-engine" and not thread.name.startswith("asyncio"):
            thread.join(HANG_SECONDS)
    gc.collect()

    assert {"ainb-usage", "ainb-cache-writer", "ainb-function"} <= names
    assert stages() is None
    assert {thread.name for thread in started if thread.is_alive()} <= {"ainb-engine", "asyncio"}
    assert rows(tmp_path) == 2
    assert not list(tmp_path.rglob("*-wal"))


def test_a_closed_session_leaves_neither_thread_nor_open_file(tmp_path):
    before = set(threading.enumerate())
    with ainb.Session("scripted:echo", budget=Budget(usd=5, per="day", hard=False), home=tmp_path) as session:
        session.ask("x")
        session.guard(model="mine")(lambda text: text.upper())("x")
        session.map(["a", "b"], "say {value}")
        workers = [thread for thread in set(threading.enumerate()) - before if "function" in thread.name]
    for thread in workers:
        thread.join(HANG_SECONDS)

    left = {thread.name for thread in set(threading.enumerate()) - before}
    assert not [name for name in left if name != "ainb-engine" and not name.startswith("asyncio")]
    assert not list(tmp_path.rglob("*-wal"))


@pytest.mark.parametrize("round_number", range(3))
def test_a_writer_that_went_idle_takes_the_next_row(tmp_path, monkeypatch, round_number):
    monkeypatch.setattr(writer, "IDLE_SECONDS", 0.0)
    with ainb.Session("scripted:echo", cache=None, home=tmp_path) as session:
        for number in range(30):
            session.ask(f"x {number}")
            if number % 7 == round_number:
                thread = session.log._writer._thread
                if thread is not None:
                    thread.join(HANG_SECONDS)

    assert rows(tmp_path) == 30
