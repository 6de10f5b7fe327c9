"""Tests of Dask collections in this process: columns before computing, results as with pandas."""

from __future__ import annotations

import subprocess
import sys
import typing

import pandas as pd
import pydantic
import pytest

from ainb.errors import ConfigError
from ainb.testing import Step, script
from tests.batch.test_map import COLUMNS
from tests.fault_server import Fault, FaultServer
from tests.lazy import Lazy

db, dd = Lazy("dask.bag"), Lazy("dask.dataframe")


class Label(pydantic.BaseModel):
    label: typing.Literal["good", "bad"]
    score: float | None = None


@pytest.fixture
def session(make_session):
    return make_session("scripted:echo")


@pytest.fixture
def words():
    frame = pd.DataFrame({"word": list("uvwxyz"), "n": range(6)}, index=[7, 7, 7, 8, 8, 9])
    return dd.from_pandas(frame, npartitions=3)


def test_the_result_is_lazy_and_has_the_index_the_partitions_and_the_columns_of_a_pandas_map(session, words):
    lazy = session.map(words, "say {word}", keep=["n"])

    assert isinstance(lazy, dd.DataFrame)
    assert lazy.divisions == words.divisions
    assert list(lazy.columns) == ["n", *COLUMNS]
    assert session.usage().empty
    result = lazy.compute()
    assert list(result["reply"]) == [f"say {letter}" for letter in "uvwxyz"]
    assert list(result.index) == [7, 7, 7, 8, 8, 9]
    assert list(result["n"]) == list(range(6))


def test_the_types_are_known_before_computing_those_of_a_schema_too(make_session, words):
    answer = '{"label": "good", "score": 0.5}'
    with FaultServer(plan=lambda _seen: Fault(text=answer)) as server:
        lazy = make_session(api_base=server.base_url).map(words, "judge {word}", schema=Label)
        known = {name: str(dtype) for name, dtype in lazy.dtypes.items()}

        assert server.hits == 0
        assert (known["label"], known["score"], known["status"]) == ("category", "Float64", "category")
        result = lazy.compute()
    assert {name: str(dtype) for name, dtype in result.dtypes.items()} == known
    assert set(result["label"]) == {"good"}
    assert result["score"].sum() == 3.0


def test_an_error_before_sending_names_a_missing_column_and_existing_ones(session, words):
    with pytest.raises(ConfigError, match=r"did you mean \{word\}\? columns are: word, n"):
        session.map(words, "say {wrod}")
    with pytest.raises(ValueError, match=r"\{wrod\} is not a column; columns are: word, n"):
        words.map_partitions(session.for_partitions("say {wrod}"))
    assert session.usage().empty


def test_map_partitions_takes_a_function_that_sends_nothing_while_dask_looks_for_the_columns(session, words):
    lazy = words.map_partitions(session.for_partitions("{greeting} {word}", names={"greeting": "hey"}))

    assert session.usage().empty
    assert list(lazy.columns) == COLUMNS
    assert list(lazy.compute()["reply"]) == [f"hey {letter}" for letter in "uvwxyz"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"limit": 3}, "limit does not go with a Dask collection"),
        ({"sample": 3}, "use ddf.sample"),
        ({"out": "x.csv"}, "to_parquet"),
        ({"concurrency": 0}, "concurrency must be"),
        ({"model": "nope:x"}, "names no provider"),
        ({"schema": 3}, "a schema is a pydantic model"),
        ({"keep": ["nope"]}, "keep names a column 'nope'"),
    ],
)
def test_invalid_options_are_refused_before_computing(session, words, options, said):
    with pytest.raises(ConfigError, match=said):
        session.map(words, "say {word}", **options)


def test_a_series_and_a_bag_fill_value_and_a_bag_of_records_its_fields(session, words):
    assert list(session.map(words["word"], "<{value}>").compute()["reply"]) == [f"<{x}>" for x in "uvwxyz"]
    plain = session.map(db.from_sequence(["a", "b", "c"], npartitions=2), "<{value}>")
    assert list(plain.compute()["reply"]) == ["<a>", "<b>", "<c>"]
    records = db.from_sequence([{"a": 1}, {"a": 2}], npartitions=2)
    assert list(session.map(records, "<{a}>").compute()["reply"]) == ["<1>", "<2>"]


