"""Fixtures of the Dask tests: a cluster of two processes on loopback, and sessions with temporary homes."""

from __future__ import annotations

import os

import pytest

import ainb
from ainb.runtime import Runtime
from tests.stores.redis.redis_lab import ROOT, Server

SECRET = "sk-proj-made-up-9f8e7d6c5b4a39281706f5e4d3c2b1a0"
WORKERS = 2


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Two worker processes of one thread each, started with a key in their environment."""
    from distributed import Client, LocalCluster

    given = {
        "OPENAI_API_KEY": SECRET,
        "PYTHONPATH": str(ROOT),
        "AINB_HOME": str(tmp_path_factory.mktemp("far")),
    }
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    made = LocalCluster(
        n_workers=WORKERS, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0"
    )
    client = Client(made)
    yield client
    client.close()
    made.close()
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})


@pytest.fixture(autouse=True)
def key(monkeypatch):
    """Set the key here, too: a worker that Dask restarts gets the environment of this process."""
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)


@pytest.fixture
def events():
    return []


@pytest.fixture
def make_session(tmp_path, events):
    made = []

    def make(model="ollama:m", **options):
        options.setdefault("cache", None)
        session = ainb.Session(model, home=tmp_path / "near", runtime=Runtime(sink=events.append), **options)
        made.append(session)
        return session

    yield make
    for session in made:
        session.close()


@pytest.fixture
def redis(tmp_path):
    made = Server(tmp_path)
    yield made
    made.close()
