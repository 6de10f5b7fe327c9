"""Tests of calls that are prepared ahead of sending: the results are the same as without."""

from __future__ import annotations

import asyncio
import json
import sqlite3

import pytest

import ainb
from ainb.batch.input.reader import RowReader
from ainb.batch.running.ahead import MAX_CHARACTERS, ROWS
from ainb.testing import Step, script
from ainb.testing.faults import SCRIPTS

PRICES = {"scripted:paid": {"input_usd_per_million": 0, "output_usd_per_million": 10_000}}


@pytest.fixture(autouse=True)
def _no_scripts():
    yield
    SCRIPTS.clear()


def read_all(reader: RowReader, looks: list[int]) -> list[object]:
    """Every row; before each read, as many rows are prepared ahead as `looks` says, in turn."""

    async def read() -> list[object]:
        found = []
        for place in range(100):
            for count, _ in enumerate(reader.ahead(), start=1):
                if count >= looks[place % len(looks)]:
                    break
            row = await reader.read()
            if row is None:
                return found
            found.append(row)
        return found

    return asyncio.run(read())


@pytest.mark.parametrize("looks", [[1], [3], [100], [1, 5, 2]])
@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_each_row_is_handed_out_once_and_in_order(looks, count):
    started = []
    reader = RowReader(lambda: iter("abcdefg"[:count]), lambda *row: started.append(row), in_thread=False)

    assert read_all(reader, looks) == list(enumerate("abcdefg"[:count]))
    assert started == list(enumerate("abcdefg"[:count]))
    assert reader.ended


@pytest.mark.parametrize("error", [ValueError("broken"), OSError("gone"), StopIteration("odd")])
@pytest.mark.parametrize("look", [1, 2, 3, 10])
def test_an_error_of_the_source_comes_after_the_rows_before_it(error, look):
    def rows():
        yield "a"
        yield "b"
        raise error

    class Rows:  # a generator would turn StopIteration into a RuntimeError
        def __init__(self):
            self._left = ["a", "b"]

        def __iter__(self):
            return self

        def __next__(self):
            if self._left:
                return self._left.pop(0)
            raise error

    made = Rows if not isinstance(error, StopIteration) else rows
    started = []
    reader = RowReader(made, lambda *row: started.append(row), in_thread=False)

    with pytest.raises((type(error), RuntimeError)):
        read_all(reader, [look])
    assert started == [(0, "a"), (1, "b")]
    assert reader.ended


def test_rows_that_are_read_in_a_thread_are_never_read_ahead():
    read = []

    def rows():
        for number in range(3):
            read.append(number)
            yield number

    async def look() -> list[object]:
        reader = RowReader(rows, lambda *_: None, in_thread=True)
        await reader.read()
        seen = list(reader.ahead())
        reader.close()
        return seen

    assert asyncio.run(look()) == []
    assert read == [0]


@pytest.mark.parametrize("rows", [1, 5, ROWS - 1, ROWS, ROWS + 1, 3 * ROWS + 7])
@pytest.mark.parametrize("stored_every", [2, 5])
def test_stored_answers_among_new_rows_are_hits_and_the_others_are_sent_once(tmp_path, rows, stored_every):
    with ainb.Session("scripted:echo", home=tmp_path) as session:
        for number in range(0, rows, stored_every):
            session.ask(f"row {number}")
    with ainb.Session("scripted:echo", home=tmp_path) as session:
        frame = session.map(range(rows), "row {value}", journal=False)
        again = session.map(range(rows), "row {value}", journal=False)

    assert list(frame["reply"]) == [f"row {number}" for number in range(rows)]
    assert list(frame["cached"]) == [number % stored_every == 0 for number in range(rows)]
    assert again["cached"].all()


@pytest.mark.parametrize(
    "entry",
    [
        "not json",
        "{}",
        json.dumps({"version": 1, "text": "of an older ainb"}),
        json.dumps({"version": 99, "text": "of a newer ainb"}),
        '{"version": 2, "created_at": -1, "text": "forged"}',
        "[" * 5_000,
    ],
)
def test_entries_that_ainb_does_not_write_are_asked_again(tmp_path, entry):
    with ainb.Session("scripted:echo", home=tmp_path) as session:
        session.map(range(40), "row {value}", journal=False)
    with sqlite3.connect(tmp_path / "cache" / "cache.db") as connection:
        changed = connection.execute("UPDATE Cache SET value = ? WHERE rowid % 2", (entry,)).rowcount
    connection.close()
    with ainb.Session("scripted:echo", home=tmp_path) as session:
        frame = session.map(range(40), "row {value}", journal=False)

    assert list(frame["reply"]) == [f"row {number}" for number in range(40)]
    assert int((~frame["cached"]).sum()) == changed


def test_an_answer_that_another_session_stores_while_the_batch_runs_is_used(tmp_path):
    step = Step(delay_seconds=0.15)
    script("slow", [step])
    with ainb.Session("scripted:slow", home=tmp_path) as first:
        batch = first.submit_map([f"row {number}" for number in range(8)], "{value}", concurrency=1)
        with ainb.Session("scripted:slow", home=tmp_path) as second:
            second.ask("row 7")
        frame = batch.result(30)

    assert list(frame["cached"]) == [False] * 7 + [True]


