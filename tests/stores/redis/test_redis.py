"""Tests of shared state on a real Redis server: rate limits, circuits, answers, addresses."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import pickle
import subprocess
import sys
import time

import pytest

from ainb import testing
from ainb.clock import SYSTEM_CLOCK
from ainb.config import Config, load_config
from ainb.engine import ENGINE
from ainb.errors import CircuitOpenError, ConfigError, RateLimitError, TransientProviderError
from ainb.events import Notice
from ainb.pipeline.cache.options import Cache
from ainb.pipeline.circuit.state_machine import Circuit
from ainb.pipeline.rate_limit.buckets import NOTHING, ONE_REQUEST, call_cost
from ainb.pipeline.rate_limit.options import RateLimit
from ainb.runtime import Runtime
from ainb.session import Session
from ainb.stores.redis.address import StateAddress, parse_state
from tests.stores.redis.redis_lab import Server, state, until

PATIENCE_SECONDS = 30
PLACE = ("made-up", "tea", "https://one.test#abc")


@pytest.fixture(scope="module")
def server(server_of_module):
    return server_of_module


@pytest.fixture
def open_session(server, tmp_path):
    server.ask("FLUSHALL")
    opened = []

    def make(**options):
        options.setdefault("model", "scripted:echo")
        options.setdefault("state", server.url)
        session = Session(home=tmp_path / f"{len(opened)}", **options)
        opened.append(session)
        until(lambda: state(session)["connected"])
        return session

    yield make
    for session in opened:
        session.close()


@pytest.fixture
def two_states(open_session):
    """Shared state of two sessions in this process, as if of two processes."""
    return [open_session().core.stages.shared for _ in range(2)]


def run(work):
    return ENGINE.run(asyncio.wait_for(work, PATIENCE_SECONDS))


pytestmark = pytest.mark.redis


# Rate limit


def test_a_permit_taken_by_one_process_is_not_granted_to_another(two_states):
    one, two = [item.limiter(RateLimit(requests_per_minute=6, on_full="raise"), PLACE) for item in two_states]

    run(one.acquire(ONE_REQUEST))

    with pytest.raises(RateLimitError, match="6 requests a minute, shared by all processes") as caught:
        run(two.acquire(ONE_REQUEST))
    assert 9 < caught.value.retry_after <= 10


def test_slots_are_shared_and_come_back(two_states):
    one, two = [item.limiter(RateLimit(concurrency=1, on_full="raise"), PLACE) for item in two_states]
    permit = run(one.acquire(ONE_REQUEST))
    with pytest.raises(RateLimitError, match="a concurrency of 1"):
        run(two.acquire(ONE_REQUEST))

    one.settle(permit)
    one.settle(permit)

    def is_free():
        try:
            return run(two.acquire(ONE_REQUEST))
        except RateLimitError:  # the settlement is sent on another connection and is not awaited
            return False

    until(is_free)


def test_a_waiter_gets_the_slot_of_another_process(two_states):
    one, two = [item.limiter(RateLimit(concurrency=1), PLACE) for item in two_states]

    async def story():
        permit = await one.acquire(ONE_REQUEST)
        waiting = asyncio.ensure_future(two.acquire(ONE_REQUEST))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        one.settle(permit)
        return await waiting

    assert run(story())


def test_what_was_not_used_comes_back_to_all(two_states):
    options = RateLimit(tokens_per_minute=6000, on_full="raise")
    one, two = [item.limiter(options, PLACE) for item in two_states]
    permit = run(one.acquire(call_cost(100, 900)))
    with pytest.raises(RateLimitError, match="tokens a minute"):
        run(two.acquire(call_cost(100, 400)))

    one.settle(permit, call_cost(100, 100))

    assert run(two.acquire(call_cost(100, 400)))


@pytest.mark.parametrize(
    ("on_full", "way_out"),
    [("raise", "set RateLimit"), ("wait", r"raise --timeout \(timeout_seconds\)$")],
)
def test_a_429_slows_all_processes_down_and_its_pause_holds_for_all(two_states, on_full, way_out):
    options = RateLimit(requests_per_minute=60_000, on_full=on_full)
    one, two = [item.limiter(options, PLACE) for item in two_states]
    permit = run(one.acquire(ONE_REQUEST))

    one.throttle(permit, 30.0)
    one.settle(permit, ONE_REQUEST)
    until(lambda: one.status()["share"] < 1)

    paused = rf"made-up:tea is paused for [\d.]+ s in all processes, because the provider asked.*{way_out}"
    with pytest.raises(RateLimitError, match=paused) as caught:
        run(two.acquire(ONE_REQUEST, deadline=SYSTEM_CLOCK.monotonic() + 2))
    assert 28 < caught.value.retry_after <= 30


def test_limits_learnt_from_headers_hold_for_all_processes(two_states):
    one, two = [item.limiter(RateLimit(on_full="raise"), PLACE) for item in two_states]

    one.learn([("requests", 60.0, 1.0, None)])

    assert run(one.acquire(ONE_REQUEST))
    with pytest.raises(RateLimitError, match="the provider's requests a minute"):
        run(two.acquire(ONE_REQUEST))


def test_a_wait_that_passes_the_deadline_is_refused_at_once(two_states):
    one, _ = [item.limiter(RateLimit(requests_per_minute=6), PLACE) for item in two_states]
    run(one.acquire(ONE_REQUEST))

    with pytest.raises(RateLimitError, match="the wait is longer than this call may take"):
        run(one.acquire(ONE_REQUEST, deadline=time.monotonic() + 1))


def test_a_big_request_is_not_starved_by_another_process_with_small_ones(two_states):
    options = RateLimit(tokens_per_minute=6000, concurrency=None)  # a bucket of 1000, 100 per second
    one, two = [item.limiter(options, PLACE) for item in two_states]

    async def story():
        one.settle(await one.acquire(call_cost(950, 0)))
        big = asyncio.ensure_future(one.acquire(call_cost(250, 0)))
        began = time.monotonic()

        async def small():
            while not big.done():
                two.settle(await two.acquire(call_cost(10, 0)))

        others = asyncio.ensure_future(small())
        await big
        took = time.monotonic() - began
        others.cancel()
        return took

    assert run(story()) < 4  # it needs 2 s; without fairness it would never be granted


@pytest.mark.parametrize("pause_s", [0.0, 0.001, 0.05])
def test_a_cancelled_caller_leaves_no_permit_and_no_place_in_line_behind(two_states, pause_s):
    options = RateLimit(requests_per_minute=60_000, concurrency=2)
    one, two = [item.limiter(options, PLACE) for item in two_states]

    async def story():
        held = [await one.acquire(ONE_REQUEST), await one.acquire(ONE_REQUEST)]
        waiting = [asyncio.ensure_future(two.acquire(ONE_REQUEST)) for _ in range(5)]
        await asyncio.sleep(pause_s)
        for permit in held:
            one.settle(permit, NOTHING)
        await asyncio.sleep(pause_s)
        for task in waiting:
            task.cancel()
        for outcome in await asyncio.gather(*waiting, return_exceptions=True):
            if not isinstance(outcome, BaseException):
                two.settle(outcome)
        return [await one.acquire(ONE_REQUEST), await one.acquire(ONE_REQUEST)]

    assert len(run(story())) == 2


def test_a_model_that_runs_in_this_process_keeps_limits_of_its_own(open_session):
    session = open_session()
    call = session.make_call("hi")

    class Slotted:
        name, free, slots = "local", True, 4
        endpoint = staticmethod(lambda _request: "here")
        account = staticmethod(lambda _request: "here")

    call.provider = Slotted()

    assert type(session.core.stages.rate_limit.limiter(call)).__name__ == "LocalLimiter"
    assert type(session.core.stages.breakers.of(call)).__name__ == "CircuitBreaker"


# Circuit


def fail(session, name):
    with pytest.raises(TransientProviderError):
        session.ask("hi", model=f"scripted:{name}", cache="off")


def test_a_circuit_that_one_process_opens_is_open_for_all(open_session):
    options = {"circuit": Circuit(minimum_calls=4), "retry": None}
    one, two = open_session(**options), open_session(**options)
    testing.script("sick", [500])
    fail(two, "sick")

    for _ in range(3):
        fail(one, "sick")

    until(lambda: two.core.stages.breakers.find("scripted:sick")[0].state == "open")
    with pytest.raises(CircuitOpenError, match="failed too often") as caught:
        two.ask("hi", model="scripted:sick", cache="off")
    assert 20 < caught.value.retry_after <= 30


def test_of_all_callers_of_all_processes_two_probe_and_their_success_closes_the_circuit(open_session):
    options = {
        "circuit": Circuit(minimum_calls=2, open_seconds=1.0, max_open_seconds=1.0),
        "retry": None,
        "cache": None,
    }
    sessions = [open_session(**options) for _ in range(2)]
    script = testing.script("ill", [500, 500, testing.Step(text="well", delay_seconds=0.3)])
    fail(sessions[0], "ill")
    fail(sessions[0], "ill")
    until(lambda: sessions[0].core.stages.breakers.find("scripted:ill")[0].state == "open")
    time.sleep(1.05)
    script.played = 2

    jobs = [session.submit(f"{number}", model="scripted:ill") for number in range(25) for session in sessions]
    outcomes = [outcome(job) for job in jobs]

    assert script.played - 2 == 2
    assert outcomes.count("well") == 2
    assert set(outcomes) == {"well", "CircuitOpenError"}
    for session in sessions:  # the session without a probe gets the state with its next heartbeat
        until(lambda session=session: session.core.stages.breakers.find("scripted:ill")[0].state == "closed")
    assert [session.ask("now", model="scripted:ill").text for session in sessions] == ["well", "well"]


def outcome(job):
    try:
        return job.result(PATIENCE_SECONDS).text
    except CircuitOpenError as error:
        return type(error).__name__


def test_a_circuit_that_is_forced_open_is_so_for_all(open_session):
    one, two = open_session(), open_session()
    one.ask("a")
    two.ask("b")
    breaker = one.core.stages.breakers.find("scripted:echo")[0]

    breaker.force_open()
    until(lambda: two.core.stages.breakers.find("scripted:echo")[0].state == "forced-open")

    with pytest.raises(CircuitOpenError, match="switched off for all processes"):
        two.ask("c")
    breaker.reset()
    until(lambda: two.core.stages.breakers.find("scripted:echo")[0].state == "closed")
    assert two.ask("c").text == "c"


# Answers


def test_an_answer_that_one_process_paid_the_other_is_given(open_session):
    one, two = open_session(), open_session()
    script = testing.script("once", ["paid"])
    one.ask("same", model="scripted:once")
    run(one.core.stages.shared.client.run_command(("PING",)))

    found = two.ask("same", model="scripted:once")

    assert (found.text, found.cached, script.played) == ("paid", True, 1)


def test_answers_are_text_with_an_expiry(open_session, server):
    session = open_session(cache=Cache(ttl_seconds=60))
    session.ask("same")
    until(lambda: server.ask("KEYS", "{ainb:ainb}:cache:*"))

    (key,) = server.ask("KEYS", "{ainb:ainb}:cache:*")

    assert server.ask("TYPE", key) == "string"
    assert server.ask("GET", key).startswith('{"version"')
    assert 60_000 < server.ask("PTTL", key) <= 120_000


UNREADABLE = {
    "no JSON": lambda _text: "no JSON",
    "empty": lambda _text: "",
    "cut": lambda text: text[: len(text) // 2],
    "newer": lambda text: text.replace('"version":', '"version":9'),
    "older": lambda text: text.replace('"version":', '"version":0'),
    "another type": lambda _text: "[1, 2, 3]",
    "wrong fields": lambda text: text.replace('"text":', '"texts":'),
}


@pytest.mark.parametrize("damage", UNREADABLE.values(), ids=UNREADABLE)
def test_an_entry_that_cannot_be_read_is_a_miss_and_is_replaced(open_session, server, damage):
    one, two = open_session(), open_session()
    script = testing.script("again", ["first", "second"])
    one.ask("same", model="scripted:again")
    until(lambda: server.ask("KEYS", "{ainb:ainb}:cache:*"))
    (key,) = server.ask("KEYS", "{ainb:ainb}:cache:*")
    server.ask("SET", key, damage(server.ask("GET", key)))
    server.ask("CONFIG", "RESETSTAT")

    paid = two.ask("same", model="scripted:again", timeout_seconds=20)

    assert (paid.text, paid.cached, script.played) == ("second", False, 2)
    stats = server.ask("INFO", "commandstats")
    calls = sum(int(row["calls"]) for name, row in stats.items() if name.startswith("cmdstat_evalsha"))
    assert calls < 50
    until(lambda: "second" in server.ask("GET", key))
    assert one.ask("same", model="scripted:again").text == "second"


def test_a_failure_lets_the_next_one_pay_at_once(open_session):
    one, two = open_session(retry=None), open_session(retry=None)
    testing.script("shaky", [500, "good"])
    began = time.monotonic()

    with pytest.raises(TransientProviderError):
        one.ask("same", model="scripted:shaky")

    assert two.ask("same", model="scripted:shaky").text == "good"
    assert time.monotonic() - began < 4  # a lease that is not returned lasts 5 s


def test_clearing_forgets_the_answers_of_this_namespace_alone(open_session, server):
    one, other = open_session(), open_session(state=f"{server.url}?namespace=others")
    one.ask("mine")
    other.ask("theirs")
    until(lambda: len(server.ask("KEYS", "*:cache:*")) == 2)

    assert run(one.core.stages.cache.lookup.clear()) == 1

    assert len(server.ask("KEYS", "{ainb:others}:cache:*")) == 1


# Status, addresses, secrets


def test_status_names_the_server_its_latency_and_the_peers(open_session, server):
    one, two = open_session(), open_session()
    until(lambda: state(one)["peers"] == 1)

    row = one.status().loc["state"]

    assert row["part"] == "state"
    assert row["store"] == "redis"
    assert row["endpoint"] == f"{server.url}?namespace=ainb"
    assert row["connected"]
    assert 0 < row["distance_ms"] < 1000
    assert row["peer_names"] == two.core.stages.shared.client.owner


def test_a_closed_session_is_no_peer(open_session):
    one, two = open_session(), open_session()
    until(lambda: state(one)["peers"] == 1)

    two.close()

    until(lambda: state(one)["peers"] == 0)


def test_a_password_is_used_and_never_shown(tmp_path, caplog, monkeypatch):
    guarded = Server(tmp_path, password="tea-for-2")
    said = []
    try:
        with caplog.at_level(logging.DEBUG):
            inside = Session(
                "scripted:echo", state=f"redis://:tea-for-2@127.0.0.1:{guarded.port}/0", home=tmp_path / "a"
            )
            until(lambda: state(inside)["connected"])
            monkeypatch.setenv("AINB_STATE_PASSWORD", "tea-for-2")
            also = Session("scripted:echo", state=guarded.url, home=tmp_path / "b")
            until(lambda: state(also)["connected"])
            monkeypatch.setenv("AINB_STATE_PASSWORD", "tea-for-3")
            outside = Session(
                "scripted:echo", state=guarded.url, home=tmp_path / "c", runtime=Runtime(sink=said.append)
            )
            until(lambda: any(isinstance(event, Notice) for event in said))
            assert outside.ask("hi").text == "hi"
            shown = [
                repr(inside.config),
                repr(inside.config.state),
                str(inside.config.state),
                caplog.text,
                str(said),
            ]
            shown += [inside.status().to_string(), outside.status().to_string()]
        for session in (inside, also, outside):
            session.close()
    finally:
        guarded.close()

    assert "tea-for" not in " ".join(shown)


@pytest.mark.parametrize(
    "given",
    [
        "http://one.test",
        "redis://",
        "redis://host:port/0",
        "redis://host/zero",
        "redis://:secret@host:99999/0",
        7,
    ],
)
def test_what_is_no_address_is_refused_without_repeating_it(given):
    with pytest.raises(ConfigError, match="state takes a URL such as redis://host:6379/0") as caught:
        parse_state(given)

    assert "secret" not in str(caught.value)


def test_the_namespace_is_part_of_the_address():
    address = parse_state("rediss://ann:pw@host:1234/2?namespace=team-a&ssl_cert_reqs=none")

    assert address.namespace == "team-a"
    assert str(address) == "rediss://host:1234/2?namespace=team-a"
    assert address.without_secrets() == StateAddress("rediss://host:1234/2?ssl_cert_reqs=none", "team-a")
    with pytest.raises(ConfigError, match="the namespace of state takes"):
        parse_state("redis://host?namespace=a*b")


def test_state_comes_from_argument_environment_and_pyproject(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.ainb]\nstate = "redis://file:1/0"\n')
    trusted = {"AINB_TRUST": str(tmp_path)}

    with pytest.raises(ConfigError, match="state, which sends replies and the password of state to file:1/0"):
        load_config(environ={}, folder=tmp_path)
    assert load_config(environ=trusted, folder=tmp_path).state.place == "file:1/0"
    assert load_config(environ={"AINB_STATE": "redis://env:2/0"}, folder=tmp_path).state.place == "env:2/0"
    assert Config().state is None
    assert load_config(environ={"AINB_STATE": ""}, folder=tmp_path).state is None
    assert pickle.loads(pickle.dumps(load_config(environ=trusted, folder=tmp_path))).state.place == "file:1/0"  # noqa: S301 - our own bytes


def test_without_the_extra_the_error_names_it(monkeypatch, tmp_path):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "redis" else find(name, *rest)
    )

    with pytest.raises(ConfigError, match=r'pip install "ainb-notebook\[redis\]"'):
        Session("scripted:echo", state="redis://127.0.0.1:1/0", home=tmp_path)


def test_nothing_of_redis_is_loaded_when_state_is_local():
    code = (
        "import sys, ainb.session; ainb.session.Session('scripted:echo').ask('hi'); "
        "print([name for name in sys.modules if name.split('.')[0] == 'redis' or "
        "name.startswith('ainb.stores.redis.state')])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )

    assert found.stdout.strip() == "[]"


# Commands


@pytest.mark.parametrize(
    "word", ["", "line\r\nbreak", "näme", "日本", "$3\r\nabc", 7, -0.1, 1e-7, 10**18, "x" * 200_000]
)
def test_arguments_reach_the_server_unchanged(two_states, word):
    client = two_states[0].client

    assert run(client.run_command(("ECHO", word))) == str(word)


@pytest.mark.parametrize("number", [2, 256, 257, 3000])
def test_commands_are_run_in_the_order_in_which_they_were_sent(two_states, server, number):
    client = two_states[0].client
    answers = []

    for index in range(number):
        client.send(("RPUSH", "order", index), answers.append)
    run(client.run_command(("PING",)))

    assert server.ask("LRANGE", "order", 0, -1) == [str(index) for index in range(number)]
    assert answers == list(range(1, number + 1))


def test_scripts_that_the_server_forgot_are_sent_again(two_states, server):
    limiter = two_states[0].limiter(
        RateLimit(requests_per_minute=6000, concurrency=1, on_full="raise"), PLACE
    )
    permit = run(limiter.acquire(ONE_REQUEST))

    server.ask("SCRIPT", "FLUSH")
    limiter.settle(permit)  # not awaited
    again = run(limiter.acquire(ONE_REQUEST))
    server.ask("SCRIPT", "FLUSH")
    limiter.settle(again)

    assert run(limiter.acquire(ONE_REQUEST))
    assert not two_states[0].client.is_down


@pytest.mark.parametrize("words", [("NOT_A_COMMAND",), ("INCR", "text"), ("EVALSHA", "0" * 40, 0)])
def test_an_error_answer_fails_its_command_only_and_the_server_comes_back(two_states, server, words):
    client = two_states[0].client
    server.ask("SET", "text", "abc")

    async def together():
        return await asyncio.gather(
            client.run_command(("ECHO", 1)),
            client.run_command(words),
            client.run_command(("ECHO", 2)),
            return_exceptions=True,
        )

    first, refused, last = run(together())

    assert (first, last) == ("1", "2")
    assert str(refused).startswith("it answered ")
    until(lambda: client.status()["connected"])
