"""Tests of the user's code in the engine: its errors do not stop the event loop, and it delays no call."""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import threading
from collections.abc import Sequence

import pydantic
import pytest

from ainb import Session
from ainb.batch.batch import BatchInterrupted
from ainb.engine import ENGINE, Engine
from ainb.errors import AinbError
from ainb.event_loop import RaisedByUser

WAIT_S = 30


class Own(BaseException):
    """An error class of the user."""


LOCAL = [
    StopIteration,
    StopAsyncIteration,
    GeneratorExit,
    asyncio.CancelledError,
    Own,
    ValueError,
    RecursionError,
]
ENDING = [SystemExit, KeyboardInterrupt]
ALL = LOCAL + ENDING


@pytest.fixture
def session():
    made = Session("scripted:echo", cache=None)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def the_loop_goes_on():
    before = ENGINE.loop()
    yield
    assert ENGINE.loop() is before
    assert ENGINE.submit(_value(1)).result(WAIT_S) == 1


async def _value(value):
    await asyncio.sleep(0)
    return value


def plain(error):
    def second_fails(item):
        if item == 2:
            raise error("so")
        return item

    return second_fails


def on_loop(error):
    async def second_fails(item):
        await asyncio.sleep(0)
        if item == 2:
            raise error("so")
        return item

    return second_fails


def on_loop_at_once(error):
    async def second_fails(item):
        if item == 2:
            raise error("so")
        return item

    return second_fails


def in_a_task(error):
    async def second_fails(item):
        async def inner():
            if item == 2:
                raise error("so")
            return item

        return await asyncio.create_task(inner())

    return second_fails


FORMS = [plain, on_loop, on_loop_at_once, in_a_task]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("error", LOCAL)
def test_an_error_of_a_function_is_that_rows_error(session, error, form):
    frame = session.submit_map([1, 2, 3], form(error), resume=False).result(WAIT_S)

    assert list(frame["status"]) == ["ok", "error", "ok"]
    by_python = error is StopIteration and form is not plain  # a coroutine cannot raise it (PEP 479)
    assert frame["error_type"][1] == ("RuntimeError" if by_python else error.__name__)
    if not by_python and form is not in_a_task:  # a task raises a new CancelledError
        assert frame["error_message"][1] == "so"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("error", ENDING)
def test_system_exit_and_interrupt_reach_the_caller_of_map(session, error, form):
    with pytest.raises(error) as caught:
        session.map([1, 2, 3], form(error), resume=False)

    if error is SystemExit:
        assert caught.value.code == "so"
    else:
        assert isinstance(caught.value, BatchInterrupted)
        assert caught.value.frame["status"][1] == "cancelled"


def test_rows_in_flight_end_before_system_exit_reaches_the_caller(session):
    ended = []
    started = threading.Event()

    def work(item):
        if item == 1:
            started.wait(WAIT_S)
            raise SystemExit(7)
        started.set()
        ended.append(item)
        return item

    with pytest.raises(SystemExit):
        session.map([1, 2], work, concurrency=2, resume=False)
    assert ended == [2]


@pytest.mark.parametrize("error", ALL)
def test_guard_raises_what_a_plain_function_raised(session, error):
    @session.guard(model="m", cache=False)
    def ask(prompt):
        raise error("so")

    with pytest.raises((error, asyncio.CancelledError, _futures_cancelled())):
        ask("x")


def _futures_cancelled():
    import concurrent.futures

    return concurrent.futures.CancelledError


@pytest.mark.parametrize(
    "error", [StopAsyncIteration, GeneratorExit, Own, ValueError, SystemExit, KeyboardInterrupt]
)
def test_guard_raises_what_an_async_function_raised(session, error):
    @session.guard(model="m", cache=False)
    async def ask(prompt):
        raise error("so")

    async def main():
        try:
            await ask("x")
        except BaseException as caught:  # noqa: BLE001 - asyncio.run must not see SystemExit
            return type(caught)

    assert asyncio.run(main()) is error


def test_a_guarded_async_function_can_be_cancelled(session):
    stopped = threading.Event()

    @session.guard(model="m", cache=False)
    async def ask(prompt):
        try:
            await asyncio.sleep(3600)
        finally:
            stopped.set()

    async def main():
        task = asyncio.create_task(ask("x"))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return task.cancelled()

    assert asyncio.run(main())
    assert stopped.is_set()


class Rows:
    """The user's iterator, which fails at the third row."""

    def __init__(self, error):
        self.error, self.taken = error, 0

    def __iter__(self):
        return self

    def __next__(self):
        self.taken += 1
        if self.taken == 3:
            raise self.error("so")
        return self.taken


class SizedRows(Sequence):
    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 4

    def __getitem__(self, place):
        if place == 2:
            raise self.error("so")
        return place


def generated(error):
    yield 1
    yield 2
    raise error("so")


@pytest.mark.parametrize("source", [Rows, SizedRows, generated])
@pytest.mark.parametrize(
    "error", [StopAsyncIteration, GeneratorExit, Own, ValueError, SystemExit, KeyboardInterrupt]
)
@pytest.mark.parametrize("task", ["{value}", lambda item: item])
def test_an_error_of_the_source_reaches_the_caller(session, source, error, task):
    with pytest.raises(error):
        session.map(source(error), task, resume=False)


@pytest.mark.parametrize("error", ALL)
def test_an_error_of_on_text_is_the_calls_error(session, error):
    def show(_):
        raise error("so")

    with pytest.raises((error, _futures_cancelled())):
        session.ask("a b c d", on_text=show)


