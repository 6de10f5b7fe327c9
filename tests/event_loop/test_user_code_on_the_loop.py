"""Tests of the user's rules, predicates and conversions: none stops the event loop or delays another call."""

from __future__ import annotations

import asyncio
import functools
import threading

import pydantic
import pytest

from ainb import Circuit, Retry, Session
from ainb.engine import ENGINE
from ainb.errors import ConfigError
from ainb.pipeline.validation import Rule, Validation
from tests.event_loop.test_user_code import ALL, ENDING, LOCAL
from tests.fault_server import Fault, FaultServer

WAIT_S = 20


@pytest.fixture(autouse=True)
def the_loop_goes_on():
    before = ENGINE.loop()
    yield
    assert ENGINE.loop() is before
    assert ENGINE.submit(asyncio.sleep(0, 1)).result(WAIT_S) == 1


def nothing(_text):
    return []


def one(_item):
    return 1


def rule_of(error, where, part):
    def fail(text):
        if "two" in text:
            raise error("so")
        return []

    parts = ("reply",) if part == "reply" else ("typed", "values", "rows")
    if where == "may_hold":
        return Rule(name="mine", find=nothing, may_hold=fail, parts=parts)
    if where == "generator":

        def find(text):
            yield from fail(text)

        return Rule(name="mine", find=find, parts=parts)
    return Rule(name="mine", find=fail, parts=parts)


@pytest.mark.parametrize("error", ALL)
@pytest.mark.parametrize("where", ["find", "generator", "may_hold"])
@pytest.mark.parametrize("part", ["sent", "reply"])
class TestARuleThatRaises:
    def test_fails_a_single_call(self, error, where, part):
        rule = rule_of(error, where, part)
        with Session("scripted:echo", cache=None, validation=Validation(rules=[rule])) as session:
            with pytest.raises((ConfigError, error)) as caught:
                session.submit("two").result(WAIT_S)
            assert session.ask("one").text == "one"

        if error in LOCAL:
            assert "the rule 'mine' failed" in str(caught.value)
        elif where != "generator" or error is not StopIteration:
            assert isinstance(caught.value, error)

    def test_fails_its_row_alone(self, error, where, part):
        rule = rule_of(error, where, part)
        with Session("scripted:echo", cache=None, validation=Validation(rules=[rule])) as session:
            job = session.submit_map(["one", "two", "three"], "{value}", resume=False, concurrency=1)
            if error in ENDING:
                with pytest.raises(error):
                    job.result(WAIT_S)
                return
            frame = job.result(WAIT_S)

        assert list(frame["status"][[0, 2]]) == ["ok", "ok"]
        assert frame["status"][1] in {"rejected", "error"}
        assert "mine" in frame["error_message"][1]


class Meta(type):
    error: type[BaseException] = ValueError

    def __instancecheck__(cls, instance):
        raise cls.error("so")


def type_of(error):
    return Meta("Refusing", (Exception,), {"error": error})


def function_of(error):
    def decide(_):
        raise error("so")

    return decide


def options_of(what, error):
    if what == "failure_on function":
        return {"retry": None, "circuit": Circuit(failure_on=function_of(error))}
    if what == "failure_on type":
        return {"retry": None, "circuit": Circuit(failure_on=type_of(error))}
    return {"retry": Retry(retry_on=(type_of(error),), attempts=2), "circuit": None}


@pytest.mark.parametrize("error", ALL)
@pytest.mark.parametrize("what", ["failure_on function", "failure_on type", "retry_on"])
class TestADecisionThatRaises:
    def test_is_the_error_of_its_call(self, error, what, tmp_path):
        with (
            FaultServer([Fault(status=500), "fine"]) as server,
            Session(
                "openai:m", api_base=server.base_url, home=tmp_path, **options_of(what, error)
            ) as session,
        ):
            with pytest.raises((error, RuntimeError, asyncio.CancelledError, _futures_cancelled())):
                session.submit("hi").result(WAIT_S)
            assert session.submit("ho").result(WAIT_S).text == "fine"

    def test_is_the_error_of_its_row(self, error, what, tmp_path):
        with (
            FaultServer([Fault(status=500), "fine", "fine"]) as server,
            Session(
                "openai:m", api_base=server.base_url, home=tmp_path, **options_of(what, error)
            ) as session,
        ):
            job = session.submit_map(["a", "b", "c"], "{value}", resume=False, concurrency=1)
            if error in ENDING:
                with pytest.raises(error):
                    job.result(WAIT_S)
                return
            assert list(job.result(WAIT_S)["status"]) == ["error", "ok", "ok"]


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-made-up-0123456789")


def _futures_cancelled():
    import concurrent.futures

    return concurrent.futures.CancelledError


class Gate:
    """Blocks the user's code until the gate is opened."""

    def __init__(self):
        self.reached, self.opened = threading.Event(), threading.Event()

    def pass_through(self):
        self.reached.set()
        assert self.opened.wait(2 * WAIT_S)


class Slow:
    def __init__(self, gate):
        self.gate = gate

    def __str__(self):
        self.gate.pass_through()
        return "slow"

    __repr__ = __str__


class Lazy:
    def __init__(self, gate):
        self.gate = gate

    @property
    def name(self):
        self.gate.pass_through()
        return "slow"


class Box(pydantic.BaseModel, arbitrary_types_allowed=True):
    value: Slow

    @pydantic.field_serializer("value")
    def write(self, value):
        return str(value)


def checking(gate):
    class Item(pydantic.BaseModel):
        number: int

        @pydantic.field_validator("number")
        @classmethod
        def check(cls, value):
            gate.pass_through()
            return value

    return Item


