"""Tests of resuming a stopped or killed batch: no acknowledged row is lost, only rows in flight are
repeated."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time

import pandas as pd
import pytest

import ainb
from ainb.batch import BatchInterrupted
from ainb.testing import Step, script
from tests.fault_server import Fault, FaultServer

ROWS = 240
IN_FLIGHT = 8
RUN = (
    textwrap.dedent(
        """
    import json, sys
    import ainb

    base_url, home, rows = sys.argv[1], sys.argv[2], int(sys.argv[3])

    def watch(progress):
        print(json.dumps([progress.done, progress.resumed, progress.state]), flush=True)

    session = ainb.Session("ollama:m", home=home, api_base=base_url, cache=None)
    frame = session.map([f"row {n}" for n in range(rows)], "{value}", concurrency=%d, watcher=watch)
    print(json.dumps(["end", frame["reply"].tolist()]), flush=True)
    session.close()
    """
    )
    % IN_FLIGHT
)


def start(server, home):
    return subprocess.Popen(
        [sys.executable, "-c", RUN, server.base_url, str(home), str(ROWS)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def follow(process, stop_at, pause_seconds):
    """Read progress until the end, and kill the process soon after `stop_at` acknowledged rows.

    Returns the numbers of acknowledged and resumed rows, and the replies; None if it was killed."""
    acknowledged = resumed = 0
    replies = None
    with process:
        for line in process.stdout:
            if not line.endswith("\n"):
                break
            first, second, *state = json.loads(line)
            if first == "end":
                replies = second
                break
            if (
                state == ["finished"] and stop_at <= ROWS
            ):  # it finished before the kill; the next run starts from the beginning
                raise TooQuickError
            acknowledged, resumed = max(acknowledged, first), max(resumed, second)
            if acknowledged >= stop_at:
                time.sleep(pause_seconds)
                process.kill()
    return acknowledged, resumed, replies


class TooQuickError(Exception):
    """The batch ended before it was killed."""


def run_with_kills(tmp_path, kills, seed):
    rng = random.Random(seed)
    acknowledged = 0
    with FaultServer(plan=lambda _seen: Fault(delay_seconds=0.08)) as server:
        for _ in range(kills):
            stop_at = min(acknowledged + rng.randint(1, 20), ROWS // 2)
            now, resumed, replies = follow(start(server, tmp_path), stop_at, rng.uniform(0, 0.1))
            assert replies is None
            assert resumed >= min(acknowledged, now)
            acknowledged = max(acknowledged, now)
        _, resumed, replies = follow(start(server, tmp_path), ROWS * 2, 0)
        assert resumed >= acknowledged
        return server.hits, replies


def check_kills(tmp_path, kills, seed):
    try:
        hits, replies = run_with_kills(tmp_path, kills, seed)
    except TooQuickError:
        return False

    assert replies == [f"row {number}" for number in range(ROWS)]
    assert hits <= ROWS + kills * IN_FLIGHT
    return True


def test_a_killed_batch_goes_on_and_pays_only_for_what_was_in_flight(tmp_path):
    # The second seed is needed only if a batch of the first finished before its kill.
    assert any(check_kills(tmp_path / str(seed), kills=5, seed=seed) for seed in range(2))


@pytest.mark.slow
def test_200_kills_lose_nothing(tmp_path):
    assert sum([check_kills(tmp_path / str(seed), kills=5, seed=100 + seed) for seed in range(40)]) >= 20


def test_an_interrupt_keeps_what_is_done_and_says_how_to_go_on(tmp_path):
    played = script("slow", [Step(delay_seconds=0.05)])
    words = [f"w{number}" for number in range(200)]
    with ainb.Session("scripted:slow", home=tmp_path, cache=None) as session:
        threading.Timer(0.7, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(BatchInterrupted) as caught:
            session.map(words, "{value}", concurrency=4)
        frame = caught.value.frame
        done = int((frame["status"] == "ok").sum())

        assert 0 < done < 200
        assert set(frame["status"]) == {"ok", "cancelled"}
        assert caught.value._render_traceback_() == [
            f"stopped by you: {done} of 200 rows done, run the cell again to continue"
        ]
        pd.testing.assert_frame_equal(session.last_map, frame)
        again = session.map(words, "{value}", concurrency=64)
    assert (again["status"] == "ok").all()
    assert played.played <= 200 + 4


def test_the_calls_of_a_resumed_run_belong_to_it(tmp_path):
    def rows():
        yield "one"
        raise OSError("the source broke")

    with ainb.Session("scripted:echo", home=tmp_path, cache=None) as session:
        with pytest.raises(OSError, match="the source broke"):
            session.map(rows(), "{value}")
        session.map(["one", "two", "three"], "{value}")

        runs = session.runs()
        assert runs["run_id"].size == 1
        assert session.usage()["batch_id"].tolist() == runs["run_id"].tolist() * 3


def test_a_finished_run_starts_anew_and_resume_false_forces_it(tmp_path):
    played = script("count", ["x"])
    with ainb.Session("scripted:count", home=tmp_path, cache=None) as session:
        session.map(["a", "b"], "{value}")
        session.map(["a", "b"], "{value}")
        assert played.played == 4
        assert len(session.runs()) == 2


def test_a_changed_prompt_is_another_row_and_another_template_another_run(tmp_path):
    with ainb.Session("scripted:echo", home=tmp_path) as session:
        session.map(["a"], "{value}")
        session.map(["a"], "now {value}")
        session.map(["a"], "{value} {mood}", names={"mood": "glad"})
        session.map(["a"], "{value} {mood}", names={"mood": "sad"})
        runs = session.runs()

    assert len(runs) == 4
    assert runs["finished_at"].notna().all()
    assert list(runs["done"]) == [1] * 4


def test_a_journal_that_cannot_be_used_costs_the_resuming_and_one_line(tmp_path):
    events = []
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "journal.sqlite3").write_bytes(b"not a database" * 100)
    runtime = ainb.assembly.Runtime(sink=events.append)
    with ainb.Session("scripted:echo", home=home, runtime=runtime) as session:
        frame = session.map(["a"], "{value}")

    assert list(frame["reply"]) == ["a"]
    assert len([event for event in events if getattr(event, "kind", "") == "journal"]) == 1


def test_a_tampered_journal_row_is_run_again(tmp_path):
    script("count", [*["x"] * 3, Step(hang=True)])
    with ainb.Session("scripted:count", home=tmp_path, cache=None) as session:
        job = session.submit_map([f"{number}" for number in range(9)], "{value}", concurrency=1)
        deadline = time.monotonic() + 20
        while len(session.usage()) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.2)
        job.cancel()
        job.wait(10)
        with sqlite3.connect(tmp_path / "journal.sqlite3") as journal:
            changed = journal.execute("UPDATE rows SET outcome = '[\"ok\", 1]'").rowcount
        journal.close()
        script("count", ["fresh"])
        frame = session.map([f"{number}" for number in range(9)], "{value}")

    assert changed == 3
    assert (frame["reply"] == "fresh").all()


def test_the_journal_is_for_its_owner_alone(tmp_path):
    with ainb.Session("scripted:echo", home=tmp_path / "home") as session:
        session.map(["a"], "{value}")
        modes = {path.name: oct(path.stat().st_mode & 0o777) for path in (tmp_path / "home").iterdir()}

    assert modes["journal.sqlite3"] == "0o600"
    assert oct((tmp_path / "home").stat().st_mode & 0o777) == "0o700"