def test_a_function_gets_each_row(session, words):
    result = session.map(words, lambda row: row["word"] * (row["n"] + 1)).compute()

    assert list(result["reply"]) == ["u", "vv", "www", "xxxx", "yyyyy", "zzzzzz"]


def test_empty_partitions_stay_empty(session, words):
    result = session.map(words[words["n"] > 3], "{word}").compute()

    assert list(result["reply"]) == ["y", "z"]
    assert session.map(words[words["n"] > 9], "{word}").compute().dtypes["cost_usd"] == "Float64"


def test_a_partition_whose_rows_cannot_be_filled_leaves_the_others_alone(session):
    parts = [
        pd.DataFrame({"a": ["x"], "b": [1]}),
        pd.DataFrame({"a": [None], "b": [2]}),
        pd.DataFrame({"b": [3]}),
    ]
    ddf = dd.from_map(lambda number: parts[number], range(3), meta=parts[0], enforce_metadata=False)

    result = session.map(ddf, "say {a}").compute()

    assert list(result["status"]) == ["ok", "rejected", "rejected"]
    assert "'a' of this row is empty" in result["error_message"].iloc[1]
    assert "this row has no 'a'" in result["error_message"].iloc[2]


def test_computed_again_it_pays_nothing_and_mapped_again_it_starts_anew(make_session, words):
    played = script("count", ["x"])
    session = make_session("scripted:count")
    lazy = session.map(words, "{word}")
    lazy.compute()

    assert lazy.compute()["reply"].tolist() == ["x"] * 6
    assert played.played == 6
    session.map(words, "{word}").compute()
    assert played.played == 12


def test_an_unfinished_run_is_gone_on_with_and_failed_rows_are_sent_again_when_asked(make_session, words):
    played = script("count", ["x"])
    session = make_session("scripted:count")
    session.map(words, "{word}").partitions[0].compute()
    first = played.played
    session.map(words, "{word}").compute()
    assert played.played == 6 > first > 0

    script("ill", [400, *["x"] * 20])
    result = session.map(words, "{word}", model="scripted:ill").compute()
    assert (result["status"] == "error").sum() == 1
    result = session.map(words, "{word}", model="scripted:ill", retry_failed=True).compute()
    assert (result["status"] == "ok").all()


def test_the_watcher_sees_the_sum_of_all_partitions(session, words):
    from ainb.dask import compute

    seen = []
    lazy = session.map(words, "{word}", watcher=lambda progress: seen.append((progress.done, progress.state)))

    compute(session.core, lazy)

    assert seen[-1] == (6, "finished")


def test_a_dry_run_shows_the_first_row_and_sends_nothing(session, words):
    preview, _ = session.preview_map(words, "say {word}")

    assert "say u" in str(preview)
    assert session.usage().empty
    with pytest.raises(ConfigError, match="persist"):
        session.submit_map(words, "say {word}")


def test_an_error_names_the_missing_extra(session, words, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)

    for ask in (lambda: session.for_partitions("{a}"), lambda: session.map(words, "{word}")):
        with pytest.raises(ConfigError, match=r'pip install "ainb-notebook\[dask\]"'):
            ask()


def test_nothing_of_dask_is_imported_when_it_is_not_used(tmp_path):
    code = (
        "import sys, ainb, pandas as pd\n"
        f"s = ainb.Session('scripted:echo', home={str(tmp_path)!r})\n"
        "s.map(pd.DataFrame({'a': ['x']}), '{a}'); s.close()\n"
        "print([name for name in sys.modules if name.split('.')[0] in {'dask', 'distributed'} or "
        "name.startswith('ainb.dask')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout.strip() == "[]"


def test_in_this_process_it_is_the_session_itself_that_keeps_its_limits_and_money(make_session, words):
    script("slow", [Step(delay_seconds=0.01)])
    session = make_session("scripted:slow")

    session.map(words, "{word}").compute()

    assert len(session.usage(session_id=session.log.session_id)) == 6
