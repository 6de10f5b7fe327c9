"""Tests of the engine: the thread of the event loop, and jobs on it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from ainb.engine import Engine
from ainb.errors import AinbError, CallInterrupted


@pytest.fixture
def engine():
    made = Engine()
    yield made
    made.shutdown()


async def _value(value):
    await asyncio.sleep(0)
    return value


async def _for_ever(started=None, stopped=None):
    try:
        if started:
            started.set()
        await asyncio.sleep(3600)
    finally:
        if stopped:
            stopped.set()


def test_a_result_comes_back_to_the_thread_that_waits(engine):
    assert engine.run(_value(3)) == 3


def test_an_error_of_the_work_is_raised_where_the_result_is_asked_for(engine):
    async def fail():
        raise ValueError("so")

    with pytest.raises(ValueError, match="so"):
        engine.submit(fail()).result()


def test_a_job_is_awaited_on_any_loop(engine):
    async def main():
        return await engine.submit(_value(5))

    assert asyncio.run(main()) == 5


def test_cancelling_the_task_that_awaits_cancels_the_job(engine):
    started, stopped = threading.Event(), threading.Event()

    async def main():
        task = asyncio.create_task(_await(engine.submit(_for_ever(started, stopped))))
        await asyncio.to_thread(started.wait, 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert stopped.wait(5)


async def _await(job):
    return await job


def test_300_of_300_immediate_cancels_end_cleanly(engine):
    jobs = [engine.submit(_for_ever()) for _ in range(300)]
    for job in jobs:
        job.cancel()

    ended = 0
    for job in jobs:
        with pytest.raises(concurrent.futures.CancelledError):
            job.result(5)
        ended += 1
    assert ended == 300


def test_a_cancelled_job_may_be_cancelled_again_and_after_its_end(engine):
    job = engine.submit(_value(1))
    assert job.result(5) == 1

    job.cancel()
    assert job.result(5) == 1
    assert repr(job) == "<Job done>"


def test_a_job_says_how_it_ended(engine):
    async def fail():
        raise ValueError("no")

    waiting, failing = engine.submit(asyncio.sleep(600)), engine.submit(fail())
    assert repr(waiting) == "<Job running>"

    waiting.cancel()
    assert waiting.wait(5)
    assert failing.wait(5)
    assert repr(waiting) == "<Job cancelled>"
    assert repr(failing) == "<Job failed: ValueError>"


def test_waiting_has_a_bound_and_the_work_goes_on(engine):
    release = asyncio.Event()

    async def work():
        await release.wait()
        return "done"

    job = engine.submit(work())
    with pytest.raises(TimeoutError):
        job.result(0.05)
    engine.loop().call_soon_threadsafe(release.set)
    assert job.result(5) == "done"


def test_blocking_on_the_loop_itself_is_refused_instead_of_hanging(engine):
    async def nested():
        return engine.run(_value(1))

    with pytest.raises(AinbError, match="own loop"):
        engine.submit(nested()).result(5)


def test_context_variables_of_the_caller_reach_the_work(engine):
    cell = contextvars.ContextVar("cell", default="none")

    async def read():
        return cell.get()

    cell.set("seven")
    assert engine.submit(read()).result(5) == "seven"


def test_an_interrupt_cancels_the_work_and_is_one_line(engine):
    started, stopped = threading.Event(), threading.Event()
    job = engine.submit(_for_ever(started, stopped))

    def interrupt():
        started.wait(5)
        time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(CallInterrupted) as caught:
        job.result()
    assert stopped.wait(5)
    assert caught.value._render_traceback_() == [
        "CallInterrupted: stopped by you; the call was cancelled and the next cell works"
    ]


def test_the_engine_starts_anew_after_shutdown(engine):
    assert engine.run(_value(1)) == 1

    engine.shutdown()
    assert engine.run(_value(2)) == 2


def test_closers_run_before_the_loop_ends(engine):
    closed = threading.Event()

    async def close():
        closed.set()

    engine.at_shutdown(close)
    engine.run(_value(1))
    engine.shutdown()
    assert closed.is_set()


FORK = """
import os, warnings
warnings.simplefilter("ignore")
from ainb.engine import ENGINE
async def value(): return 7
assert ENGINE.run(value()) == 7
pid = os.fork()
if pid == 0:
    os._exit(ENGINE.run(value()))
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_a_forked_child_gets_a_loop_of_its_own():
    done = subprocess.run(
        [sys.executable, "-c", FORK], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == "7"


def test_a_process_with_work_left_ends_by_itself():
    script = "import asyncio\nfrom ainb.engine import ENGINE\nENGINE.submit(asyncio.sleep(3600)); ENGINE.run(asyncio.sleep(0))"  # noqa: E501
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stderr == ""