def dumping(gate):
    class Item(pydantic.BaseModel):
        number: int

        @pydantic.model_serializer
        def write(self):
            gate.pass_through()
            return {"number": self.number}

    return Item


async def returns_slowly(gate, item):
    return Slow(gate)


def watch_once(gate):
    done = []

    def watch(progress):
        if not done:
            done.append(progress)
            gate.pass_through()

    return watch


def slow_rule(gate, **options):
    def find(text):
        if "two" in text:
            gate.pass_through()
        return []

    return Validation(rules=[Rule(name="mine", find=find, **options)])


JOBS = {
    "watcher": lambda s, g: s.submit_map(["two"], "{value}", watcher=watch_once(g), resume=False),
    "watcher of a function": lambda s, g: s.submit_map([2], str, watcher=watch_once(g), resume=False),
    "str of a value": lambda s, g: s.submit_map([Slow(g)], "{value}", resume=False),
    "str in a list": lambda s, g: s.submit_map([{"a": [Slow(g)]}], "{a}", resume=False),
    "str in a dict": lambda s, g: s.submit_map([{"a": {"b": Slow(g)}}], "{a}", resume=False),
    "attribute of a value": lambda s, g: s.submit_map([{"a": Lazy(g)}], "{a.name}", resume=False),
    "str for a function": lambda s, g: s.submit_map([Slow(g)], one, resume=False),
    "str of a result": lambda s, g: s.submit_map([1], lambda _: Slow(g), resume=False),
    "str in a result": lambda s, g: s.submit_map([1], lambda _: {"a": [Slow(g)]}, resume=False),
    "str of an async result": lambda s, g: s.submit_map(
        [1], functools.partial(returns_slowly, g), resume=False
    ),
    "validator": lambda s, g: s.submit_map(['{"number": 1}'], "{value}", schema=checking(g), resume=False),
    "validator of a call": lambda s, g: s.submit('{"number": 1}', schema=checking(g)),
    "serialiser": lambda s, g: s.submit_map(['{"number": 1}'], "{value}", schema=dumping(g), resume=False),
}


@pytest.mark.parametrize("start", JOBS.values(), ids=JOBS)
def test_blocking_code_of_the_user_delays_no_other_call(start):
    gate = Gate()
    with Session("scripted:echo", cache=None) as session:
        job = start(session, gate)
        try:
            assert gate.reached.wait(WAIT_S)
            assert session.submit("d").result(WAIT_S).text == "d"
            assert not job.done()
        finally:
            gate.opened.set()
        job.result(WAIT_S)


@pytest.mark.parametrize("parts", [("typed", "values", "rows"), ("reply",)])
@pytest.mark.parametrize("kind", ["find", "may_hold"])
@pytest.mark.parametrize("batch", [False, True])
def test_a_blocking_rule_delays_no_other_call(parts, kind, batch):
    gate = Gate()

    def block(text):
        if "two" in text:
            gate.pass_through()
        return []

    given = {"find": block} if kind == "find" else {"find": nothing, "may_hold": block}
    rules = Validation(rules=[Rule(name="mine", parts=parts, **given)])
    with Session("scripted:echo", cache=None, validation=rules) as session:
        job = session.submit_map(["two"], "{value}", resume=False) if batch else session.submit("two")
        try:
            assert gate.reached.wait(WAIT_S)
            assert session.submit("d").result(WAIT_S).text == "d"
            assert not job.done()
        finally:
            gate.opened.set()
        job.result(WAIT_S)


def test_a_dry_run_with_a_blocking_rule_delays_no_call():
    gate = Gate()
    with Session("scripted:echo", cache=None, validation=slow_rule(gate)) as session:
        thread = threading.Thread(target=lambda: session.preview(session.make_call("two")))
        thread.start()
        try:
            assert gate.reached.wait(WAIT_S)
            assert session.submit("d").result(WAIT_S).text == "d"
        finally:
            gate.opened.set()
        thread.join(WAIT_S)


def test_a_slow_watcher_misses_states_but_sees_the_last_one(tmp_path):
    gate, seen = Gate(), []

    def watch(progress):
        seen.append((progress.state, progress.done))
        if len(seen) == 1:
            gate.pass_through()

    with Session("scripted:echo", cache=None) as session:
        job = session.submit_map([str(n) for n in range(500)], "{value}", watcher=watch, resume=False)
        assert gate.reached.wait(WAIT_S)
        gate.opened.set()
        job.result(WAIT_S)

    assert seen[-1] == ("finished", 500)


def test_a_watcher_keeps_states_that_do_not_change_under_it():
    seen = []
    with Session("scripted:echo", cache=None) as session:
        session.map(["a", "b"], "{value}", watcher=seen.append, resume=False)

    assert seen[0].done == 0
    assert seen[-1].done == 2
    assert seen[0] is not seen[-1]


@pytest.mark.parametrize("error", ALL)
@pytest.mark.parametrize("which", ["first", "middle", "last"])
def test_an_error_of_on_text_is_in_the_usage_row(error, which, tmp_path):
    words = "a b c d e"
    pieces = []
    with Session("scripted:echo", home=tmp_path, cache=None) as session:
        session.ask(words, on_text=pieces.append)
        at = {"first": 0, "middle": len(pieces) // 2, "last": len(pieces) - 1}[which]
        seen = []

        def show(text):
            seen.append(text)
            if len(seen) == at + 1:
                raise error("so")

        with pytest.raises((error, _futures_cancelled())):
            session.ask(words, on_text=show)
        rows = session.usage()

    assert rows["status"].tolist()[-2:].count("error") == 1
    failed = rows[rows["status"] == "error"].iloc[0]
    assert failed["error_type"] == error.__name__
