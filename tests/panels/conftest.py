"""Fixtures of the tests marked `browser`: JupyterLab in a real browser."""

from __future__ import annotations

import os

import pytest

from tests.panels.browser_lab import Lab, Page, chromium, missing

# Read before a fixture removes every option from the environment.
REQUIRED = "chromium" in os.environ.get("AINB_TEST_REQUIRE", "")


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """One JupyterLab for all browser tests."""
    reason = missing()
    if reason is not None:
        if REQUIRED:
            pytest.fail(reason)
        pytest.skip(reason)
    running = Lab(tmp_path_factory.mktemp("lab"))
    yield running
    running.close()


@pytest.fixture(scope="module")
def browser(lab):
    """One browser per module: while it is open, tests of other modules cannot run an event loop."""
    with chromium() as running:
        yield running


@pytest.fixture
def page(browser, lab):
    context = browser.new_context(viewport={"width": 1300, "height": 2000})
    yield Page(context.new_page(), lab)
    context.close()
