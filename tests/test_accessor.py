"""Tests of the pandas accessor ``df.ai``, which sends rows through the notebook's session."""

from __future__ import annotations

import os
import subprocess
import sys

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
    import ainb.accessor  # noqa: F401 - the import registers the accessor

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


def test_a_table_with_a_column_of_that_name_says_both_ways(current):
    import ainb.accessor  # noqa: F401 - the import registers the accessor

    frame = pd.DataFrame({"ai": ["x"], "word": ["y"]})

    with pytest.raises(AttributeError, match=r"df\['ai'\] is the column, df\.ainb\.map"):
        frame.ai.map("{word}")
    assert list(frame.ainb.map("{word} {ai}")["reply"]) == ["y x"]
    assert list(frame["word"].ainb.map("{value}")["reply"]) == ["y"]
    assert not hasattr(frame, "ai")


def test_an_accessor_of_another_package_is_left_alone_and_named(tmp_path):
    code = """
import warnings
warnings.simplefilter("error")
import os
import subprocess
import sys

import pandas as pd

@pd.api.extensions.register_dataframe_accessor("ai")
class Other:
    def __init__(self, rows): self.rows = rows

import ainb.accessor
print(type(pd.DataFrame().ai).__name__, *ainb.accessor.notices)
print(pd.DataFrame({"w": ["x"]}).ainb.map("{w}", model="scripted:echo")["reply"][0], pd.Series(["x"]).ai.map is not None)
"""  # noqa: E501
    environment = {**os.environ, "AINB_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert (
        "Other df.ai belongs to another package (__main__) and is left unchanged; df.ainb.map" in done.stdout
    )
    assert "x True" in done.stdout
