"""Tests of the rows in flight in a batch: initial number, growth, caps, and notices about them."""

from __future__ import annotations

import json
import time

import pytest

import ainb
from ainb.events import Notice
from ainb.pipeline.rate_limit import START, Reached
from ainb.runtime import Runtime
from tests.fault_server import Fault, FaultServer, random_plan

LATENCY = 0.15
DAY = 86_400.0
PLACE = ("openai", "m", "account")


@pytest.fixture
def open_session(tmp_path, events):
    made = []

    def make(model="ollama:m", **options):
        if "config" not in options:
            options.setdefault("cache", None)
        options.setdefault("home", tmp_path / "home")
        made.append(ainb.Session(model, runtime=Runtime(sink=events.append), **options))
        return made[-1]

    yield make
    for session in made:
        session.close()


def rows(count, name="row"):
    return [f"{name} {number}" for number in range(count)]


def told(events):
    return [event.text for event in events if isinstance(event, Notice) and event.kind == "concurrency"]


class First:
    """A plan that delays every call until no more arrive; `waves` are the numbers of calls per round."""

    def __init__(self):
        self.waves, self._at = [], 0.0

    def __call__(self, _seen):
        now = time.monotonic()
        if now - self._at > LATENCY / 2:
            self.waves.append(0)
        self._at = now
        self.waves[-1] += 1
        return Fault(delay_seconds=LATENCY)


def waves(session, count=200, **options):
    """Calls in the first round of a batch, and the most calls in flight."""
    with FaultServer(plan=(plan := First())) as server:
        session.map(rows(count, str(time.monotonic())), "{value}", api_base=server.base_url, **options)
        return plan.waves[0], server.peak


def test_the_first_batch_starts_with_16_rows_and_doubles(open_session):
    with FaultServer(plan=First()) as server:
        session = open_session(api_base=server.base_url)
        session.map(rows(300), "{value}")
        assert server.plan.waves[0] == START
        assert server.peak == 64


@pytest.mark.parametrize("again", ["the session", "the home"])
def test_a_later_batch_starts_where_the_last_one_ended(open_session, again):
    with FaultServer(delay_seconds=0.01) as server:
        session = open_session(api_base=server.base_url)
        session.map(rows(300), "{value}")
        if again == "the home":
            session.close()
            session = open_session(api_base=server.base_url)
        server.plan = First()
        session.map(rows(300, "again"), "{value}")
        assert server.plan.waves[0] == 64


@pytest.mark.parametrize("other", ["model", "endpoint", "home"])
def test_another_endpoint_starts_at_16(open_session, tmp_path, other):
    with FaultServer(delay_seconds=0.01) as server, FaultServer(plan=First()) as second:
        open_session(api_base=server.base_url).map(rows(300), "{value}")
        server.plan = First()
        place = second if other == "endpoint" else server
        home = tmp_path / ("other" if other == "home" else "home")
        session = open_session("ollama:n" if other == "model" else "ollama:m", home=home)
        session.map(rows(100, "again"), "{value}", api_base=place.base_url)
        assert place.plan.waves[0] == START


def test_cached_rows_do_not_change_the_recorded_concurrency(open_session):
    with FaultServer() as server:
        session = open_session(api_base=server.base_url, cache=ainb.Cache(where="memory"))
        for number in range(200):
            session.ask(f"row {number}")
        session.map(rows(200), "{value}")
        assert server.hits == 200
        server.plan = First()
        session.map(rows(100, "again"), "{value}")
        assert server.plan.waves[0] <= START


def test_a_batch_at_a_limited_server_loses_no_row(open_session):
    with FaultServer(window=(20, 0.2)) as server:
        session = open_session(api_base=server.base_url, retry=ainb.Retry(attempts=20, base_seconds=0.02))
        frame = session.map(rows(150), "{value}")
        assert (frame["status"] == "ok").all()
        assert server.limited > 0
        assert server.peak <= 64


@pytest.mark.parametrize("status", [500, 503, 529])
def test_a_batch_stops_after_16_calls_to_an_endpoint_that_is_down(open_session, status):
    with FaultServer(plan=lambda _seen: Fault(status=status, delay_seconds=LATENCY)) as server:
        session = open_session(api_base=server.base_url, retry=ainb.Retry(base_seconds=0.01))
        frame = session.map(rows(300), "{value}", circuit_wait_seconds=0)
        assert server.hits <= START
        assert not (frame["status"] == "ok").any()


@pytest.mark.parametrize("asked", [65, 128, 200])
def test_a_concurrency_above_the_usual_cap_is_reached_and_given_back(open_session, events, asked):
    session = open_session()
    _, peak = waves(session, 6 * asked, concurrency=asked)
    assert 64 < peak <= asked
    assert told(events) == []
    _, later = waves(session, 300)
    assert later <= 64


@pytest.mark.parametrize("asked", [9, 64, 256])
def test_a_configured_cap_holds_and_gives_one_notice(open_session, events, asked):
    session = open_session(rate_limit=ainb.RateLimit(concurrency=8))
    _, peak = waves(session, 100, concurrency=asked)
    assert peak <= 8
    (line,) = told(events)
    assert f"does not reach {asked} rows" in line
    assert "RateLimit(concurrency=8)" in line
    assert "\n" not in line