@pytest.mark.parametrize("empty", [0, 1, 15, 31, 32, 39])
def test_a_row_that_cannot_be_made_is_rejected_alone(tmp_path, empty):
    rows = [{"text": None if number == empty else f"row {number}"} for number in range(40)]
    with ainb.Session("scripted:echo", home=tmp_path) as session:
        frame = session.map(rows, "{text}", journal=False)

    assert [place for place, status in enumerate(frame["status"]) if status != "ok"] == [empty]
    assert "is empty" in frame["error_message"][empty]


class Slow:
    """A value with its own `__str__`."""

    def __init__(self, text):
        self.text = text

    def __str__(self):
        return self.text


@pytest.mark.parametrize("kinds", ["ps", "sp", "pps", "s", "ppppps"])
def test_values_written_by_code_of_the_user_stand_among_plain_ones(tmp_path, kinds):
    texts = [f"row {number}" for number in range(70)]
    rows = [
        {"text": Slow(text) if kinds[place % len(kinds)] == "s" else text} for place, text in enumerate(texts)
    ]
    with ainb.Session("scripted:echo", home=tmp_path) as session:
        frame = session.map(rows, "{text}", journal=False)

    assert list(frame["reply"]) == texts


@pytest.mark.parametrize("concurrency", [1, 4, 64])
def test_one_object_in_many_rows_is_answered_in_each(tmp_path, concurrency):
    same = {"text": "the same"}
    with ainb.Session("scripted:echo", home=tmp_path) as session:
        frame = session.map([same] * 50, "{text}", concurrency=concurrency)
        usage = session.usage()

    assert list(frame["reply"]) == ["the same"] * 50
    assert len(usage) == 1


@pytest.mark.parametrize("size", [10, MAX_CHARACTERS // 3, MAX_CHARACTERS, 3 * MAX_CHARACTERS])
def test_prompts_of_any_length(tmp_path, size):
    rows = [f"{number} " + "x " * (size // 2) for number in range(9)]
    with ainb.Session("scripted:echo", home=tmp_path, validation=None) as session:
        frame = session.map(rows, "{value}", journal=False)
        again = session.map(rows, "{value}", journal=False)

    assert list(frame["reply"]) == rows
    assert again["cached"].all()


@pytest.mark.parametrize("paid_rows", [0, 1, 7, 33])
def test_rows_that_the_budget_refuses_are_sent_by_the_next_run_and_the_others_are_not(tmp_path, paid_rows):
    script("paid", [Step(text="word")])
    limit = 0.000001 + paid_rows / 100  # every reply is one word, at one cent
    options = {"prices": PRICES, "home": tmp_path}
    refusing = ainb.Config(budget=ainb.Budget(usd=limit), **options)
    prompts = [f"row {number}" for number in range(60)]
    with ainb.Session("scripted:paid", config=refusing) as session:
        first = session.map(prompts, "{value}", max_tokens=1)
    with ainb.Session("scripted:paid", config=ainb.Config(**options)) as session:
        second = session.map(prompts, "{value}", max_tokens=1)
        usage = session.usage()

    assert int((first["status"] == "ok").sum()) == paid_rows
    assert set(first["status"]) <= {"ok", "rejected"}
    assert (second["status"] == "ok").all()
    assert int((usage["attempts"] > 0).sum()) == 60


def test_rows_after_a_stop_are_sent_by_the_next_run(tmp_path):
    script("sick", [Step(text="fine"), Step(status=400), Step(text="fine")])
    prompts = [f"row {number}" for number in range(50)]
    with ainb.Session("scripted:sick", home=tmp_path) as session:
        first = session.map(prompts, "{value}", fail_fast=True, concurrency=1)
        second = session.map(prompts, "{value}", concurrency=1)

    assert list(first["status"][:2]) == ["ok", "error"]
    assert set(first["status"][2:]) == {"cancelled"}
    assert list(second["status"]) == ["ok", "error", *["ok"] * 48]


@pytest.mark.parametrize("where", ["memory", None])
def test_without_a_cache_on_disk_rows_are_sent_as_ever(tmp_path, where):
    cache = None if where is None else ainb.Cache(where=where)
    with ainb.Session("scripted:echo", home=tmp_path, cache=cache) as session:
        frame = session.map(range(70), "row {value}", journal=False)
        again = session.map(range(70), "row {value}", journal=False)

    assert list(frame["reply"]) == [f"row {number}" for number in range(70)]
    assert again["cached"].all() == (where == "memory")


@pytest.mark.parametrize("mode", ["off", "refresh"])
def test_calls_that_do_not_read_the_cache_are_sent(tmp_path, mode):
    with ainb.Session("scripted:echo", home=tmp_path) as session:
        session.map(range(40), "row {value}", journal=False)
        frame = session.map(range(40), "row {value}", journal=False, cache=mode)

    assert not frame["cached"].any()
