from __future__ import annotations

import importlib.util
import pathlib
import sys

import pytest

# importlib mode does not add test folders to sys.path, so the helper module beside this file is loaded here.
_PATH = pathlib.Path(__file__).with_name("usage_calls.py")
_SPEC = importlib.util.spec_from_file_location("usage_calls", _PATH)
_MODULE = importlib.util.module_from_spec(_SPEC)
sys.modules["usage_calls"] = _MODULE
_SPEC.loader.exec_module(_MODULE)


@pytest.fixture
def notices():
    return []


@pytest.fixture
def make_log(tmp_path, notices):
    from ainb.testing import FakeClock
    from ainb.usage.log.log import FILE_NAME, UsageLog

    logs = []

    def make(path=tmp_path / "home" / FILE_NAME, **arguments):
        # The made-up calls are of 2023: with a clock of that time they are recent.
        clock = arguments.pop("clock", None) or FakeClock()
        logs.append(UsageLog(path, sink=notices.append, clock=clock, **arguments))
        return logs[-1]

    yield make
    for log in logs:
        log.close()