@pytest.mark.parametrize("error", ALL)
def test_an_error_of_a_watcher_does_not_fail_the_rows(session, error):
    def watch(_):
        raise error("so")

    job = session.submit_map([1, 2], "{value}", watcher=watch, resume=False)

    if error in ENDING:
        with pytest.raises(error):
            job.result(WAIT_S)
    else:
        assert list(job.result(WAIT_S)["status"]) == ["ok", "ok"]


@pytest.mark.parametrize("error", ALL)
@pytest.mark.parametrize("task", ["{value}", lambda item: item])
def test_an_error_of_str_is_that_rows_error(session, error, task):
    class Silent:
        def __str__(self):
            raise error("so")

        __repr__ = __str__

    job = session.submit_map([1, Silent(), 3], task, resume=False)

    if error in ENDING:
        with pytest.raises(error):
            job.result(WAIT_S)
    else:
        frame = job.result(WAIT_S)
        assert list(frame["status"][[0, 2]]) == ["ok", "ok"]


@pytest.mark.parametrize("error", ALL)
def test_an_error_of_a_schemas_validator_is_that_rows_error(session, error):
    class Item(pydantic.BaseModel):
        number: int

        @pydantic.field_validator("number")
        @classmethod
        def check(cls, value):
            if value == 2:
                raise error("so")
            return value

    job = session.submit_map([f'{{"number": {n}}}' for n in (1, 2, 3)], "{value}", schema=Item, resume=False)

    if error in ENDING:
        with pytest.raises(error):
            job.result(WAIT_S)
    else:
        assert list(job.result(WAIT_S)["status"]) == ["ok", "error", "ok"]


@pytest.mark.parametrize("error", ALL)
def test_an_error_of_a_schemas_serialiser_is_that_rows_error(session, error):
    class Item(pydantic.BaseModel):
        number: int

        @pydantic.model_serializer
        def write(self):
            if self.number == 2:
                raise error("so")
            return {"number": self.number}

    job = session.submit_map([f'{{"number": {n}}}' for n in (1, 2, 3)], "{value}", schema=Item, resume=False)

    # pydantic turns SystemExit in a serialiser into its own error.
    assert list(job.result(WAIT_S)["status"]) == ["ok", "error", "ok"]


def test_a_blocking_on_text_delays_no_other_call(session):
    release, blocked = threading.Event(), threading.Event()

    def show(_):
        blocked.set()
        release.wait(WAIT_S)

    job = session.submit("a b c", on_text=show)
    assert blocked.wait(WAIT_S)

    other = session.submit("d")
    assert other.result(WAIT_S).text == "d"
    assert not job.done()
    release.set()
    assert job.result(WAIT_S).text == "a b c"


@pytest.mark.parametrize("sized", [False, True])
def test_a_blocking_source_delays_no_other_call(session, sized):
    release, blocked = threading.Event(), threading.Event()

    class Blocking(Sequence):
        def __len__(self):
            return 2

        def __getitem__(self, place):
            if place == 1:
                blocked.set()
                release.wait(WAIT_S)
            if place == 2:
                raise IndexError
            return place

    job = session.submit_map(Blocking() if sized else iter(Blocking()), "{value}", resume=False)
    assert blocked.wait(WAIT_S)

    assert session.submit("d").result(WAIT_S).text == "d"
    assert not job.done()
    release.set()
    assert list(job.result(WAIT_S)["reply"]) == ["0", "1"]


def test_pieces_come_in_order_with_the_callers_context_and_before_the_reply(session):
    cell = contextvars.ContextVar("cell", default="none")
    cell.set("seven")
    seen = []

    reply = session.ask("a b c d e f g", on_text=lambda piece: seen.append((piece, cell.get())))

    assert "".join(piece for piece, _ in seen) == reply.text
    assert {name for _, name in seen} == {"seven"}


@pytest.mark.parametrize("error", ENDING)
@pytest.mark.parametrize("how", ["callback", "task", "stop"])
def test_nothing_on_the_loop_ends_it(error, how):
    loop = ENGINE.loop()
    job = ENGINE.submit(asyncio.sleep(0.2, "done"))

    def fail():
        raise error("so")

    async def work():
        fail()

    def start():
        loop.create_task(work()).add_done_callback(asyncio.Task.exception)

    calls = {"callback": fail, "task": start, "stop": loop.stop}
    loop.call_soon_threadsafe(calls[how])

    assert job.result(WAIT_S) == "done"
    assert ENGINE.loop() is loop


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_jobs_of_a_thread_that_dies_fail_and_the_next_call_gets_a_new_loop():
    engine = Engine()
    first = engine.loop()
    jobs = [engine.submit(_for_ever()) for _ in range(3)]
    thread = engine._thread

    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(MemoryError))
    first.call_soon_threadsafe(lambda: None)

    for job in jobs:
        with pytest.raises(AinbError, match="loop thread has ended"):
            job.result(WAIT_S)
    assert engine.run(_value(5)) == 5
    assert engine.loop() is not first
    thread.join(WAIT_S)  # wait for its error, so that pytest reports it in this test and not in a later one
    engine.shutdown()
    for task in asyncio.all_tasks(first):
        task.get_coro().close()
    first.close()


async def _for_ever():
    await asyncio.get_running_loop().create_future()


def test_the_carrier_of_an_error_has_the_text_of_that_error():
    assert str(RaisedByUser(SystemExit(3))) == "3"
