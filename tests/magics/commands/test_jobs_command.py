"""Tests of ``%%ai --each FRAME --batch-api`` and ``%ai jobs`` against the batch server."""

from __future__ import annotations

import contextlib

import pandas as pd
import pytest

from ainb.errors import BatchPendingError, ConfigError
from ainb.magics.commands.jobs import _tables
from tests.jobs.batch_server import BatchServer, Behaviour


@pytest.fixture
def shell(terminal, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "nobody")
    monkeypatch.setenv("AINB_BATCH_POLL_SECONDS", "0.02")
    return terminal.shell


@pytest.fixture
def reviews():
    return pd.DataFrame({"text": ["good", "bad", "fair"]}, index=["a", "b", "c"])


def each(shell, server, options=""):
    line = f"openai:gpt-5-mini --each reviews --batch-api --api-base {server.base_url} {options}"
    return shell.run_cell_magic("ai", line, "Classify {text}")


def test_a_cell_sends_its_rows_as_a_job_and_the_line_lists_it(shell, reviews, capsys):
    shell.push({"reviews": reviews})
    with BatchServer() as server:
        frame = each(shell, server)
        jobs = shell.run_line_magic("ai", "jobs")

    assert list(frame["reply"]) == ["Classify good", "Classify bad", "Classify fair"]
    assert len(server.jobs) == 1
    assert jobs["state"].tolist() == ["merged"]
    assert jobs["rows"].tolist() == [3]
    assert "batch_0000" in capsys.readouterr().out


def test_a_cell_that_waits_no_longer_leaves_the_job_and_the_line_cancels_it(shell, reviews, capsys):
    shell.push({"reviews": reviews})
    with BatchServer([Behaviour(end="stuck")]) as server:
        with pytest.raises(BatchPendingError):
            each(shell, server, "--max-wait 0.3")
        run_id = shell.run_line_magic("ai", "jobs")["run_id"][0]
        cancelled = shell.run_line_magic("ai", f"jobs cancel {run_id}")
        frame = each(shell, server)

    assert cancelled["run_id"].tolist() == [run_id]
    assert list(frame["status"]) == ["ok", "error", "ok"]
    assert "asked to stop" in capsys.readouterr().out


def test_a_dry_run_shows_both_prices(shell, reviews, capsys):
    shell.push({"reviews": reviews})
    with BatchServer() as server:
        each(shell, server, "--dry-run")

        assert server.requests == []
    said = capsys.readouterr().out
    assert "as batch jobs" in said
    assert "live" in said


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("jobs stop", "cancel RUN"),
        ("jobs cancel", "takes the run"),
        ("jobs cancel nothing", "no run has jobs under way"),
    ],
)
def test_a_wrong_word_is_one_line_with_the_way_out(shell, line, words):
    with pytest.raises(ConfigError, match=words):
        shell.run_line_magic("ai", line)


def test_without_jobs_the_line_says_how_to_submit_one(shell, capsys):
    shell.run_line_magic("ai", "jobs")

    assert "--batch-api" in capsys.readouterr().out


def test_the_flag_needs_rows(shell):
    with pytest.raises(ConfigError, match="--batch-api needs --each"):
        shell.run_cell_magic("ai", "scripted:echo --batch-api", "hello")


def test_the_table_of_jobs_has_numbers_on_the_right_and_times_on_one_line(shell, reviews, capsys):
    shell.push({"reviews": reviews})
    with BatchServer([Behaviour(end="stuck")]) as server:
        with pytest.raises(BatchPendingError):
            each(shell, server, "--max-wait 0.3")
        (table,) = _tables(shell.run_line_magic("ai", "jobs"))

    looks = {column: table.looks.get(place, "") for place, column in enumerate(table.columns)}
    assert {looks[name] for name in ("rows", "answered", "failed", "cost")} == {"number"}
    assert looks["submitted"] == "short"


@pytest.mark.parametrize("end", ["stuck", "completed"])
def test_the_cost_of_a_job_under_way_is_no_total(shell, reviews, capsys, end):
    shell.push({"reviews": reviews})
    with BatchServer([Behaviour(end=end)]) as server, contextlib.suppress(BatchPendingError):
        each(shell, server, "--max-wait 0.3" if end == "stuck" else "")

    shown = capsys.readouterr().err
    assert ("$0.00 so far" in shown) == (end == "stuck")
    assert (" total" in shown) == (end == "completed")
