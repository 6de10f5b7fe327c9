"""Tests of services of other packages and of pydantic-ai in ``%ai list`` and in completion."""

from __future__ import annotations

from importlib import metadata

import pytest
from IPython.core.completer import provisionalcompleter

from ainb.messages import Reply
from ainb.providers import plugins


class Adapter:
    name = "acme"
    free = False

    def __init__(self, *, clock):
        self.clock = clock

    def body(self, request):
        return {"model": request.model}

    def endpoint(self, _request):
        return "acme"

    account = endpoint

    async def send(self, _call):
        return Reply(text="from acme", finish_reason="stop")


class Listing(Adapter):
    fault = None

    async def list_models(self):
        if self.fault:
            raise self.fault
        return ["big", "small"]


@pytest.fixture
def acme(monkeypatch):
    entries = [
        metadata.EntryPoint("acme", "acme_ainb:make", plugins.GROUP),
        metadata.EntryPoint("quiet", "acme_ainb:make", plugins.GROUP),
    ]

    def entry_points(*, group, name=None):
        return metadata.EntryPoints(
            item for item in entries if group == plugins.GROUP and name in {None, item.name}
        )

    monkeypatch.setattr(metadata, "entry_points", entry_points)
    monkeypatch.setattr(
        metadata.EntryPoint, "load", lambda entry: Listing if entry.name == "acme" else Adapter
    )
    yield Listing
    Listing.fault = None


def complete(terminal, text):
    completer = terminal.shell.Completer
    completer.use_jedi = False
    with provisionalcompleter():
        return [text[: item.start] + item.text for item in completer.completions(text, len(text))]


def test_services_of_other_packages_are_listed_with_their_package(acme, terminal):
    out = terminal.run("%ai list").out

    assert "acme" in out
    assert "package acme_ainb:make" in out


def test_their_models_are_listed_where_the_adapter_can(acme, terminal):
    out = terminal.run("%ai list acme").out

    assert "acme:big" in out
    assert "openai" not in out
    assert "package" in terminal.run("%ai list quiet").out


def test_an_adapter_that_cannot_list_is_one_line(acme, terminal):
    acme.fault = KeyError("models")
    cell = terminal.run("%ai list acme")

    assert cell.error is None
    assert "the adapter of acme raised KeyError" in cell.out


def test_tab_offers_them(acme, terminal):
    assert complete(terminal, "%%ai acm") == ["%%ai acme:"]
    assert complete(terminal, "%ai list acm") == ["%ai list acme"]
    assert complete(terminal, "%ai alias quick acm") == ["%ai alias quick acme:"]


def test_a_cell_asks_them_and_a_misspelt_one_is_guessed(acme, terminal):
    assert terminal.run("%%ai acme:big\nhi").result.text == "from acme"
    assert "did you mean 'acme'?" in str(terminal.run("%%ai acne:big\nhi").error)


def test_the_list_says_how_to_reach_what_pydantic_ai_speaks_to(terminal):
    out = terminal.run("%ai list pydantic").out

    assert "pydantic:PROVIDER:MODEL, through pydantic-ai" in out
    assert "the provider's own" in out


def test_tab_offers_what_pydantic_ai_speaks_to(terminal):
    offered = complete(terminal, "%%ai pydantic:goo")
    assert sorted(offered) == ["%%ai pydantic:google-cloud:", "%%ai pydantic:google:"]


def test_tab_offers_to_save_an_alias(terminal):
    assert complete(terminal, "%ai alias fast scripted:echo --s") == ["%ai alias fast scripted:echo --save"]
    assert complete(terminal, "%ai dealias fast --s") == ["%ai dealias fast --save"]
