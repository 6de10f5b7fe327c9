"""Tests of the lookup of many keys at once: missing keys are not looked up again."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from ainb.stores.base import at_once
from ainb.stores.disk.faults import REST_SECONDS
from ainb.stores.disk.store import ABSENT_SECONDS, MAX_ABSENT, DiskStore
from ainb.stores.disk.text_cache import MOST_NAMES
from ainb.testing import FakeClock


class Shelf:
    """A disk store in a shared folder, with its SELECT statements recorded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.notices: list[object] = []
        self.store = DiskStore(folder, clock=self.clock, sink=self.notices.append)
        self.selects: list[str] = []

    def set(self, key: str, text: str, *, flush: bool = True) -> None:
        at_once(self.store.set("n", key, text, created_at=0.0))
        if flush:
            assert self.store.flush()

    def get(self, key: str) -> str | None:
        return at_once(self.store.get("n", key))

    def expect(self, *keys: str) -> None:
        self.store.expect("n", keys)

    def watch(self) -> None:
        """Record every SELECT from now on."""

        def note(statement: str) -> None:
            if statement.startswith("SELECT"):
                self.selects.append(statement)

        self.store._open()._con.set_trace_callback(note)

    def sql(self, statement: str, *arguments: object) -> None:
        with sqlite3.connect(self.folder / "cache.db") as connection:
            connection.execute(statement, arguments)
        connection.close()


@pytest.fixture
def shelf(tmp_path):
    made = Shelf(tmp_path / "cache")
    yield made
    at_once(made.store.close())


@pytest.fixture
def other(shelf):
    """The same folder, opened by another kernel."""
    made = Shelf(shelf.folder)
    yield made
    at_once(made.store.close())


@pytest.mark.parametrize("count", [1, 2, MOST_NAMES - 1, MOST_NAMES])
def test_missing_keys_take_one_statement_and_each_is_looked_for_once(shelf, count):
    keys = [f"k{number}" for number in range(count)]
    shelf.watch()
    shelf.expect(*keys)

    assert [shelf.get(key) for key in keys] == [None] * count
    assert len(shelf.selects) == 1
    shelf.get(keys[0])
    assert len(shelf.selects) == 2


@pytest.mark.parametrize("count", [MOST_NAMES + 1, 100])
def test_more_keys_than_one_statement_takes(shelf, count):
    keys = [f"k{number}" for number in range(count)]
    shelf.set(keys[-1], "stored")
    shelf.watch()
    shelf.expect(*keys)

    assert [shelf.get(key) for key in keys] == [None] * (count - 1) + ["stored"]
    assert len(shelf.selects) == -(-count // MOST_NAMES) + 1


@pytest.mark.parametrize("flush", [True, False])
def test_stored_and_waiting_texts_are_found_among_missing_ones(shelf, flush):
    shelf.set("a", "1", flush=flush)
    shelf.set("c", "3", flush=flush)
    shelf.expect("a", "b", "c", "a")

    assert [shelf.get(key) for key in "abca"] == ["1", None, "3", "1"]


@pytest.mark.parametrize("keys", ["a", "ab", "bab", "abcdefgh"])
def test_texts_that_wait_when_they_are_expected_are_found_once_they_are_written(shelf, keys):
    for key in set(keys) - {"b"}:
        shelf.set(key, f"text of {key}", flush=False)
    shelf.expect(*keys)
    assert shelf.store.flush()

    assert [shelf.get(key) for key in keys] == [None if key == "b" else f"text of {key}" for key in keys]


def test_a_text_that_the_writer_has_under_way_is_found_once_it_is_written(shelf):
    shelf.set("k", "text", flush=False)
    with shelf.store._queue.writing:  # blocks the writer, which has taken the text or has it in the queue
        shelf.expect("k")
    assert shelf.store.flush()

    assert shelf.get("k") == "text"


def test_a_key_of_another_namespace_is_not_meant(shelf):
    at_once(shelf.store.set("other", "k", "theirs", created_at=0.0))
    assert shelf.store.flush()
    shelf.expect("k")

    assert shelf.get("k") is None
    assert at_once(shelf.store.get("other", "k")) == "theirs"


@pytest.mark.parametrize("flush", [True, False])
def test_what_this_store_writes_meanwhile_is_found_at_once(shelf, flush):
    shelf.expect("k")
    shelf.set("k", "new", flush=flush)

    assert shelf.get("k") == "new"


@pytest.mark.parametrize(("late_s", "found"), [(0.0, None), (ABSENT_SECONDS, "theirs"), (3_600.0, "theirs")])
def test_what_another_kernel_writes_meanwhile_is_found_a_moment_later(shelf, other, late_s, found):
    shelf.expect("k")
    other.set("k", "theirs")
    shelf.clock.advance(late_s)

    assert shelf.get("k") == found
    assert shelf.get("k") == "theirs"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE Cache SET mode = 4",
        "UPDATE Cache SET mode = 2, filename = '../../secret', value = NULL",
        "UPDATE Cache SET value = x'8004'",
        "UPDATE Cache SET value = 7",
        "UPDATE Cache SET filename = 'x'",
    ],
)
def test_a_tampered_row_is_a_miss_and_one_notice(shelf, change):
    shelf.set("k", "text")
    shelf.sql(change)
    shelf.expect("k", "missing")

    assert [shelf.get("k"), shelf.get("missing"), shelf.get("k")] == [None] * 3
    assert ["not in ainb's format" in notice.text for notice in shelf.notices] == [True]


@pytest.mark.parametrize("key", ["x' OR '1'='1", "%", "\x00", "é𝄞", "k" * 10_000])
def test_any_text_is_a_key(shelf, key):
    shelf.set("stored", "text")
    shelf.expect(key, "stored")
    assert shelf.get(key) is None
    shelf.set(key, "own")
    shelf.expect(key)

    assert shelf.get(key) == "own"


def test_a_row_with_a_key_that_is_no_text_is_another_row(shelf):
    shelf.set("k", "text")
    shelf.sql("UPDATE Cache SET key = CAST(key AS BLOB)")
    shelf.expect("k")

    assert shelf.get("k") is None


def test_a_file_that_cannot_be_read_costs_one_notice_and_memory_takes_over(shelf):
    shelf.set("k", "text")
    shelf.sql("DROP TABLE Cache")
    shelf.expect("k", "l")
    shelf.set("l", "in memory")

    assert [shelf.get("k"), shelf.get("l")] == [None, "in memory"]
    assert ["disk cache cannot be used" in notice.text for notice in shelf.notices] == [True]
    shelf.expect("l")  # the disk is not used for a while
    assert shelf.get("l") == "in memory"
    shelf.clock.advance(REST_SECONDS)
    assert shelf.get("l") == "in memory"


def test_texts_kept_in_memory_are_found_although_the_file_lacks_them(shelf):
    shelf.store._fallback.write("n:k", "spared", 0.0)
    shelf.expect("k")

    assert shelf.get("k") == "spared"


def test_keys_that_nobody_asks_for_are_forgotten(shelf):
    for number in range(2 * MAX_ABSENT // MOST_NAMES):
        shelf.expect(*(f"{number} {place}" for place in range(MOST_NAMES)))

    assert len(shelf.store._absent) <= MAX_ABSENT + MOST_NAMES


def test_clearing_the_cache_in_between_leaves_nothing(shelf):
    shelf.set("k", "text")
    shelf.expect("k", "l")
    assert at_once(shelf.store.clear("n")) == 1

    assert [shelf.get("k"), shelf.get("l")] == [None, None]
