"""A session on scripted models in a home of its own."""

from __future__ import annotations

import pytest

import ainb
from ainb.testing.faults import SCRIPTS


@pytest.fixture
def events():
    return []


@pytest.fixture
def session(tmp_path, events):
    made = ainb.Session(
        "scripted:echo", home=tmp_path / "home", runtime=ainb.assembly.Runtime(sink=events.append)
    )
    yield made
    made.close()
    SCRIPTS.clear()
