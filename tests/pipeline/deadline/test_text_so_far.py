"""Tests of partial text: a deadline error keeps the text that has arrived, and it is displayed."""

from __future__ import annotations

import pytest

import ainb
from ainb import Deadline
from ainb.clock import SYSTEM_CLOCK
from ainb.engine import ENGINE
from ainb.errors import AinbError, DeadlineExceededError, TransientProviderError
from ainb.messages import Call, Message, Request
from ainb.pipeline.validation import Rule, Validation, ValidationStage
from ainb.providers.scripted import ScriptedProvider
from ainb.usage.rows import error_text
from tests.fault_server import Fault, FaultServer

WORDS = " ".join(f"word{n}" for n in range(200))


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-made-up-0123456789")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-made-up-0123456789")


def options_of(limit):
    if limit == "call":
        return {"config": ainb.Config(deadline=Deadline(timeout_seconds=2.5), retry=None, cache=None)}
    if limit == "attempt":
        return {"config": ainb.Config(deadline=Deadline(attempt_seconds=2.5), retry=None, cache=None)}
    return {"config": ainb.Config(retry=None, cache=None)}


@pytest.mark.parametrize("service", ["openai", "anthropic"])
@pytest.mark.parametrize("limit", ["call", "attempt", "own"])
def test_the_error_holds_what_had_come(service, limit, tmp_path):
    seen, more = [], {"timeout_seconds": 2.5} if limit == "own" else {}
    with (
        FaultServer([Fault(text=WORDS, chunk_seconds=0.05)]) as server,
        ainb.Session(f"{service}:m", api_base=server.base_url, home=tmp_path, **options_of(limit)) as session,
    ):
        with pytest.raises((DeadlineExceededError, TransientProviderError)) as caught:
            session.ask("hi", on_text=seen.append, **more)
        row = session.usage().iloc[-1]

    error = caught.value
    assert isinstance(error, TransientProviderError if limit == "attempt" else DeadlineExceededError)
    assert error.text == "".join(seen)
    assert WORDS.startswith(error.text)
    assert f"{len(error.text):,} characters had arrived" in str(error)
    assert "\n" not in error_text(error)
    assert row["status"] == "error"


@pytest.mark.parametrize("service", ["openai", "anthropic"])
def test_nothing_had_come(service, tmp_path):
    with (
        FaultServer([Fault(action="hang")]) as server,
        ainb.Session(
            f"{service}:m", api_base=server.base_url, home=tmp_path, **options_of("call")
        ) as session,
        pytest.raises(DeadlineExceededError) as caught,
    ):
        session.ask("hi", on_text=print)
    assert caught.value.text is None
    assert "had arrived" not in str(caught.value)


def test_the_text_is_of_the_attempt_under_way(tmp_path):
    config = ainb.Config(deadline=Deadline(timeout_seconds=3.0), cache=None)
    with (
        FaultServer([Fault(status=503), Fault(text=WORDS, chunk_seconds=0.05)]) as server,
        ainb.Session("openai:m", api_base=server.base_url, home=tmp_path, config=config) as session,
        pytest.raises(AinbError) as caught,
    ):
        session.ask("hi", on_text=lambda _: None)
    assert WORDS.startswith(caught.value.text)


@pytest.mark.parametrize("action", ["redact", "block", "warn"])
@pytest.mark.parametrize(
    "error", [DeadlineExceededError("late", text="a part"), TransientProviderError("late")]
)
def test_a_part_that_could_not_be_validated_is_not_kept(action, error):
    error.text = "a part"
    rule = Rule(name="word", find=lambda _: [], action=action, parts=("reply",))
    stage = ValidationStage(Validation(rules=[rule]))
    request = Request(provider="scripted", model="m", messages=(Message("user", "hi"),))

    async def proceed(_):
        raise error

    with pytest.raises(AinbError) as caught:
        ENGINE.run(stage(Call(request=request, provider=ScriptedProvider(clock=SYSTEM_CLOCK)), proceed))

    assert caught.value.text == ("a part" if action == "warn" else None)
