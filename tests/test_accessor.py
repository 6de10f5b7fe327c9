"""``df.ai``: the table's rows through the notebook's session."""

from __future__ import annotations

import pandas as pd
import pytest

import ainb
from ainb import session as sessions
from tests.shells import fresh_shell


@pytest.fixture
def current(tmp_path):
    with ainb.Session("scripted:echo", home=tmp_path) as session:
        sessions.use(session)
        yield session
    sessions.use(None)


def test_a_frame_and_a_column_go_through_the_notebooks_session(current):
    import ainb.accessor  # noqa: F401 - importing it is the act

    frame = pd.DataFrame({"word": ["x", "y"]}, index=["a", "b"])

    assert list(frame.ai.map("say {word}")["reply"]) == ["say x", "say y"]
    assert list(frame["word"].ai.map("{value}!")["reply"]) == ["x!", "y!"]
    assert list(frame.ai.submit_map("{word}").result(30).index) == ["a", "b"]
    assert len(current.usage()) == 6


def test_a_cell_with_pandas_loaded_finds_it(current):
    with fresh_shell() as shell:
        shell.run_line_magic("load_ext", "ainb")
        sessions.use(current)
        done = shell.run_cell("import pandas as pd\nlist(pd.DataFrame({'w': ['x']}).ai.map('{w}')['reply'])")

    assert done.result == ["x"]
