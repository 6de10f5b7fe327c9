"""Tests of sessions in processes that are stopped for longer than their deadlines, and in forked workers."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ProcessPoolExecutor

import pytest

import ainb
from tests.fault_server import Fault, FaultServer

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="signals and forks of POSIX")

BATCH = textwrap.dedent(
    """
    import json, sys
    import ainb

    home, url, rows = sys.argv[1], sys.argv[2], int(sys.argv[3])
    config = ainb.Config(
        deadline=ainb.Deadline(timeout_seconds=4.0, attempt_seconds=3.0),
        budget=ainb.Budget(usd=5, per="day"),
        retry=ainb.Retry(attempts=2, base_seconds=0.01),
        cache=None,
    )
    with ainb.Session("openai:gpt-4o", home=home, api_base=url, config=config) as session:
        print("ready", flush=True)
        frame = session.map([f"row {number}" for number in range(rows)], "{value}", concurrency=4)
        print(json.dumps(frame["status"].value_counts().to_dict()), flush=True)
        print(json.dumps(sorted(frame["error_type"].dropna().unique())), flush=True)
        print(session.ask("after").text, flush=True)
    """
)


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "made-up")


@pytest.mark.parametrize("hits", [1, 40])
def test_a_batch_that_is_stopped_for_longer_than_its_deadlines_goes_on(tmp_path, hits):
    with FaultServer(plan=lambda _seen: Fault(delay_seconds=0.05)) as server:
        command = [sys.executable, "-c", BATCH, str(tmp_path), server.base_url, "60"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert server.wait_for_hits(hits, 60)
            process.send_signal(signal.SIGSTOP)
            time.sleep(5)
            process.send_signal(signal.SIGCONT)
            out, _ = process.communicate(timeout=60)
        lines = out.splitlines()
        budget = ainb.Budget(usd=5, per="day")
        with ainb.Session("openai:gpt-4o", home=tmp_path, api_base=server.base_url, budget=budget) as session:
            reserved = session.budget_status()[0].reserved_usd
            rows = len(session.usage())

    assert process.returncode == 0
    counts = json.loads(lines[1])
    assert sum(counts.values()) == 60
    # Only calls that were in flight when the process was stopped may have timed out.
    assert counts["ok"] >= 60 - 8, out
    assert set(json.loads(lines[2])) <= {"DeadlineExceededError", "TransientProviderError"}
    assert lines[3] == "after"
    assert reserved == 0
    assert rows == 61


def ask_in_child(question):
    """Ask with the parent's session, which the fork has copied."""
    return SESSION.ask(question).text, os.getpid()


def ask_in_session_of_its_own(home, url, question):
    with ainb.Session("openai:gpt-4o", home=home, api_base=url) as session:
        return session.ask(question).text, os.getpid()


SESSION = None


@pytest.fixture
def shared(tmp_path):
    global SESSION  # noqa: PLW0603 - forked workers find it here
    with FaultServer(plan=lambda _seen: Fault(delay_seconds=0.01)) as server:
        budget = ainb.Budget(usd=5, per="day")
        SESSION = ainb.Session("openai:gpt-4o", home=tmp_path, api_base=server.base_url, budget=budget)
        SESSION.ask("before")
        yield SESSION, server
        SESSION.close()
        SESSION = None


def test_forked_workers_use_the_session_of_their_parent(shared):
    session, server = shared
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(3, mp_context=context) as pool:
        found = list(pool.map(ask_in_child, [f"question {number}" for number in range(12)]))
    assert session.ask("after").text == "after"
    spent = session.budget_status()[0]

    assert [text for text, _ in found] == [f"question {number}" for number in range(12)]
    assert os.getpid() not in {process for _, process in found}
    assert server.hits == 14
    assert len(session.usage()) == 14
    assert spent.reserved_usd == 0
    assert abs(float(spent.spent_usd) - session.usage()["cost_usd"].sum()) < 1e-9


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_workers_that_are_forked_while_other_threads_of_the_parent_ask(shared):
    session, server = shared
    is_over, asked = threading.Event(), []

    def ask(name):
        while not is_over.is_set():
            asked.append(session.ask(f"{name} {len(asked)}").text)

    threads = [threading.Thread(target=ask, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    found = []
    for turn in range(5):
        with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("fork")) as pool:
            jobs = [pool.submit(ask_in_child, f"{turn}/{number}") for number in range(6)]
            found += [job.result(60)[0] for job in jobs]
    is_over.set()
    for thread in threads:
        thread.join(60)
    rows = session.usage()

    assert found == [f"{turn}/{number}" for turn in range(5) for number in range(6)]
    assert len(rows) == 1 + len(found) + len(asked)
    assert session.budget_status()[0].reserved_usd == 0
    assert abs(float(session.budget_status()[0].spent_usd) - rows["cost_usd"].sum()) < 1e-9
    assert server.hits == len(rows)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_with_sessions_of_their_own_share_the_home(tmp_path, method):
    with FaultServer(plan=lambda _seen: Fault(delay_seconds=0.01)) as server:
        context = multiprocessing.get_context(method)
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            jobs = [
                pool.submit(ask_in_session_of_its_own, tmp_path, server.base_url, f"question {number % 5}")
                for number in range(10)
            ]
            found = [job.result(60) for job in jobs]
        with ainb.Session("openai:gpt-4o", home=tmp_path, api_base=server.base_url) as session:
            rows = session.usage()

    assert [text for text, _ in found] == [f"question {number % 5}" for number in range(10)]
    assert len(rows) == 10
    assert server.hits <= 10


def test_joblib_workers_use_sessions(tmp_path):
    joblib = pytest.importorskip("joblib")
    with FaultServer(plan=lambda _seen: Fault(delay_seconds=0.01)) as server:
        for backend in ("threading", "multiprocessing"):
            found = joblib.Parallel(n_jobs=2, backend=backend)(
                joblib.delayed(ask_in_session_of_its_own)(tmp_path, server.base_url, f"{backend} {number}")
                for number in range(6)
            )
            assert [text for text, _ in found] == [f"{backend} {number}" for number in range(6)]
        assert server.hits == 12
