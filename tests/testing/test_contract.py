"""Tests of the shipped contract suite with ainb's adapters, and of adapters of other packages."""

from __future__ import annotations

from importlib import metadata

import pytest

from ainb.clock import SYSTEM_CLOCK
from ainb.contract import AdapterContract
from ainb.errors import ConfigError, PermanentProviderError
from ainb.messages import Message, Reply, Request
from ainb.providers import make_provider, plugins, split_model
from ainb.providers.http.client import close_clients
from ainb.session import Session
from tests.fault_server import Fault, FaultServer

KEY = "sk-of-a-test-0123456789"


class OverHttp(AdapterContract):
    secret = KEY
    service = ""

    @pytest.fixture(autouse=True)
    def serve(self, monkeypatch):
        def plan(seen):
            return Fault(status=404) if b"no-such-model" in seen.raw else Fault(text="hello to you")

        monkeypatch.setenv(f"{self.service.upper()}_API_KEY", KEY)
        with FaultServer(plan) as server:
            monkeypatch.setenv(f"{self.service.upper()}_BASE_URL", server.base_url)
            yield

    def make_adapter(self):
        return make_provider(self.service, clock=SYSTEM_CLOCK)

    def make_request(self, model="m"):
        return Request(provider=self.service, model=model, messages=(Message("user", "hi"),))

    def make_refused_request(self):
        return self.make_request("no-such-model")

    async def clean_up(self):
        await close_clients()


class TestOpenAI(OverHttp):
    service = "openai"


class TestAnthropic(OverHttp):
    service = "anthropic"


class TestScripted(AdapterContract):
    def make_adapter(self):
        return make_provider("scripted", clock=SYSTEM_CLOCK)

    def make_request(self):
        return Request(provider="scripted", model="echo", messages=(Message("user", "hi"),))

    def make_refused_request(self):
        return Request(provider="scripted", model="nowhere", messages=(Message("user", "hi"),))


class Mine:
    """An adapter of another package."""

    name = "mine"
    free = False
    answers = Reply(text="from mine", model="m", provider="mine", finish_reason="stop")

    def __init__(self, *, clock):
        self.clock = clock

    def body(self, request):
        return {"model": request.model, "prompt": request.messages[-1].text}

    def endpoint(self, request):
        return "mine"

    account = endpoint

    async def send(self, call):
        if isinstance(self.answers, Exception):
            raise self.answers
        return self.answers


@pytest.fixture
def mine(monkeypatch):
    """The adapter, registered."""
    entries = [
        metadata.EntryPoint("mine", f"{__name__}:Mine", plugins.GROUP),
        metadata.EntryPoint("broken", "no_such_module:Mine", plugins.GROUP),
    ]

    def entry_points(*, group, name=None):
        chosen = [entry for entry in entries if group == plugins.GROUP and name in {None, entry.name}]
        return metadata.EntryPoints(chosen)

    monkeypatch.setattr(metadata, "entry_points", entry_points)
    monkeypatch.setattr(
        metadata.EntryPoint,
        "load",
        lambda self: Mine if self.name == "mine" else __import__("no_such_module"),
    )
    yield Mine
    Mine.answers = Reply(text="from mine", model="m", provider="mine", finish_reason="stop")


def test_an_adapter_of_another_package_goes_through_the_whole_pipeline(mine):
    with Session("mine:m") as session:
        assert session.ask("hi").text == "from mine"
        assert session.ask("hi").cached
        assert session.usage().iloc[0].provider_name == "mine"
    assert split_model("mine/a/b") == ("mine", "a/b")


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (KeyError("choices"), "the adapter of mine raised KeyError: 'choices'"),
        ("a text", "returned str in place of a Reply"),
    ],
)
def test_an_adapter_that_does_what_it_may_not_is_one_line_and_one_row(mine, answers, said):
    mine.answers = answers
    with Session("mine:m") as session:
        with pytest.raises(PermanentProviderError, match=said) as caught:
            session.ask("hi")
        row = session.usage().iloc[0]
    assert str(caught.value).isprintable()
    assert (row.status, row.attempts, row.error_type) == ("error", 1, "PermanentProviderError")


def test_an_adapter_that_cannot_be_loaded_is_said(mine):
    with pytest.raises(ConfigError, match="the adapter of broken"):
        Session("broken:m").ask("hi")
