"""Who is this machine, and what goes over the wire for others to read."""

from __future__ import annotations

import pytest

import ainb
from ainb.clock import SYSTEM_CLOCK
from ainb.errors import ConfigError
from ainb.messages import Message, Request
from ainb.providers import make_provider
from ainb.providers.http.hosts import goes_in_the_clear, is_local_url, is_loopback


@pytest.mark.parametrize("host", ["localhost", "a.localhost", "127.0.0.1", "127.8.9.1", "::1"])
def test_this_machine(host):
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "10.0.0.1",
        "0.0.0.0",
        "localhost.evil.org",
        "127.0.0.1.evil.org",
        "127.evil.org",
        "evil-localhost",
        "::2",
    ],
)
def test_other_machines_however_they_are_named(host):
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("url", "local", "clear"),
    [
        ("http://127.0.0.1:11434/v1", True, False),
        ("http://[::1]:8000", True, False),
        ("https://models.example.org/v1", False, False),
        ("http://models.example.org/v1", False, True),
        (" HTTP://models.example.org/v1", False, True),
        ("http://127.0.0.1@evil.org/v1", False, True),
        ("http://[::1", False, True),
    ],
)
def test_base_urls(url, local, clear):
    assert (is_local_url(url), goes_in_the_clear(url)) == (local, clear)


@pytest.mark.parametrize("place", ["argument", "environment"])
def test_plain_http_to_another_machine_needs_the_persons_word(monkeypatch, place):
    url = "http://models.example.org/v1"
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-shown-1234567")
    if place == "environment":
        monkeypatch.setenv("OPENAI_BASE_URL", url)
    request = Request(
        provider="openai",
        model="m",
        messages=(Message("user", "x"),),
        api_base=url if place == "argument" else None,
    )

    with pytest.raises(ConfigError, match=r"plain http to another machine.*Ainb\.allow_insecure_http = True"):
        make_provider("openai", clock=SYSTEM_CLOCK).endpoint(request)
    assert make_provider("openai", clock=SYSTEM_CLOCK, allow_insecure_http=True).endpoint(request) == url


def test_a_session_sends_nothing_over_plain_http_unless_it_was_told_to(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-shown-1234567")
    with (
        ainb.Session("openai:m", api_base="http://models.example.org/v1") as session,
        pytest.raises(ConfigError, match="plain http to another machine"),
    ):
        session.ask("x")