def test_the_cap_per_user_holds_and_gives_a_notice(open_session, events):
    session = open_session(config=ainb.Config(user_rate_limit=ainb.RateLimit(concurrency=4), cache=None))
    _, peak = waves(session, 50, concurrency=100, user="ann")
    assert peak <= 4
    (line,) = told(events)
    assert "each user, concurrency=4" in line


@pytest.mark.parametrize("limit", [None, ainb.RateLimit(concurrency=None)])
def test_without_a_cap_the_number_asked_for_is_reached(open_session, events, limit):
    session = open_session(rate_limit=limit)
    _, peak = waves(session, 600, concurrency=100)
    assert 64 < peak <= 100
    assert told(events) == []


def test_time_in_the_queue_is_not_part_of_the_duration(open_session):
    with FaultServer(delay_seconds=0.1) as server:
        session = open_session(rate_limit=ainb.RateLimit(concurrency=1), api_base=server.base_url)
        session.map(rows(6), "{value}", concurrency=1)
        jobs = [session.submit(f"single {number}") for number in range(6)]
        for job in jobs:
            job.result()
        log = session.usage()
    single = log[log["queue_wait_s"] > 0.15]
    assert len(single) >= 3
    assert (single["duration_s"] < single["queue_wait_s"] + 0.1).all()
    assert (single["duration_s"] >= 0.09).all()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no json",
        b"[]",
        b'{"version": 2, "places": {}}',
        b'{"version": 1, "places": []}',
        b'{"version": 1, "places": {"x": 3}}',
        b'{"version": 1, "places": {"x": {"in_flight": "64", "at": 1}}}',
        b'{"version": 1, "places": {"x": {"in_flight": true, "at": 1}}}',
        b'{"version": 1, "places": {"x": {"in_flight": 64, "at": null}}}',
        b'{"version": 1, "places": {"x": {"in_flight": 10e9, "at": 1}}}',
    ],
)
def test_an_invalid_file_of_concurrencies_is_ignored(tmp_path, content):
    path = tmp_path / "reached.json"
    path.write_bytes(content)
    assert Reached(path).find(PLACE, 1.0) is None
    Reached(path).keep(PLACE, 32, 1.0)
    assert Reached(path).find(PLACE, 1.0) == 32


@pytest.mark.parametrize(("age", "found"), [(0.0, 48), (6 * DAY, 48), (8 * DAY, None), (-2 * DAY, None)])
def test_a_recorded_concurrency_expires_after_a_week(tmp_path, age, found):
    Reached(tmp_path / "reached.json").keep(PLACE, 48, 10 * DAY)
    assert Reached(tmp_path / "reached.json").find(PLACE, 10 * DAY + age) == found


def test_no_key_or_address_is_in_the_file(tmp_path):
    Reached(tmp_path / "reached.json").keep(("openai", "gpt", "https://x.example#abc"), 48, 1.0)
    text = (tmp_path / "reached.json").read_text()
    assert list(json.loads(text)["places"].values()) == [{"in_flight": 48, "at": 1.0}]
    assert "example" not in text


def test_an_unwritable_folder_loses_only_the_recorded_concurrency(tmp_path):
    (tmp_path / "file").write_text("")
    memory = Reached(tmp_path / "file" / "reached.json")
    memory.keep(PLACE, 48, 1.0)
    assert memory.find(PLACE, 1.0) == 48


@pytest.mark.parametrize(
    "limits",
    [
        {"window": (20, 0.2)},
        {"requests_per_minute": 6000, "burst": 5},
        {"requests_per_minute": 1200, "burst": 20, "delay_seconds": 0.05},
        {"plan": random_plan(3, {Fault(status=429): 0.5})},
        {"plan": random_plan(4, {Fault(status=429, retry_after=0.05): 0.5})},
    ],
)
def test_a_batch_loses_no_row_to_429s_while_other_rows_are_answered(open_session, limits):
    with FaultServer(**limits) as server:
        session = open_session(api_base=server.base_url, retry=ainb.Retry(base_seconds=0.05))
        frame = session.map(rows(120), "{value}")
    assert frame["status"].eq("ok").all()


@pytest.mark.parametrize("retry_after", [None, 0.01])
def test_endless_429s_end_the_rows(open_session, retry_after):
    with FaultServer(plan=lambda _seen: Fault(status=429, retry_after=retry_after)) as server:
        session = open_session(api_base=server.base_url, retry=ainb.Retry(base_seconds=0.01))
        frame = session.map(rows(40), "{value}")
    assert frame["status"].eq("error").all()
    assert frame["error_message"].str.contains("429").all()


def test_an_exhausted_quota_is_not_retried(open_session):
    answer = Fault(status=429, code="insufficient_quota")
    with FaultServer(plan=lambda _seen: answer) as server:
        session = open_session(api_base=server.base_url)
        session.map(rows(40), "{value}")
        assert server.hits <= START + 5
