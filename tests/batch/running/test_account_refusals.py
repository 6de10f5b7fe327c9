"""Tests of refusals for the whole account: the batch stops, and a second run sends the unanswered rows."""

from __future__ import annotations

import itertools
import threading

import pytest

import ainb
from ainb.batch.running.refusals import STOP_AFTER, AccountRefusals
from ainb.errors import InvalidReplyError, PermanentProviderError, TransientProviderError
from ainb.events import Notice
from ainb.pipeline.rate_limit import START
from ainb.runtime import Runtime
from ainb.testing import script
from tests.fault_server import Fault, FaultServer

ROWS = [f"row {number}" for number in range(400)]
MOST_HITS = STOP_AFTER + START  # START rows are in flight at the start
QUOTA = Fault(status=429, code="insufficient_quota", message="You exceeded your current quota")
CREDIT = Fault(status=400, code="invalid_request_error", message="Your credit balance is too low")
REFUSALS = {
    "key": Fault(status=401),
    "payment": Fault(status=402),
    "permission": Fault(status=403),
    "model": Fault(status=404),
    "quota": QUOTA,
    "credit": CREDIT,
    "daily limit": Fault(status=429, message="Rate limit reached for requests per day (RPD)"),
}


@pytest.fixture
def make_session(tmp_path, events, monkeypatch):
    made = []
    monkeypatch.setenv("ANTHROPIC_API_KEY", "made-up")
    monkeypatch.setenv("OPENAI_API_KEY", "made-up")

    def make(model, **options):
        options.setdefault("cache", None)
        session = ainb.Session(model, home=tmp_path / "home", runtime=Runtime(sink=events.append), **options)
        made.append(session)
        return session

    yield make
    for session in made:
        session.close()


def prompt(seen):
    return seen.body["messages"][-1]["content"]


def notices(events):
    return [event.text for event in events if isinstance(event, Notice) and event.kind == "batch"]


@pytest.mark.parametrize("model", ["openai:m", "anthropic:m"])
@pytest.mark.parametrize("kind", REFUSALS)
def test_a_batch_stops_at_a_few_refusals_and_a_second_run_sends_every_row(make_session, events, kind, model):
    answer = REFUSALS[kind]
    with FaultServer(plan=lambda _seen: answer) as server:
        session = make_session(model, api_base=server.base_url)
        first = session.map(ROWS, "{value}")
        hits = server.hits
        answer = Fault()
        second = session.map(ROWS, "{value}")

        assert STOP_AFTER <= hits <= MOST_HITS
        assert (first["status"] == "error").sum() == hits
        assert (first["status"] == "rejected").sum() == len(ROWS) - hits
        (said,) = notices(events)
        assert said.startswith("5 rows were refused alike")
        assert "\n" not in said
        assert "Run the batch again" in said
        assert first["error_message"].iloc[-1].startswith("not sent, because the rows before it were refused")
        assert second["reply"].tolist() == ROWS
        assert server.hits == hits + len(ROWS)


def test_the_second_run_goes_on_with_the_first_and_pays_no_answer_twice(make_session):
    refused = set(ROWS[30:])
    with FaultServer(plan=lambda seen: Fault(status=401 if prompt(seen) in refused else 200)) as server:
        session = make_session("openai:m", api_base=server.base_url)
        first = session.map(ROWS, "{value}", concurrency=2)
        hits = server.hits
        refused.clear()
        second = session.map(ROWS, "{value}")

        assert (first["status"] == "ok").sum() == 30
        assert hits <= 30 + STOP_AFTER + 1
        assert second["reply"].tolist() == ROWS
        assert server.hits == hits + len(ROWS) - 30
    assert len(session.runs()) == 1


def test_one_worker_remains_when_the_limit_shrinks(make_session):
    with FaultServer(plan=lambda _seen: Fault(status=429, delay_seconds=0.05)) as server:
        session = make_session("openai:m", api_base=server.base_url, retry=None, circuit=None)
        frame = session.map(ROWS[:40], "{value}")

    assert set(frame["status"]) == {"error"}


