"""Tests of ``%%ai --each``: rows of the notebook's tables through the pipeline."""

from __future__ import annotations

import pandas as pd
import pytest

from ainb.batch import BatchInterrupted
from ainb.errors import CallInterrupted, ConfigError
from ainb.testing import script


@pytest.fixture
def shell(terminal):
    return terminal.shell


@pytest.fixture
def ask(shell):
    def ask(line, body, **names):
        shell.push(names)
        return shell.run_cell_magic("ai", line, body)

    return ask


@pytest.fixture
def reviews():
    return pd.DataFrame({"text": ["good", "bad", None], "id": [7, 8, 9]}, index=["a", "b", "c"])


def test_each_row_fills_from_its_columns_and_the_notebook(ask, shell, reviews):
    frame = ask("scripted:echo --each reviews", "{greeting} {text}", reviews=reviews, greeting="hey")

    assert list(frame.index) == ["a", "b", "c"]
    assert list(frame["status"]) == ["ok", "ok", "rejected"]
    assert list(frame["reply"][:2]) == ["hey good", "hey bad"]
    assert shell.user_ns["_ai"] is frame


def test_stopped_before_the_first_row_it_says_so_on_one_line(ask, reviews, monkeypatch):
    def stopped(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("ainb.batch.forecast.confirmation.forecast", stopped)
    with pytest.raises(
        CallInterrupted, match="stopped by you before the first row was sent; nothing was spent"
    ):
        ask("scripted:echo --each reviews", "{text}", reviews=reviews)


def test_into_binds_the_frame_and_shows_nothing(ask, shell, reviews):
    line = "scripted:echo --each reviews --into labels --limit 2 --keep id"

    assert ask(line, "{text}", reviews=reviews) is None
    assert list(shell.user_ns["labels"].columns[:2]) == ["id", "status"]
    assert len(shell.user_ns["labels"]) == 2


SCHEMA = {"type": "object", "properties": {"label": {"enum": ["good", "bad"]}}, "required": ["label"]}


def shown(shell, value):
    return shell.display_formatter.format(value)[0]


def test_a_result_shows_what_was_asked_for_and_names_the_rest(ask, shell, reviews):
    script("labels", ['{"label": "good"}', '{"label": "bad"}'])
    line = "scripted:labels --each reviews --schema SCHEMA --into labels"
    ask(line, "{text}", reviews=reviews, SCHEMA=SCHEMA)
    labels = shell.user_ns["labels"]

    for frame in (labels, labels.head(3), labels.sort_values("label"), labels.copy()):
        bundle = shown(shell, frame)
        assert bundle["text/plain"].splitlines()[0].split() == ["label", "status", "error_message"]
        assert "also: reply, error_type, attempts" in bundle["text/plain"]
        assert "<th>label</th>" in bundle["text/html"]
        assert "duration_s</th>" not in bundle["text/html"]
    first = shown(shell, labels.iloc[:2])
    assert first["text/plain"].splitlines()[0].split() == ["label", "status"]


def test_without_a_schema_a_result_shows_the_reply(ask, shell, reviews):
    frame = ask("scripted:echo --each reviews --limit 2 --keep id", "{text}", reviews=reviews)

    assert shown(shell, frame)["text/plain"].splitlines()[0].split() == ["id", "status", "reply"]


@pytest.mark.parametrize(
    "choose",
    [lambda frame: frame[["reply"]], lambda frame: frame.drop(columns="attempts"), lambda frame: frame.T],
)
def test_chosen_columns_are_shown_as_they_were_chosen(ask, shell, reviews, choose):
    frame = choose(ask("scripted:echo --each reviews --limit 2", "{text}", reviews=reviews))

    assert shown(shell, frame)["text/plain"] == repr(frame)


def test_other_frames_are_left_to_pandas(ask, shell, reviews):
    ask("scripted:echo --each reviews --limit 2", "{text}", reviews=reviews)

    assert shown(shell, reviews)["text/plain"] == repr(reviews)
    assert "also" not in shown(shell, reviews)["text/html"]


def test_an_interrupt_binds_the_rows_that_are_done(ask, shell, reviews, monkeypatch):
    def stopped(session, *_args, **_options):
        raise BatchInterrupted("stopped by you: 1 of 3 rows done", frame=reviews.head(1))

    monkeypatch.setattr("ainb.session.Session.map", stopped)

    with pytest.raises(BatchInterrupted, match="1 of 3 rows done; labels holds what is done"):
        ask("scripted:echo --each reviews --into labels", "{text}", reviews=reviews)

    assert list(shell.user_ns["labels"]["text"]) == ["good"]


def test_keep_star_carries_all_columns(ask, reviews):
    frame = ask("scripted:echo --each reviews --keep *", "{text}", reviews=reviews)

    assert list(frame.columns[:3]) == ["text", "id", "status"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--each revews", "did you mean 'reviews'"),
        ("--each reviews --format json", "--format does not go with --each"),
        ("--each reviews --limit x", "--limit takes a whole number"),
        ("--limit 3", "--limit needs --each FRAME"),
        ("--each number", "a batch takes a DataFrame"),
    ],
)
def test_options_that_do_not_fit_rows_are_refused(ask, reviews, line, said):
    with pytest.raises(ConfigError, match=said):
        ask(f"scripted:echo {line}", "{text}", reviews=reviews, number=3)


def test_failed_rows_are_sent_again_on_request(ask):
    script("flaky", [400, "fine"])
    words = ["a", "b"]

    first = ask("scripted:flaky --each words", "{value}", words=words)
    assert "error" in set(first["status"])
    again = ask("scripted:flaky --each words --retry-failed", "{value}", words=words)
    assert list(again["status"]) in (["ok", "ok"], ["error", "ok"], ["ok", "error"])


def test_one_line_says_how_it_went(ask, capsys, reviews):
    ask("scripted:echo --each reviews", "{text}", reviews=reviews)

    said = capsys.readouterr().err
    assert "3 of 3 rows · done" in said
    assert "2 answered · 1 not sent" in said


def test_a_table_on_dask_is_computed_and_its_rows_come_back_in_order(ask, shell, reviews):
    dd = pytest.importorskip("dask.dataframe")
    table = dd.from_pandas(reviews, npartitions=2)

    frame = ask("scripted:echo --each table", "{greeting} {text}", table=table, greeting="hey")

    assert list(frame["reply"][:2]) == ["hey good", "hey bad"]
    assert list(frame["status"]) == ["ok", "ok", "rejected"]
    assert shell.user_ns["_ai"] is frame
