"""Tests of the HTTP client: connection pool, size limits, proxies and certificates from the environment."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import subprocess
import threading

import aiohttp
import pytest

from ainb.errors import ConfigError, PermanentProviderError, TransientProviderError
from ainb.keys import Key
from ainb.providers.http import client as wire
from ainb.providers.http import target as targets
from ainb.providers.http.target import is_loopback, make_target, proxy_for
from tests.fault_server import Fault, FaultServer

BODY = b'{"model": "m", "messages": [{"role": "user", "content": "hi"}]}'


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in (*targets.PROXY_VARIABLES, *targets.CA_VARIABLES):
        monkeypatch.delenv(name, raising=False)


def run(work):
    async def main():
        try:
            return await asyncio.wait_for(work, 30)
        finally:
            await wire.close_clients()

    return asyncio.run(main())


async def post(target):
    response = await wire.request(target, target.chat_url, body=BODY)
    try:
        return response.status, await response.read()
    finally:
        response.release()


def test_a_loop_has_one_client_and_keeps_its_connections():
    with FaultServer() as server:
        target = make_target("x", server.base_url)

        async def story():
            before = wire.client()
            for _ in range(5):
                await post(target)
            connections = len(server._connections)
            await wire.close_clients()
            return before.closed, connections, wire.client() is before

        assert run(story()) == (True, 1, False)


def test_every_loop_has_a_client_of_its_own():
    async def me():
        return id(wire.client()), wire.client()

    first, second = run(me()), run(me())
    assert first[1] is not second[1]


def test_64_calls_are_in_flight_at_once():
    with FaultServer(delay_seconds=0.2) as server:
        target = make_target("x", server.base_url)

        async def story():
            await asyncio.gather(*(post(target) for _ in range(100)))

        run(story())

    assert server.peak > 64


def test_a_body_beyond_the_bound_is_refused(monkeypatch):
    monkeypatch.setattr(wire, "MAX_BODY_BYTES", 2**20)
    big = FaultServer([Fault(body=b"x" * (2**20 + 1))])

    with big as server, pytest.raises(PermanentProviderError, match="larger than 1 MB") as caught:
        run(post(make_target("x", server.base_url)))

    assert caught.value.billed


def test_the_proxy_of_the_environment_is_used_from_the_next_call_on(monkeypatch):
    with FaultServer() as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://user:pw@127.0.0.1:{proxy.port}")
        status, _ = run(post(make_target("x", "http://models.example.org/v1")))

    assert status == 200
    assert proxy.requests[0].path == "http://models.example.org/v1/chat/completions"
    assert proxy.requests[0].headers["proxy-authorization"].startswith("Basic ")


def test_this_machine_and_no_proxy_hosts_go_without_a_proxy(monkeypatch):
    from yarl import URL

    monkeypatch.setenv("HTTPS_PROXY", "127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "inside.example.org")
    with FaultServer() as server:
        assert run(post(make_target("x", server.base_url)))[0] == 200

    assert proxy_for(URL("https://inside.example.org/v1")) is None
    assert proxy_for(URL("https://outside.example.org/v1")) == "http://127.0.0.1:1"
    assert [
        is_loopback(host) for host in ("localhost", "127.0.0.2", "::1", "10.0.0.1", "localhost.evil")
    ] == [
        True,
        True,
        True,
        False,
        False,
    ]


def test_a_proxy_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")

    with pytest.raises(TransientProviderError, match="HTTPS_PROXY and NO_PROXY"):
        run(post(make_target("x", "http://models.example.org/v1")))


def test_a_proxy_of_another_kind_is_a_matter_of_configuration(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "socks5://127.0.0.1:9")

    with pytest.raises(ConfigError, match="not an http proxy"):
        run(post(make_target("x", "http://models.example.org/v1")))


def test_a_host_that_does_not_exist_is_no_network(monkeypatch):
    def fail(*_args, **_kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)

    with pytest.raises(TransientProviderError, match="no network, or no host named models") as caught:
        run(post(make_target("x", "http://models.example.org/v1")))
    assert not caught.value.billed


def test_a_wait_for_an_answer_is_bounded_by_the_caller_alone():
    with FaultServer([Fault(action="hang")]) as server:
        target = make_target("x", server.base_url)

        async def story():
            async with asyncio.timeout(0.3):
                await post(target)

        with pytest.raises(TimeoutError):
            run(story())


@pytest.mark.parametrize(
    ("error", "words", "billed"),
    [
        (aiohttp.ConnectionTimeoutError(), "within 10 s", False),
        (aiohttp.SocketTimeoutError(), "no answer from 127.0.0.1:1 in time", True),
        (aiohttp.ServerDisconnectedError(), "closed the connection", True),
        (ConnectionResetError(), "closed the connection", True),
    ],
)
def test_only_a_body_that_may_have_been_sent_may_have_been_billed(error, words, billed):
    fault = wire.connection_fault(make_target("x", "http://127.0.0.1:1/v1").origin, error)

    assert type(fault) is TransientProviderError
    assert words in str(fault)
    assert fault.billed is billed


def test_certificate_variables_must_name_files(monkeypatch, tmp_path):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing.pem"))

    with pytest.raises(ConfigError, match="REQUESTS_CA_BUNDLE"):
        run(post(make_target("x", "https://127.0.0.1:9/v1")))


@pytest.fixture
def tls_server(tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("makes its certificate with openssl")
    certificate, private = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-keyout",
            str(private),
            "-out",
            str(certificate),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(5)

    def serve():
        for _ in range(2):
            raw, _ = listener.accept()
            try:
                with context.wrap_socket(raw, server_side=True) as connection:
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
            except OSError:
                raw.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{listener.getsockname()[1]}/v1", certificate
    listener.close()
    thread.join(5)


def test_certificates_are_checked_and_may_come_from_the_environment(tls_server, monkeypatch):
    url, certificate = tls_server
    target = make_target("x", url)

    with pytest.raises(PermanentProviderError, match="SSL_CERT_FILE"):
        run(post(target))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert run(post(target)) == (200, b"{}")


def test_a_target_shows_no_key():
    target = make_target("x", "http://127.0.0.1:1/v1", key="sk-secret-1", key_header="api-key")

    assert "sk-secret-1" not in repr(target)
    assert isinstance(target.headers["api-key"], Key)
