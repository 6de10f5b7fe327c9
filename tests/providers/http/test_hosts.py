"""Tests of local hosts, and of base URLs without encryption."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

import ainb
from ainb.clock import SYSTEM_CLOCK
from ainb.errors import ConfigError
from ainb.messages import Message, Request
from ainb.providers import make_provider
from ainb.providers.http.client import Resolver
from ainb.providers.http.hosts import goes_in_the_clear, is_local_url, is_loopback


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "localhost.", "127.0.0.1", "127.8.9.1", "::1"])
def test_this_machine(host):
    assert is_loopback(host)


def resolve_to(monkeypatch, *addresses):
    """Resolve names below ``.localhost`` to these addresses; without addresses the lookup fails."""
    system = socket.getaddrinfo

    def answer(host, port, *args, **kwargs):
        if not str(host).rstrip(".").endswith(".localhost"):
            return system(host, port, *args, **kwargs)
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        found = (system(address, port or 0, type=socket.SOCK_STREAM) for address in addresses)
        return [item for items in found for item in items]

    monkeypatch.setattr(socket, "getaddrinfo", answer)


@pytest.mark.parametrize("host", ["a.localhost", "A.LocalHost", "deep.er.localhost", "a.localhost."])
@pytest.mark.parametrize(
    ("addresses", "here"),
    [
        (["127.0.0.1"], True),
        (["::1", "127.0.0.1"], True),
        (["127.0.0.1", "203.0.113.9"], False),
        (["203.0.113.9"], False),
        (["10.0.0.1"], False),
        ([], False),
    ],
)
def test_a_name_below_localhost_is_this_machine_only_where_it_resolves_so(monkeypatch, host, addresses, here):
    resolve_to(monkeypatch, *addresses)

    assert is_loopback(host) is here
    assert is_local_url(f"http://{host}:8000/v1") is here
    assert goes_in_the_clear(f"http://{host}:8000/v1") is not here


def test_a_name_that_resolves_here_for_the_check_and_elsewhere_for_the_connection_is_not_connected(
    monkeypatch,
):
    resolve_to(monkeypatch, "203.0.113.9")

    async def resolve(host):
        return [item["host"] for item in await Resolver().resolve(host, 80, socket.AF_UNSPEC)]

    with contextlib.closing(asyncio.new_event_loop()) as loop:
        with pytest.raises(OSError, match="does not resolve to this machine"):
            loop.run_until_complete(resolve("a.localhost"))
        resolve_to(monkeypatch, "203.0.113.9", "127.0.0.1")
        assert set(loop.run_until_complete(resolve("a.localhost"))) == {"127.0.0.1"}


@pytest.mark.parametrize(
    "url",
    [
        "http://evil.org\\@127.0.0.1/v1",
        "http://127.0.0.1\\.evil.org/v1",
        "http://evil.org%2f.localhost/v1",
        "http://evil.org\t.localhost/",
        "http://127.0.0.1\n.evil.org",
        "http://127.1",
        "http://0x7f000001/",
        "http://2130706433/",
        "//127.0.0.1@evil.org",
        "127.0.0.1",
    ],
)
def test_a_url_that_two_readers_may_take_for_two_hosts_is_not_local(url):
    assert not is_local_url(url)


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
def test_plain_http_to_another_machine_needs_an_option(monkeypatch, place):
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
