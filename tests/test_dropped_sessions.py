"""Tests of sessions that are not closed: garbage collection frees their threads and files."""

from __future__ import annotations

import gc
import sys
import threading
import time
from pathlib import Path

import pytest

import ainb
from tests.fault_server import FaultServer

PATIENCE_SECONDS = 30.0
# Allowance for a writer thread that is about to end, and for its open files.
SPARE_THREADS, SPARE_FILES = 2, 8

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="counts open files in /proc")


def held():
    gc.collect()
    return threading.active_count(), sum(1 for _ in Path("/proc/self/fd").iterdir())


def stays_flat(open_and_use, first, count):
    """Whether the sessions from `first` to `count` leave no additional threads and files behind."""
    for number in range(first):
        open_and_use(number)
    threads, files = held()
    for number in range(first, count):
        open_and_use(number)
        if number % 50 == 0:
            held()
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        now = held()
        if now[0] <= threads + SPARE_THREADS and now[1] <= files + SPARE_FILES:
            return True
        if time.monotonic() > until:
            print(f"{threads} threads and {files} files after {first} sessions, {now} after {count}")
            return False
        time.sleep(0.1)


@pytest.fixture(autouse=True)
def threads_that_wait_for_more(monkeypatch):
    """Keep idle threads alive: they end within seconds by default, which would hide a leak."""
    monkeypatch.setattr("ainb.stores.disk.write_queue.IDLE_SECONDS", 3_600.0)


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "made-up")


def test_500_sessions_that_ask_and_are_dropped(tmp_path):
    def use(number):
        session = ainb.Session("scripted:echo", home=tmp_path, budget=ainb.Budget(usd=9, per="day"))
        assert session.ask(f"question {number}").text == f"question {number}"

    assert stays_flat(use, 20, 500)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"cache": None},
        {"cache": "memory"},
        {"replay": "record"},
        {"budget": ainb.Budget(usd=9, per="user")},
    ],
    ids=["usual", "no cache", "memory", "record", "budget"],
)
def test_sessions_with_batches_over_http_are_dropped(tmp_path, monkeypatch, options):
    (tmp_path / "nb.ipynb").write_text("{}")
    monkeypatch.setenv("AINB_NOTEBOOK", str(tmp_path / "nb.ipynb"))
    monkeypatch.chdir(tmp_path)
    given = dict(options)
    if given.get("cache") == "memory":
        given["cache"] = ainb.Cache(where="memory")
    with FaultServer(record=False) as server:
        config = ainb.Config(**given)

        def use(number):
            session = ainb.Session(
                "openai:gpt-4o", home=tmp_path / "home", api_base=server.base_url, config=config
            )
            session.ask(f"question {number}", user="ann")
            assert len(session.map([f"a {number}", f"b {number}"], "{value}")) == 2

        assert stays_flat(use, 5, 25)


def test_a_session_that_is_dropped_in_the_middle_of_a_batch_ends_it_and_frees_all(tmp_path):
    with FaultServer(record=False, delay_seconds=0.05) as server:

        def use(number):
            session = ainb.Session("openai:gpt-4o", home=tmp_path, api_base=server.base_url)
            job = session.submit_map([f"{number}/{row}" for row in range(6)], "{value}")
            del session
            assert len(job.result()) == 6

        assert stays_flat(use, 5, 20)


def test_what_a_dropped_session_was_writing_is_written(tmp_path):
    for number in range(10):
        ainb.Session("scripted:echo", home=tmp_path).ask(f"question {number}")
    gc.collect()
    with ainb.Session("scripted:echo", home=tmp_path) as session:
        replies = [session.ask(f"question {number}") for number in range(10)]
        assert len(session.usage()) == 20

    assert all(reply.cached for reply in replies)