@pytest.mark.parametrize("rows", [1, 2, STOP_AFTER - 1])
def test_a_batch_of_few_rows_that_are_all_refused_is_sent_again_too(make_session, rows):
    script("few", [403])
    session = make_session("scripted:few")
    assert set(session.map(ROWS[:rows], "{value}")["status"]) == {"error"}
    script("few", ["now"])

    assert session.map(ROWS[:rows], "{value}")["reply"].tolist() == ["now"] * rows
    assert len(session.runs()) == 1


def test_single_refusals_between_answers_stop_nothing_and_are_finished_rows(make_session):
    played = script("mixed", list(itertools.chain.from_iterable([[403] * 4, ["fine"]] * 10)))
    session = make_session("scripted:mixed")
    first = session.map(ROWS[:50], "{value}", concurrency=1)

    assert (first["status"] == "error").sum() == 40
    assert (first["status"] == "ok").sum() == 10
    assert played.played == 50
    assert session.runs()["finished_at"].notna().all()


@pytest.mark.parametrize("status", [400, 413, 422])
def test_refusals_of_a_row_stop_nothing(make_session, status):
    played = script("own", [status])
    frame = make_session("scripted:own").map(ROWS[:20], "{value}", cache="off")

    assert played.played == 20
    assert set(frame["status"]) == {"error"}


def test_a_function_whose_client_refuses_the_key_stops_too(make_session):
    class AuthenticationError(Exception):
        status_code = 401

    asked = []

    def ask(item):
        asked.append(item)
        raise AuthenticationError("invalid key")

    frame = make_session("scripted:echo").map(ROWS, ask, concurrency=2)

    assert len(asked) <= STOP_AFTER + 2
    assert frame["status"].value_counts()["rejected"] == len(ROWS) - len(asked)


@pytest.mark.parametrize("end", [".csv", ".jsonl", ".parquet"])
def test_a_file_holds_the_rejected_rows_too(make_session, tmp_path, end):
    import pandas as pd

    script("dead", [402])
    path = make_session("scripted:dead").map(iter(ROWS), "{value}", out=tmp_path / f"out{end}")
    read = {".csv": pd.read_csv, ".jsonl": lambda file: pd.read_json(file, lines=True)}
    frame = read.get(end, pd.read_parquet)(path)

    assert len(frame) == len(ROWS)
    assert set(frame["status"]) == {"error", "rejected"}


def test_other_calls_go_on_while_rows_are_rejected(make_session):
    """An endless source of rejected rows does not block the event loop, and can be stopped."""
    script("dead", [401])
    session = make_session("scripted:dead")
    job = session.submit_map(({"n": number} for number in itertools.count()), "{n}", journal=False)
    answers = []
    asking = threading.Thread(
        target=lambda: answers.append(session.ask("hello", model="scripted:echo").text), daemon=True
    )
    asking.start()
    asking.join(20)
    job.cancel()

    assert answers == ["hello"]
    assert job.wait(20)


class TestCounting:
    """The rule by itself, without a batch."""

    @staticmethod
    def fed(*errors):
        refusals = AccountRefusals()
        for error in errors:
            if error is None:
                refusals.add_success()
            else:
                refusals.add_error(error)
        return refusals.cause is not None

    def test_only_refusals_of_one_kind_in_a_row_count(self):
        key = PermanentProviderError("no", status_code=401)
        model = PermanentProviderError("no", status_code=404)

        assert self.fed(*[key] * STOP_AFTER)
        assert not self.fed(*[key] * (STOP_AFTER - 1), None, key)
        assert not self.fed(*[key, model] * STOP_AFTER)
        assert self.fed(*[key] * 3, model, *[key] * STOP_AFTER)

    def test_other_errors_neither_count_nor_reset_the_count(self):
        key = PermanentProviderError("no", status_code=401)
        other = TransientProviderError("busy", status_code=503)

        assert self.fed(key, key, other, key, ValueError("mine"), key, InvalidReplyError("x"), key)
        assert not self.fed(*[other] * 50)
