"""Forks while the engine's loop, its jobs and imports on it are under way."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading

import pytest

from ainb.engine import ENGINE
from ainb.errors import AinbError
from tests.forks import FORKS, elsewhere, end_of, in_child, start_child

pytestmark = FORKS


async def value(number):
    await asyncio.sleep(0)
    return number


def test_a_child_runs_work_while_the_parents_loop_is_busy():
    jobs = [ENGINE.submit(asyncio.sleep(0.01 * number)) for number in range(20)]

    codes = [in_child(lambda: os._exit(ENGINE.run(value(7)))) for _ in range(5)]

    assert codes == [7] * 5
    for job in jobs:
        job.result(30)


def test_a_module_that_the_loop_was_importing_is_complete_in_the_child(tmp_path, monkeypatch):
    began = threading.Event()
    monkeypatch.setattr("builtins.loop_import_began", began, raising=False)
    (tmp_path / "imported_on_the_loop.py").write_text(
        "import builtins, time\nbuiltins.loop_import_began.set()\ntime.sleep(0.3)\nVALUE = 7\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))

    async def load():
        import imported_on_the_loop

        return imported_on_the_loop.VALUE

    job = ENGINE.submit(load())
    assert began.wait(30)
    assert in_child(lambda: os._exit(ENGINE.run(load()))) == 7
    assert job.result(30) == 7


def test_a_loop_that_is_blocked_delays_a_fork_and_does_not_prevent_it(monkeypatch):
    monkeypatch.setattr("ainb.fork.PAUSE_SECONDS", 0.1)
    began, ended = threading.Event(), threading.Event()

    async def block():
        began.set()
        ended.wait(60)

    job = ENGINE.submit(block())
    assert began.wait(30)
    try:
        assert in_child(lambda: os._exit(ENGINE.run(value(7)))) == 7
    finally:
        ended.set()
    job.result(30)
    assert ENGINE.run(value(8)) == 8


def test_code_on_the_loop_itself_may_fork():
    async def work():
        child = start_child(lambda: os._exit(ENGINE.run(value(7))))
        return end_of(child)

    assert ENGINE.run(work()) == 7
    assert ENGINE.run(value(8)) == 8


def test_a_job_of_the_parent_fails_in_the_child_also_when_its_lock_was_held():
    ended = threading.Event()

    async def until_ended():
        return await asyncio.to_thread(ended.wait, 60)

    job = ENGINE.submit(until_ended())

    def work():
        with pytest.raises(AinbError, match="loop thread has ended"):
            job.result()

    with elsewhere(job._future._condition):
        assert in_child(work) == 0
    ended.set()
    assert job.result(30)


FIRST_CALL = """
import os, signal, threading, time, warnings
warnings.simplefilter("ignore")
import ainb
os.environ["OPENAI_API_KEY"] = "made-up"
from tests.fault_server import FaultServer
with FaultServer(record=False) as server:
    budget = ainb.Budget(usd=1, per="day")
    session = ainb.Session("openai:gpt-4o", home={home!r}, api_base=server.base_url, budget=budget)
    texts = []
    thread = threading.Thread(target=lambda: texts.append(session.ask("first in the parent").text))
    thread.start()
    time.sleep({delay})
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        ok = session.ask("first in the child").text == "first in the child"
        session.close()
        os._exit(0 if ok else 1)
    print("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    thread.join()
    print("parent ok" if texts == ["first in the parent"] else texts, flush=True)
    session.close()
"""


@pytest.mark.parametrize("delay", [0.0, 0.01, 0.05, 0.2, 0.5])
def test_a_child_that_is_forked_during_the_first_call_of_a_process_can_call(tmp_path, delay):
    """In a process of its own: the first call imports adapters, prices and vocabularies."""
    text = FIRST_CALL.format(home=str(tmp_path), delay=delay)
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, timeout=90, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "child 0\nparent ok\n", "")
