"""Tests of rows that this machine refuses to send because a key or the value of a header is missing."""

from __future__ import annotations

import pytest

import ainb
from ainb.batch import BatchFailedError
from ainb.batch.running.refusals import STOP_AFTER
from ainb.errors import ConfigError
from ainb.events import Notice
from ainb.pipeline.rate_limit import START
from ainb.runtime import Runtime
from tests.fault_server import FaultServer

ROWS = [f"row {number}" for number in range(300)]
PROVIDERS = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY", "groq": "GROQ_API_KEY"}
LABEL = "label: str"


@pytest.fixture
def server():
    with FaultServer() as server:
        yield server


@pytest.fixture
def make_session(tmp_path, events, monkeypatch, server):
    for variable in PROVIDERS.values():
        monkeypatch.delenv(variable, raising=False)
    made = []

    def make(model, **options):
        options = {"cache": None, "api_base": server.base_url, **options}
        made.append(
            ainb.Session(model, home=tmp_path / "home", runtime=Runtime(sink=events.append), **options)
        )
        return made[-1]

    yield make
    for session in made:
        session.close()


def check_unsent(session, frame, server):
    """No row was sent, and a few of them are enough to find out."""
    usage = session.usage()
    assert server.hits == 0
    assert set(frame["status"]) == {"rejected"}
    assert set(frame["attempts"]) == {0}
    assert set(usage["status"]) == {"rejected"}
    assert set(usage["attempts"]) == {0}
    assert usage["cost_usd"].sum() == 0
    assert len(usage) <= STOP_AFTER + START


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("options", [{}, {"schema": LABEL, "rows_per_call": 5}], ids=["rows", "packs"])
def test_without_a_key_no_row_is_sent_and_the_batch_stops(
    make_session, server, monkeypatch, events, provider, options
):
    session = make_session(f"{provider}:m")
    frame = session.map(ROWS, "{value}", **options)

    check_unsent(session, frame, server)
    (said,) = [event.text for event in events if isinstance(event, Notice) and event.kind == "batch"]
    assert PROVIDERS[provider] in said
    assert PROVIDERS[provider] in frame["error_message"].iloc[0]
    monkeypatch.setenv(PROVIDERS[provider], "made-up")
    if not options:
        assert session.map(ROWS, "{value}")["reply"].tolist() == ROWS


@pytest.mark.parametrize("rows", [1, STOP_AFTER - 1, STOP_AFTER])
def test_a_few_rows_without_a_key_are_sent_by_the_second_run(make_session, server, monkeypatch, rows):
    session = make_session("openai:m")
    check_unsent(session, session.map(ROWS[:rows], "{value}"), server)
    monkeypatch.setenv("OPENAI_API_KEY", "made-up")

    assert session.map(ROWS[:rows], "{value}")["reply"].tolist() == ROWS[:rows]
    assert len(session.runs()) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"headers": {"openai": {"X-Team": "$NO_SUCH_VARIABLE"}}},
        {"call": {"api_key_name": "NO_SUCH_VARIABLE"}},
    ],
    ids=["header", "own key"],
)
def test_a_missing_variable_of_any_kind_stops_too(make_session, server, monkeypatch, options):
    monkeypatch.setenv("OPENAI_API_KEY", "made-up")
    call = options.pop("call", {})
    session = make_session("openai:m", **options)

    check_unsent(session, session.map(ROWS, "{value}", **call), server)


def test_a_key_that_is_gone_after_some_answers_stops_the_rest(make_session, server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "made-up")
    session = make_session("openai:m")

    def forget(progress):
        if progress.done:
            monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    rows = [{"text": f"{number}"} for number in range(20_000)]
    frame = session.map(rows, "{text}", watcher=forget, concurrency=2)

    assert (frame["status"] == "ok").sum() == server.hits
    assert set(frame["status"]) == {"ok", "rejected"}
    assert (session.usage()["status"] == "rejected").sum() <= STOP_AFTER + 2


def test_on_error_raise_names_why_nothing_was_sent(make_session):
    with pytest.raises(BatchFailedError, match=r"300 of 300 rows were not sent .*OPENAI_API_KEY"):
        make_session("openai:m").map(ROWS, "{value}", on_error="raise")


def test_on_error_raise_names_rows_without_a_record(make_session, monkeypatch, tmp_path, server):
    monkeypatch.setenv("AINB_REPLAY", "replay")
    monkeypatch.setenv("AINB_NOTEBOOK", str(tmp_path / "labels.ipynb"))
    session = make_session("openai:m")

    with pytest.raises(BatchFailedError, match=r"3 of 3 rows were not sent \(3 ReplayMissError\)"):
        session.map(ROWS[:3], "{value}", on_error="raise")
    assert set(session.map(ROWS[:3], "{value}")["status"]) == {"rejected"}
    assert server.hits == 0


def test_one_call_without_a_key_has_no_attempt(make_session):
    session = make_session("openai:m")
    with pytest.raises(ConfigError):
        session.ask("hello")

    assert session.usage()["attempts"].tolist() == [0]
    assert session.errors()["attempts"].tolist() == [0]


def test_errors_of_a_function_that_differ_from_item_to_item_stop_nothing(make_session):
    asked = []

    def task(item):
        asked.append(item)
        raise ConfigError(f"{item} is not valid")

    frame = make_session("scripted:echo", circuit=None).map(ROWS[:30], task)

    assert len(asked) == 30
    assert frame["error_message"].str.endswith("is not valid").all()
