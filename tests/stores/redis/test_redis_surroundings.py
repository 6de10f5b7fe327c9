"""Tests of shared state with wrong passwords, wrong clocks, namespaces, and changing servers."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import quote

import pytest

import ainb
from ainb.clock import SystemClock
from ainb.events import Notice
from ainb.runtime import Runtime
from tests.fault_server import Fault, FaultServer
from tests.stores.redis.redis_lab import Server, state, until

pytestmark = pytest.mark.redis

MODEL = "openai:gpt-4o"
PATIENCE_SECONDS = 30
ROWS = [f"row {number}" for number in range(40)]


@pytest.fixture
def provider(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "made-up")
    with FaultServer(plan=lambda _seen: Fault(delay_seconds=0.02)) as running:
        yield running


@pytest.fixture
def open_session(tmp_path, provider):
    opened = []

    def make(url, *, said=None, clock=None, **options):
        runtime = {} if clock is None else {"clock": clock}
        session = ainb.Session(
            MODEL,
            state=url,
            home=tmp_path / f"home{len(opened)}",
            api_base=provider.base_url,
            runtime=Runtime(sink=(said.append if said is not None else lambda _event: None), **runtime),
            **options,
        )
        opened.append(session)
        return session

    yield make
    for session in opened:
        session.close()


def is_connected(session):
    return state(session)["connected"]


def state_notices(said):
    return [event for event in said if isinstance(event, Notice) and event.kind == "state"]


def commands(server):
    text = server.ask("INFO", "stats")
    lines = (
        text if isinstance(text, dict) else dict(line.split(":", 1) for line in text.split() if ":" in line)
    )
    return int(lines["total_commands_processed"])


def test_a_wrong_password_costs_one_notice_and_few_tries(tmp_path, provider, open_session):
    guarded, said = Server(tmp_path, password="tea"), []
    try:
        session = open_session(
            f"redis://:coffee@127.0.0.1:{guarded.port}/0", said=said, budget=ainb.Budget(usd=1, per="day")
        )
        before = commands(guarded)
        frame = session.map(ROWS, "{value}")
        after = commands(guarded)
    finally:
        guarded.close()

    assert list(frame["reply"]) == ROWS
    assert provider.hits == len(ROWS)
    assert len(state_notices(said)) == 1
    assert "coffee" not in str(said)
    assert after - before < 50


def change_password(server):
    server.ask("CONFIG", "SET", "requirepass", "new")
    server.password = "new"
    server.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def become_replica(server):
    # A replica of an unreachable primary: writes are refused with READONLY, as after a failover.
    server.ask("REPLICAOF", "127.0.0.1", "1")


def restart_empty(server):
    server.restart()


def drop_connections(server):
    server.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def fill_up(server):
    server.ask("CONFIG", "SET", "maxmemory", "1")


def forget_scripts(server):
    server.ask("SCRIPT", "FLUSH")


HARMS = [change_password, become_replica, restart_empty, drop_connections, fill_up, forget_scripts]


@pytest.mark.parametrize("harm", HARMS)
def test_a_batch_goes_on_when_the_server_changes_under_it(server, provider, open_session, harm):
    said = []
    session = open_session(server.url, said=said, budget=ainb.Budget(usd=1, per="day"))
    until(lambda: is_connected(session))
    done = []

    def watch(progress):
        if progress.done >= len(ROWS) // 4 and not done:
            done.append(progress.done)
            harm(server)

    frame = session.map(ROWS, "{value}", watcher=watch, concurrency=4)

    assert list(frame["status"]) == ["ok"] * len(ROWS), frame["error_message"].dropna().unique()
    assert list(frame["reply"]) == ROWS
    assert provider.hits == len(ROWS)
    assert done
    assert len(state_notices(said)) <= 2  # one for the outage, one for the recovery
    spent = session.budget_status()[0].spent_usd
    assert spent >= Decimal(str(frame["cost_usd"].sum())) * Decimal("0.99")


NAMES = ["team", "team.a", "team-a", "team_a", "teama", "TEAM", "..", "0", "-", "ainb", "reply", "x" * 64]
ODD = [
    "a b",
    "a:b",
    "*",
    "[a-z]",
    "?",
    "{tag}",
    "ä",
    "\n",
    "a\x00",
    "a|pot",
    "a/b",
    "%",
    "x" * 65,
    "𝄞",
    "a'b",
]


def test_namespaces_do_not_mix(server, provider, open_session):
    sessions = {
        name: open_session(f"{server.url}?namespace={name}", budget=ainb.Budget(usd=1, per="day"))
        for name in NAMES
    }
    for session in sessions.values():
        until(lambda session=session: is_connected(session))
    for name, session in sessions.items():
        assert session.ask("the same for all").text == "the same for all", name

    assert provider.hits == len(NAMES)  # no namespace got an answer of another one
    for name in ("team", "..", "-"):
        sessions[name].clear_cache()
    again = {name: session.ask("the same for all").cached for name, session in sessions.items()}
    assert [name for name, cached in again.items() if not cached] == ["team", "..", "-"]
    for name, session in sessions.items():
        times = 1 if again[name] else 2
        assert 0 < session.budget_status()[0].spent_usd / times < Decimal("0.001"), name


@pytest.mark.parametrize("name", ODD)
def test_a_namespace_that_could_be_a_pattern_or_another_key_is_refused(tmp_path, name):
    with pytest.raises(ainb.ConfigError, match="namespace of state takes") as caught:
        ainb.Session(MODEL, state=f"redis://127.0.0.1:1/0?namespace={quote(name, safe='')}", home=tmp_path)

    assert "\n" not in str(caught.value)


class SkewedClock(SystemClock):
    """The system clock with a wrong wall time."""

    def __init__(self, seconds):
        self.seconds = seconds

    def unix(self):
        return time.time() + self.seconds


@pytest.mark.parametrize("hours", [-25, -1, 1, 25])
def test_a_clock_that_is_wrong_costs_no_call_and_no_answer(server, provider, open_session, hours):
    off = SkewedClock(hours * 3_600)
    right = open_session(server.url, rate_limit=ainb.RateLimit(requests_per_minute=6_000))
    wrong = open_session(server.url, clock=off, rate_limit=ainb.RateLimit(requests_per_minute=6_000))
    for session in (right, wrong):
        until(lambda session=session: is_connected(session))
    wrong.ask("first")
    assert right.ask("first").cached
    right.ask("second")
    assert wrong.ask("second").cached
    frames = [
        session.map([f"{name} {row}" for row in ROWS], "{value}")
        for name, session in (("right", right), ("wrong", wrong))
    ]

    assert all((frame["status"] == "ok").all() for frame in frames)
    assert provider.hits == 2 + 2 * len(ROWS)
    assert datetime.now(UTC) + timedelta(hours=30) > wrong.usage()["started_at"].max()
