"""Tests of the bounded memory store."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest

from ainb.errors import ConfigError
from ainb.fork import renew_after_fork
from ainb.stores.base import StoreStats, at_once
from ainb.stores.local import make_store
from ainb.stores.memory import ENTRY_OVERHEAD_BYTES, MemoryStore
from tests.forks import end_of, start_child


def put(store, key, text="x", *, namespace="n", created_at=0.0):
    at_once(store.set(namespace, key, text, created_at=created_at))


def get(store, key, *, namespace="n"):
    return at_once(store.get(namespace, key))


def test_namespaces_are_separate():
    store = MemoryStore()
    put(store, "k", "one", namespace="a")
    put(store, "k", "two", namespace="b")

    assert (get(store, "k", namespace="a"), get(store, "k", namespace="b"), get(store, "k")) == (
        "one",
        "two",
        None,
    )
    assert at_once(store.clear("a")) == 1
    assert get(store, "k", namespace="b") == "two"


def test_what_was_used_longest_ago_goes_first():
    store = MemoryStore(max_bytes=3 * (ENTRY_OVERHEAD_BYTES + 10))
    for key in "abc":
        put(store, key)
    get(store, "a")
    put(store, "d")

    assert [get(store, key) for key in "abcd"] == ["x", None, "x", "x"]


def test_the_bound_counts_bytes_and_replacing_frees_them():
    store = MemoryStore(max_bytes=10_000)
    for number in range(200):
        put(store, str(number % 3), "é" * 1000)
    stats = at_once(store.stats())

    assert stats.size_bytes <= 10_000
    assert stats.entries == len(store) == 2
    put(store, "huge", "x" * 10_001)
    assert get(store, "huge") is None
    at_once(store.delete("n", "0"))
    at_once(store.clear("n"))
    assert at_once(store.stats()) == StoreStats(entries=0, size_bytes=0)


def test_prune_forgets_what_was_made_before():
    store = MemoryStore()
    for moment in range(5):
        put(store, str(moment), created_at=moment)

    assert at_once(store.prune("n", created_before=3)) == 3
    assert [get(store, str(moment)) for moment in range(5)] == [None, None, None, "x", "x"]


@pytest.mark.parametrize("bound", [0, -1, True, 1.5, None])
def test_a_bound_that_makes_no_sense_is_refused(bound):
    with pytest.raises(ConfigError, match="max_bytes must be a whole number of bytes above 0"):
        MemoryStore(max_bytes=bound)


def test_many_threads_leave_the_count_right():
    store = MemoryStore(max_bytes=50_000)

    def work(seed):
        for number in range(2000):
            put(store, str((number * seed) % 97), "x" * (number % 50))
            get(store, str(number % 97))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (1, 3, 5, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert store._size_bytes == sum(item.size_bytes for item in store._items.values())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_lock_held_at_a_fork_does_not_hang_the_child():
    store = MemoryStore()
    put(store, "k", "kept")

    def work():
        assert get(store, "k") == "kept"

    with store._lock:
        child = start_child(work)
    assert end_of(child) == 0


def test_a_store_that_waits_for_a_network_says_so_to_plain_code():
    async def slow():
        await asyncio.sleep(0)

    with pytest.raises(ConfigError, match="use async functions"):
        at_once(slow())


def test_make_store_makes_what_is_asked_for_and_touches_no_disk(tmp_path):
    folder = tmp_path / "cache"

    assert make_store("memory", folder).name == "memory"
    assert make_store("disk", folder).name == "disk"
    assert not folder.exists()


def test_a_deleted_object_is_not_renewed_after_a_fork():
    class Thing:
        def renew(self):
            raise AssertionError

    renew_after_fork(Thing())
