"""Tests of the usage log after a kill: it has every call whose row is in the journal."""

from __future__ import annotations

import contextlib
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time

import pytest

import ainb

BATCH = textwrap.dedent(
    """
    import sys
    import ainb

    home, rows = sys.argv[1], int(sys.argv[2])

    def watch(progress):
        print(progress.done, flush=True)

    with ainb.Session("scripted:echo", home=home, cache=None) as session:
        session.map((f"row {number}" for number in range(rows)), "{value}", watcher=watch)
    """
)
RECORDS = textwrap.dedent(
    """
    import os, signal, sys, threading
    import ainb

    home, where = sys.argv[1], sys.argv[2]
    if where == "own":
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
    session = ainb.Session("scripted:echo", home=home)
    for number in range(500):
        session.record(prompt=f"p {number}", reply="r", model="m")
    if where == "lock":  # the signal lands where a lock of the writer is held
        with session.log._writer._starting:
            os.kill(os.getpid(), signal.SIGTERM)
            threading.Event().wait(30)
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(30)
    """
)


def keys(home, name, table, column, where):
    with contextlib.closing(sqlite3.connect(home / name)) as file:
        return {row[0] for row in file.execute(f"SELECT {column} FROM {table} {where}")}  # noqa: S608 - of this file


def kill_a_batch(home, number, after):
    home.mkdir(mode=0o700)
    with subprocess.Popen(
        [sys.executable, "-c", BATCH, str(home), "100000"], stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout:
            if int(line) >= after:
                break
        time.sleep(random.Random(after).uniform(0, 0.05))
        process.send_signal(number)
        process.wait(20)
    return process.returncode


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("after", [1, 300, 1_500])
def test_every_row_of_the_journal_is_in_the_log(tmp_path, number, after):
    home = tmp_path / "home"

    assert kill_a_batch(home, number, after) == -number

    with ainb.Session("scripted:echo", home=home) as session:
        logged = set(session.usage()["row_key"].dropna())
    finished = keys(home, "journal.sqlite3", "rows", "row_key", "WHERE status = 'ok'")
    assert len(finished) >= after - 1
    assert finished <= logged


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_thirty_kills_leave_no_row_out_of_the_log(tmp_path, number):
    for trial in range(30):
        home = tmp_path / f"home{trial}"
        kill_a_batch(home, number, 37 * trial + 1)
        with ainb.Session("scripted:echo", home=home) as session:
            logged = set(session.usage()["row_key"].dropna())
        assert keys(home, "journal.sqlite3", "rows", "row_key", "WHERE status = 'ok'") <= logged


@pytest.mark.parametrize(
    ("where", "code"), [("plain", -signal.SIGTERM), ("lock", -signal.SIGTERM), ("own", 3)]
)
def test_sigterm_writes_what_is_queued_and_ends_the_process_as_it_should(tmp_path, where, code):
    home = tmp_path / "home"
    done = subprocess.run(
        [sys.executable, "-c", RECORDS, str(home), where],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == code, done.stderr
    with ainb.Session("scripted:echo", home=home) as session:
        assert len(session.usage()) == 500


def test_a_log_that_cannot_be_written_does_not_hold_the_batch_up(tmp_path):
    home = tmp_path / "home"
    with ainb.Session("scripted:echo", home=home, cache=None) as session:
        session.map(["first"], "{value}")
        with contextlib.closing(sqlite3.connect(home / "usage.sqlite3", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            frame = session.map([f"row {number}" for number in range(200)], "{value}")
            other.execute("ROLLBACK")

    assert (frame["status"] == "ok").all()
