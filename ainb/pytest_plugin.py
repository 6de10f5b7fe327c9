"""For ``pytest --nbval``: notebooks answer from their cassettes and show nothing that differs from run to run.

Loaded by pytest through an entry point, for every run of everybody who has ainb installed: so it imports
nothing that takes time, and does nothing unless notebooks are validated.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

DEFAULTS = {"AINB_REPLAY": "replay", "AINB_DISPLAY": "static"}
NOTEBOOK_VARIABLE = "AINB_NOTEBOOK"
_UNTOUCHED = pytest.StashKey[dict[str, str | None]]()


def pytest_configure(config: pytest.Config) -> None:
    """Choose replay and static display for strict runs, where nobody has chosen otherwise.

    A lax run (``--nbval-lax``) asks the model itself, so that only the name of its notebook is told.
    """
    names = (*DEFAULTS, NOTEBOOK_VARIABLE)
    config.stash[_UNTOUCHED] = {name: os.environ.get(name) for name in names}
    if config.getoption("nbval", default=False):
        for name, value in DEFAULTS.items():
            os.environ.setdefault(name, value)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tell the notebook's name before its kernel starts: nbval hands over its folder only."""
    if item.path.suffix == ".ipynb":
        os.environ[NOTEBOOK_VARIABLE] = str(item.path)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave the environment as it was."""
    untouched: dict[str, Any] = config.stash.get(_UNTOUCHED, {})
    for name, value in untouched.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
