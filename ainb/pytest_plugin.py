"""Plugin for ``pytest --nbval``: replays notebooks from their cassettes, with deterministic output.

pytest loads it through an entry point in every run if ainb is installed, so it imports nothing slow and does
nothing unless notebooks are validated.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

DEFAULTS = {"AINB_REPLAY": "replay", "AINB_DISPLAY": "static"}
NOTEBOOK_VARIABLE = "AINB_NOTEBOOK"
_UNTOUCHED = pytest.StashKey[dict[str, str | None]]()


def pytest_configure(config: pytest.Config) -> None:
    """Set replay and static display for strict runs, unless they are already set.

    A lax run (``--nbval-lax``) calls the model, so only the path of its notebook is set.
    """
    names = (*DEFAULTS, NOTEBOOK_VARIABLE)
    config.stash[_UNTOUCHED] = {name: os.environ.get(name) for name in names}
    if config.getoption("nbval", default=False):
        for name, value in DEFAULTS.items():
            os.environ.setdefault(name, value)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Set the notebook's path before its kernel starts, since nbval passes only its folder."""
    if item.path.suffix == ".ipynb":
        os.environ[NOTEBOOK_VARIABLE] = str(item.path)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Restore the environment."""
    untouched: dict[str, Any] = config.stash.get(_UNTOUCHED, {})
    for name, value in untouched.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
