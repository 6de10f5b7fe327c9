"""Tests of backward compatibility: usage log, batch journal and day book of version 0.1.0 can be read."""

from __future__ import annotations

import shutil
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

import ainb
from ainb.batch.journal.store import Journal
from ainb.pipeline.budget.accounts import Account, Balance, Claim, Verdict
from ainb.stores.day_book import DayBook

SAMPLES = Path(__file__).parent / "fixtures" / "home_0_1_0"
DAY = Account("day", "2026-09-21")
FINISHED, UNFINISHED = "01M3252RHZ7R719Y5SCZBFC5CF", "01M3252RHZ1M1PTYTGAGYWBQ1M"


@pytest.fixture
def home(tmp_path):
    return shutil.copytree(SAMPLES, tmp_path / "home")


@pytest.fixture
def session(home):
    opened = ainb.Session("scripted:echo", home=home)
    yield opened
    opened.close()


@pytest.fixture
def book(home):
    notices = []
    opened = DayBook(home / "budget.sqlite3", sink=notices.append)
    yield opened
    opened.close()
    assert notices == []


def test_the_usage_log_holds_every_call_with_its_values(session):
    calls = session.usage()

    assert calls["status"].tolist() == ["ok", "ok", "ok", "error", "ok", "error", "ok", "ok", "ok", "ok"]
    assert calls["started_at"].iloc[0] == pd.Timestamp(1_790_000_000, unit="s", tz="UTC")
    assert set(calls["provider_name"]) == {"openai"}
    assert set(calls["request_model"]) == {"gpt-5-mini"}
    assert calls["attempts"].tolist() == [1, 0, 2, 1, 1, 1, 1, 1, 1, 1]
    assert calls["input_tokens"].dropna().tolist() == [1, 1, 1, 2, 2, 3, 3, 3]
    assert calls["cost_usd"].round(9).tolist() == [
        *(4.25e-6, 0, 4.25e-6, 0),
        *(2.5e-6, 0, 2.5e-6),
        *([6.75e-6] * 3),
    ]
    assert calls["cache_hit"].tolist() == [False, True, *([False] * 8)]
    assert calls["saved_usd"].iloc[1] == pytest.approx(4.25e-6)


def test_the_usage_log_keeps_labels_errors_and_batches(session):
    calls = session.usage()

    assert calls["tags"].iloc[0] == '{"project":"sample"}'
    assert calls["user"].iloc[2] == "ann"
    assert calls["http_status"].iloc[3] == 400
    assert calls["error_message"].iloc[3].startswith("openai answered 400")
    assert calls["batch_id"].iloc[4:7].tolist() == [FINISHED] * 3
    assert len(session.errors()) == 2


def test_sums_of_the_usage_log_agree_with_its_rows(session):
    total = session.costs().iloc[0]

    assert total["calls"] == 10
    assert total["cost_usd"] == pytest.approx(session.usage()["cost_usd"].sum())


def test_new_calls_are_added_to_the_usage_log(session):
    session.ask("four?")

    calls = session.usage()

    assert len(calls) == 11
    assert calls["request_model"].iloc[-1] == "echo"


def test_the_journal_lists_finished_and_unfinished_batches(session):
    runs = session.runs().set_index("run_id")

    assert runs["title"].to_dict() == {FINISHED: "Answer {value}", UNFINISHED: "Say {value}"}
    assert runs.loc[FINISHED, ["rows", "done", "failed"]].tolist() == [3, 2, 1]
    assert runs.loc[UNFINISHED, "done"] == 4
    assert pd.isna(runs.loc[UNFINISHED, "finished_at"])


def test_rows_of_an_unfinished_batch_can_be_taken_up_again(home):
    journal = Journal(home / "journal.sqlite3")
    identity = "SELECT identity, row_key FROM runs JOIN rows USING (run_id) WHERE run_id = ?"
    with journal._connection as connection:
        rows = connection.execute(identity, (UNFINISHED,)).fetchall()

    assert journal.newest(rows[0][0], finished=False) == UNFINISHED
    results = [journal.find(UNFINISHED, key) for _, key in rows]
    assert sorted(result.reply for result in results) == [f"Say row {n}" for n in range(4)]
    assert {(item.status, item.cost_nano_usd, item.http_status) for item in results} == {("ok", 6750, None)}
    journal.close()


def test_a_failed_row_keeps_its_error(home):
    journal = Journal(home / "journal.sqlite3")
    query = "SELECT row_key FROM rows WHERE run_id = ? AND status = 'error'"
    with journal._connection as connection:
        ((key,),) = connection.execute(query, (FINISHED,)).fetchall()

    failed = journal.find(FINISHED, key)

    assert (failed.error_type, failed.http_status, failed.reply) == ("PermanentProviderError", 400, None)
    journal.close()


def test_the_day_book_settles_what_a_dead_kernel_held(book):
    """Of two reservations, the one whose call was sent counts as spent, and the other is released."""
    assert book.balance(DAY) == Balance(Decimal("3.000000000001"), Decimal(0))
    assert book.balance(Account("day", "2026-09-20")) == Balance(Decimal("0.25"), Decimal(0))


def test_the_day_book_takes_further_reservations(book):
    limit = Claim(DAY, Decimal(10))

    assert book.reserve(1, limit, Decimal(7)) is Verdict.NEVER
    assert book.reserve(2, limit, Decimal(6)) is Verdict.GRANTED
    assert book.settle(2, DAY, Decimal(1)) == Decimal("4.000000000001")
