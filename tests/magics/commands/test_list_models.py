"""Tests of ``%ai list`` with prices, learnt refusals in ``%ai status``, ``--effort`` and ``--schema``."""

from __future__ import annotations

import pytest

from ainb import errors
from tests.fault_server import FaultServer
from tests.providers.rule_servers import RuleServer, efforts, never, no_max_tokens

NEW = [no_max_tokens, never(), efforts("low", "high")]


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-tests-0123456789")


def test_the_models_of_a_provider_stand_with_their_prices(terminal, monkeypatch):
    with FaultServer(models=["gpt-6-luna", "gpt-6-sol", "brand-new"]) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        out = terminal.run("%ai list openai").out

    words = (line.split() for line in out.splitlines() if "openai:" in line)
    lines = {found[0]: found[1:] for found in words}
    assert lines["openai:gpt-6-luna"] == ["0.1", "0.5"]
    assert lines["openai:gpt-6-sol"] == ["2", "10"]
    assert "0" not in lines["openai:brand-new"]


def test_without_the_provider_the_published_list_is_shown_and_named_so(terminal, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    out = terminal.run("%ai list openai").out

    assert "OPENAI_API_KEY is not set" in out
    assert "published price list" in out
    assert "openai:gpt-6.1-sol" in out
    assert "whisper" not in out


@pytest.mark.parametrize(
    ("model", "parts"),
    [
        (
            "openai:gpt-6-luna",
            ["none, low, medium, high, xhigh, max", "taken with effort none only", "0.1 in, 0.5 out"],
        ),
        ("openai/gpt-4o", ["it has no effort levels", "taken"]),
        ("claude-opus-5-5", ["low, medium, high, xhigh, max", "left out", "structured output"]),
        ("openai:unheard-of", ["not known; sent as typed"]),
    ],
)
def test_the_list_of_one_model_says_what_it_takes(terminal, model, parts):
    out = " ".join(terminal.run(f"%ai list {model}").out.split())

    assert all(part in out for part in parts), out


def test_what_was_learnt_stands_in_status_and_list(terminal):
    with RuleServer(NEW) as server:
        cell = terminal.run(
            f"%%ai openai:gpt-7-nova --api-base {server.base_url} --temperature 0 --max-tokens 90\nhi"
        )

    assert cell.error is None
    assert "gpt-7-nova does not accept temperature; it was left out" in cell.out + cell.err
    status = " ".join(terminal.run("%ai").out.split())
    listed = " ".join(terminal.run("%ai list openai:gpt-7-nova").out.split())
    for text in (status, listed):
        assert "temperature" in text
        assert "left out" in text
        assert "sent as max_completion_tokens" in text


def test_effort_is_an_option_of_a_cell(terminal):
    with FaultServer() as server:
        cell = terminal.run(f"%%ai openai:gpt-6-luna --effort xhigh --api-base {server.base_url}\nhi")

    assert cell.error is None
    assert server.requests[0].body["reasoning_effort"] == "xhigh"


def test_an_effort_that_is_no_level_is_refused(terminal):
    cell = terminal.run("%%ai scripted:echo --effort much\nhi")

    assert isinstance(cell.error, errors.ConfigError)
    assert "one of none, minimal, low, medium, high, xhigh, max" in str(cell.error)


@pytest.mark.parametrize(
    "schema",
    [
        '"label: a|b, score: int 0..10, tags: [str], why: str?"',
        "'label: a|b'",
        '"[a|b]"',
        "SHAPE",
        "shapes.Inner",
    ],
)
def test_a_schema_may_be_written_in_the_line(terminal, schema):
    terminal.run("SHAPE = 'label: a|b'\nclass shapes:\n    Inner = list[int]")
    with RuleServer("openai:gpt-4o") as server:
        cell = terminal.run(f"%%ai openai:gpt-4o --schema {schema} --api-base {server.base_url}\nhi")

    assert cell.error is None
    assert cell.result.parsed in ({"label": "a", "score": 0, "tags": ["x"]}, {"label": "a"}, ["a"], [1])


def test_a_schema_that_cannot_be_read_fails_the_cell_before_anything_is_sent(terminal):
    with FaultServer() as server:
        cell = terminal.run(f'%%ai openai:gpt-4o --schema "label: positiv" --api-base {server.base_url}\nhi')

    assert isinstance(cell.error, errors.ConfigError)
    assert server.hits == 0
