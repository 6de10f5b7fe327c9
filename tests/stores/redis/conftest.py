"""A Redis server for each test, or one for the tests of a module."""

from __future__ import annotations

import pytest

from ainb.session import Session
from tests.stores.redis.redis_lab import Server


@pytest.fixture
def server(tmp_path):
    made = Server(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def server_of_module(tmp_path_factory):
    made = Server(tmp_path_factory.mktemp("redis"))
    yield made
    made.close()


@pytest.fixture
def open_session(server, tmp_path):
    """Opens sessions with homes of their own and shared state on the server."""
    opened = []

    def make(url=server.url):
        session = Session("scripted:echo", state=url, home=tmp_path / f"{len(opened)}")
        opened.append(session)
        return session

    yield make
    for session in opened:
        session.close()
