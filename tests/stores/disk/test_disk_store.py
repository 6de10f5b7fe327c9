"""Tests of the disk store: private modes, sharing, storage faults, tampered rows."""

from __future__ import annotations

import asyncio
import os
import pickle
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import diskcache
import pytest

from ainb.stores.base import MAX_TEXT_BYTES, at_once
from ainb.stores.disk import write_queue as write_line
from ainb.stores.disk.faults import REST_SECONDS
from ainb.stores.disk.store import DiskStore
from ainb.stores.disk.text_cache import TextCache, TextDisk
from ainb.stores.files import NotPrivateError, prepare
from ainb.stores.memory import MemoryStore
from ainb.testing import FakeClock
from tests.forks import in_child


class Shelf:
    """A disk store with a fake clock and a list of notices, used from synchronous code."""

    def __init__(self, folder, **options):
        self.folder = Path(folder)
        self.clock = FakeClock()
        self.notices = []
        self.store = DiskStore(self.folder, clock=self.clock, sink=self.notices.append, **options)

    def set(self, key, text="text", *, created_at=0.0, flush=True):
        at_once(self.store.set("n", key, text, created_at=created_at))
        if flush:
            assert self.store.flush()

    def get(self, key, namespace="n"):
        return at_once(self.store.get(namespace, key))

    def close(self):
        at_once(self.store.close())

    def sql(self, statement, *arguments):
        with sqlite3.connect(self.folder / "cache.db") as connection:
            rows = connection.execute(statement, arguments).fetchall()
        connection.close()
        return rows

    def said(self):
        return [(notice.kind, notice.text) for notice in self.notices]


@pytest.fixture
def shelf(tmp_path):
    made = Shelf(tmp_path / "home" / "cache")
    yield made
    made.close()


def reopened(shelf):
    """The same folder, opened by another kernel."""
    shelf.close()
    return Shelf(shelf.folder)


def test_what_is_set_can_be_read_at_once_and_by_the_next_kernel(shelf):
    shelf.set("k", "é𝄞\x00", flush=False)

    assert shelf.get("k") == "é𝄞\x00"
    assert shelf.get("k", "other") is None
    other = reopened(shelf)
    assert other.get("k") == "é𝄞\x00"
    other.set("k", "newer")
    other.close()
    assert Shelf(shelf.folder).get("k") == "newer"
    assert shelf.notices == other.notices == []


def test_folder_and_files_are_private(shelf):
    old = os.umask(0)
    try:
        shelf.set("k")
    finally:
        os.umask(old)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in shelf.folder.iterdir()}

    assert stat.S_IMODE(shelf.folder.stat().st_mode) == 0o700
    assert modes == {"cache.db": 0o600, "cache.db-wal": 0o600, "cache.db-shm": 0o600}


def test_modes_that_are_too_wide_are_tightened(tmp_path):
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o755)
    (folder / "cache.db").touch(mode=0o644)
    shelf = Shelf(folder)
    shelf.set("k")

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "cache.db").stat().st_mode) == 0o600
    shelf.close()


def test_large_answers_stand_in_the_database_and_huge_ones_are_not_kept(shelf):
    shelf.set("large", "x" * 5_000_000)
    shelf.set("huge", "é" * (MAX_TEXT_BYTES // 2 + 1))

    assert len(shelf.get("large")) == 5_000_000
    assert shelf.get("huge") is None
    assert sorted(file.name.split("-")[0] for file in shelf.folder.iterdir()) == ["cache.db"] * 3
    assert len(shelf.notices) == 1
    assert (
        "an answer of 16,777,218 bytes is larger than the cache's limit of 16,777,216 bytes"
        in shelf.notices[0].text
    )


def test_nothing_is_evicted_and_prune_and_clear_forget(shelf):
    for moment in range(3000):
        shelf.set(str(moment), "x" * 200, created_at=moment, flush=False)
    shelf.store.flush()

    assert at_once(shelf.store.stats()).entries == 3000
    assert at_once(shelf.store.stats()).size_bytes > 600_000
    assert at_once(shelf.store.prune("n", created_before=1000)) == 1000
    assert at_once(shelf.store.prune("other", created_before=9000)) == 0
    assert (shelf.get("999"), shelf.get("1000")) == (None, "x" * 200)
    at_once(shelf.store.delete("n", "1000"))
    assert shelf.get("1000") is None
    shelf.set("waits", flush=False)
    assert at_once(shelf.store.clear("n")) == 2000
    assert shelf.get("waits") is None
    assert at_once(shelf.store.stats()).entries == 0


def test_delete_takes_back_what_still_waits_to_be_written(shelf, monkeypatch):
    monkeypatch.setattr(write_line, "GATHER_SECONDS", 30)
    shelf.set("k", flush=False)
    at_once(shelf.store.delete("n", "k"))
    shelf.store.flush()

    assert shelf.get("k") is None
    assert reopened(shelf).get("k") is None


def test_another_kernel_that_clears_clears_for_all(shelf):
    shelf.set("k")
    assert shelf.get("k")
    other = Shelf(shelf.folder)
    at_once(other.store.clear("n"))

    assert shelf.get("k") is None
    other.close()


def test_entries_beyond_a_full_queue_go_to_memory(shelf, monkeypatch):
    monkeypatch.setattr(write_line, "GATHER_SECONDS", 30)
    monkeypatch.setattr(write_line, "MAX_WAITING", 3)
    for key in "abcdef":
        shelf.set(key, key, flush=False)

    assert [shelf.get(key) for key in "abcdef"] == list("abcdef")
    assert len(shelf.notices) == 1
    assert "faster than the disk" in shelf.notices[0].text
    shelf.store.flush()
    assert [shelf.get(key) for key in "abcdef"] == list("abcdef")
    shelf.set("f", "newer")
    assert shelf.get("f") == "newer"


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def bombs(path):
    payload = pickle.dumps(Bomb(path))
    secret = "../../secret.txt"
    return [
        ("mode = 4, value = ?", payload),  # a pickle in the row
        ("mode = 4, filename = ?, value = NULL", "bomb.val"),  # a pickle beside the database
        ("mode = 4, filename = ?, value = NULL", "../../bomb.val"),
        ("mode = 2, filename = ?, value = NULL", secret),  # a file outside, as bytes
        ("mode = 3, filename = ?, value = NULL", secret),  # and as text
        ("filename = ?", secret),
        ("value = ?", payload),  # raw bytes
        ("value = ?", 5),
        ("value = ?", 5.5),
        ("value = ?", None),
        ("mode = ?", "1; DROP TABLE Cache"),
        ("mode = ?", None),
        ("raw = 0, key = ?", payload),
        ("value = CAST(zeroblob(40000000) AS TEXT), tag = ?", 0),  # a huge row
        ("value = CAST(x'ff41' AS TEXT), tag = ?", 0),  # not UTF-8
    ]


@pytest.mark.parametrize("case", range(15))
def test_a_tampered_row_runs_nothing_reads_nothing_deletes_nothing(tmp_path, case):
    shelf = Shelf(tmp_path / "a" / "b" / "cache")
    marker, secret = tmp_path / "marker", tmp_path / "a" / "secret.txt"
    shelf.set("k")
    shelf.close()
    secret.write_text("secret")
    change, value = bombs(marker)[case]
    for place in (shelf.folder / "bomb.val", tmp_path / "a" / "bomb.val"):
        place.write_bytes(pickle.dumps(Bomb(marker)))
    shelf.sql(f"UPDATE Cache SET {change}", value)  # noqa: S608 - the test's own text

    victim = Shelf(shelf.folder)
    assert victim.get("k") is None
    victim.set("k", "mended")
    victim.clock.advance(REST_SECONDS + 1)
    assert victim.get("k") == "mended"
    at_once(victim.store.clear("n"))
    victim.close()

    assert not marker.exists()
    assert secret.read_text() == "secret"
    assert (tmp_path / "a" / "bomb.val").exists()
    assert len(victim.notices) == (0 if "raw = 0" in change else 1)
    assert all(kind == "cache" for kind, _text in victim.said())


def test_the_stock_disk_would_have_run_it(tmp_path):
    """Control: the payload of the tests above runs in an unmodified `diskcache.Disk`."""
    marker = tmp_path / "marker"
    with diskcache.Cache(str(tmp_path / "stock")) as cache:
        cache["k"] = "text"
        cache._sql("UPDATE Cache SET mode = 4, value = ?", (pickle.dumps(Bomb(marker)),))
        cache["k"].close()

    assert marker.exists()


def test_settings_in_the_file_are_not_believed(shelf):
    shelf.set("k")
    shelf.close()
    tampered = {
        "disk_min_file_size": 0,
        "disk_evil": 1,
        "eviction_policy": "least-recently-used",
        "cull_limit": 10,
        "size_limit": 0,
        "statistics": 1,
        "sqlite_mmap_size": 2**30,
        "sqlite_synchronous": 0,
        "sqlite_writable_schema": 1,
        "sqlite_temp_store_directory": "'/'",
        "get": "not a method any more",
        "_disk": "nor this",
        "count": "many",
    }
    for name, value in tampered.items():
        shelf.sql("INSERT OR REPLACE INTO Settings VALUES (?, ?)", name, value)

    victim = Shelf(shelf.folder)
    for number in range(50):
        victim.set(str(number), "x" * 100_000, flush=False)
    victim.store.flush()

    assert victim.get("k") == "text"
    assert victim.get("0") == "x" * 100_000
    database = victim.store._database
    assert (database.eviction_policy, database.cull_limit, database.statistics) == ("none", 0, 0)
    assert not hasattr(database.disk, "evil")
    for pragma, value in (
        ("mmap_size", 0),
        ("synchronous", 1),
        ("writable_schema", 0),
        ("trusted_schema", 0),
    ):
        assert database._sql(f"PRAGMA {pragma}").fetchall() == [(value,)]
    assert not victim.notices
    victim.close()


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"this is no database, it is a text of some length" * 100),
        lambda path: path.write_bytes(path.read_bytes()[:5000]),
        lambda path: path.write_bytes(path.read_bytes()[:100] + os.urandom(60_000)),
        lambda path: path.write_bytes(b"\x00" * 4096),
    ],
    ids=["not a database", "truncated", "overwritten", "zeroes"],
)
def test_a_damaged_file_is_a_miss_and_one_notice_and_clear_mends_it(shelf, damage):
    for number in range(200):
        shelf.set(str(number), "x" * 500, flush=False)
    shelf.store.flush()
    shelf.close()
    damage(shelf.folder / "cache.db")

    victim = Shelf(shelf.folder)
    for number in range(200):
        assert victim.get(str(number)) in (None, "x" * 500)
    victim.set("new", "kept in memory")
    assert victim.get("new") == "kept in memory"
    assert [kind for kind, _text in victim.said()] == ["cache"]

    at_once(victim.store.clear("n"))
    victim.set("after", "on disk again")
    victim.close()
    assert Shelf(shelf.folder).get("after") == "on disk again"
    assert len(victim.notices) == 1


def test_a_file_that_is_cut_short_under_an_open_store_kills_nothing(shelf):
    for number in range(500):
        shelf.set(str(number), "x" * 2000, flush=False)
    shelf.store.flush()
    other = reopened(shelf)
    assert other.get("1")
    os.truncate(shelf.folder / "cache.db", 8192)

    for number in range(500):
        assert other.get(str(number)) in (None, "x" * 2000)
    other.set("k", flush=True)
    assert other.get("k") == "text"
    assert len(other.notices) <= 1
    other.close()


def test_a_disk_that_is_full_costs_a_notice_and_nothing_else(shelf):
    shelf.set("before")
    shelf.store._database._sql("SELECT 1")
    wait_for_writers = TextCache.wait_for_writers

    def full(self):
        wait_for_writers(self)
        self._con.execute("PRAGMA max_page_count = 1")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TextCache, "wait_for_writers", full)
        for number in range(300):
            shelf.set(str(number), "x" * 1000, flush=False)
        shelf.store.flush()
        assert [shelf.get(str(number)) for number in range(300)] == ["x" * 1000] * 300
    assert [text for _kind, text in shelf.said() if "full" in text]
    assert len(shelf.notices) == 1

    shelf.clock.advance(REST_SECONDS + 1)
    shelf.set("later")
    other = reopened(shelf)
    assert other.get("later") == other.get("before") == "text"
    assert other.get("1") is None


def test_a_disk_that_is_read_only_costs_a_notice_and_nothing_else(shelf):
    shelf.set("before")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TextCache, "wait_for_writers", lambda self: self._con.execute("PRAGMA query_only = ON"))
        shelf.set("k")
        assert shelf.get("k") == "text"
    assert "readonly" in shelf.notices[0].text
    assert len(shelf.notices) == 1


def test_a_locked_database_is_given_up_soon_and_tried_again_later(shelf, monkeypatch):
    monkeypatch.setattr("ainb.stores.disk.text_cache.OPEN_TRIES", 3)
    monkeypatch.setattr("ainb.stores.disk.text_cache.WRITE_BUSY_SECONDS", 0.1)
    shelf.set("k")
    shelf.close()
    holder = sqlite3.connect(shelf.folder / "cache.db", isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    holder.execute("UPDATE Cache SET access_count = 1")
    other = Shelf(shelf.folder)

    assert other.get("k") is None
    other.set("new", "kept in memory")
    assert other.get("new") == "kept in memory"
    assert len(other.notices) == 1
    assert "locked" in other.notices[0].text

    holder.execute("ROLLBACK")
    holder.close()
    assert other.get("k") is None
    other.clock.advance(REST_SECONDS + 1)
    assert other.get("k") == "text"
    other.close()


def test_a_writer_waits_for_another_kernels_write(shelf):
    shelf.set("a")
    holder = sqlite3.connect(shelf.folder / "cache.db", isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.3, holder.execute, ["COMMIT"])
    release.start()
    shelf.set("b")
    release.join(10)
    holder.close()

    assert shelf.get("b") == "text"
    assert not shelf.notices


def make_link(folder, target):
    target.mkdir()
    folder.parent.mkdir(parents=True)
    folder.symlink_to(target)


def make_file(folder, target):
    folder.parent.mkdir(parents=True)
    folder.write_text("a file")


def make_file_above(folder, target):
    folder.parent.write_text("a file")


def make_linked_database(folder, target):
    folder.mkdir(parents=True)
    target.write_text("precious")
    (folder / "cache.db").symlink_to(target)


def make_second_name(folder, target):
    folder.mkdir(parents=True)
    target.write_text("precious")
    os.link(target, folder / "cache.db")


def make_folder_for_database(folder, target):
    (folder / "cache.db").mkdir(parents=True)


def make_linked_log(folder, target):
    folder.mkdir(parents=True)
    target.write_text("precious")
    (folder / "cache.db-wal").symlink_to(target)


@pytest.mark.parametrize(
    "make",
    [
        make_link,
        make_file,
        make_file_above,
        make_linked_database,
        make_second_name,
        make_folder_for_database,
        make_linked_log,
    ],
    ids=lambda make: make.__name__,
)
def test_a_folder_that_cannot_be_trusted_means_memory_and_one_notice(tmp_path, make):
    target = tmp_path / "target"
    make(tmp_path / "home" / "cache", target)
    shelf = Shelf(tmp_path / "home" / "cache")

    for _ in range(2):
        shelf.set("k", "kept")
        assert shelf.get("k") == "kept"
        shelf.clock.advance(REST_SECONDS + 1)
    assert [kind for kind, _text in shelf.said()] == ["cache"]
    assert at_once(shelf.store.stats()).entries == 1
    if target.is_file():
        assert target.read_text() == "precious"
    if target.is_dir():
        assert not list(target.iterdir())
    shelf.close()


def test_another_users_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 12345)

    with pytest.raises(NotPrivateError, match="belongs to another user"):
        prepare(tmp_path / "cache" / "cache.db")


def test_the_text_disk_refuses_everything_but_text(tmp_path):
    disk = TextDisk(str(tmp_path), min_file_size=0, whatever=1)

    for value in (b"x", 1, 1.5, None, ["x"], object()):
        with pytest.raises(TypeError, match="must be a string"):
            disk.store(value, read=False)
        with pytest.raises(TypeError, match="must be a string"):
            disk.put(value)
    with pytest.raises(TypeError):
        disk.filename()
    with pytest.raises(Exception, match="not a text"):
        disk.get(pickle.dumps(1), False)
    assert disk.get("k", True) == "k"


def test_a_notice_is_never_given_by_the_writer_thread(shelf):
    seen = []
    shelf.store._faults._sink = lambda _notice: seen.append(threading.current_thread())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TextCache, "set_all", lambda *_args: 1 / 0)
        shelf.set("k")
    assert seen == []
    shelf.get("k")

    assert seen == [threading.current_thread()]


KERNEL = """
import sys, random
from ainb.stores.base import at_once
from ainb.stores.disk.store import DiskStore
from pathlib import Path
notices, seed = [], int(sys.argv[2])
store = DiskStore(Path(sys.argv[1]), sink=notices.append)
rng, found = random.Random(seed), 0
for number in range(1500):
    key = f"{rng.randrange(300):064d}"
    if rng.random() < 0.5:
        at_once(store.set("reply", key, "x" * rng.randrange(2000), created_at=float(number)))
    else:
        found += at_once(store.get("reply", key)) is not None
    if number % 10 == 0:
        store.flush()
    if number % 500 == 499:
        at_once(store.prune("reply", created_before=20.0))
at_once(store.close())
print(found, [notice.text for notice in notices])
sys.exit(len(notices))
"""


def test_four_kernels_on_one_store_have_no_lock_errors(tmp_path):
    command = [sys.executable, "-W", "error", "-c", KERNEL, str(tmp_path / "cache")]
    kernels = [
        subprocess.Popen([*command, str(seed)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for seed in range(4)
    ]
    outputs = [kernel.communicate(timeout=120)[0] for kernel in kernels]

    assert [kernel.returncode for kernel in kernels] == [0] * 4, outputs
    shelf = Shelf(tmp_path / "cache")
    entries = at_once(shelf.store.stats()).entries
    assert shelf.sql("SELECT COUNT(*) FROM Cache") == [(entries,)]
    assert shelf.sql("PRAGMA integrity_check") == [("ok",)]
    shelf.close()


EXIT = """
import sys
from ainb.stores.base import at_once
from ainb.stores.disk.store import DiskStore
from pathlib import Path
store = DiskStore(Path(sys.argv[1]))
for number in range(100):
    at_once(store.set("n", str(number), "text", created_at=0.0))
"""


def test_what_waits_is_written_when_the_process_ends(tmp_path):
    subprocess.run(
        [sys.executable, "-W", "error", "-c", EXIT, str(tmp_path / "cache")], check=True, timeout=60
    )
    shelf = Shelf(tmp_path / "cache")

    assert [shelf.get(str(number)) for number in range(100)] == ["text"] * 100
    shelf.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_reads_and_writes_on_its_own(shelf):
    shelf.set("parent")

    def work():
        shelf.set("child", "from the child", flush=False)
        assert shelf.store.flush(20)
        assert shelf.get("parent") == "text"
        shelf.close()
        assert not shelf.notices

    assert in_child(work) == 0
    assert shelf.get("child") == "from the child"
    shelf.set("k")
    assert shelf.get("k") == "text"


def test_reads_and_writes_from_many_threads_and_loops(shelf):
    wrong = []

    async def work(seed):
        for number in range(150):
            key = str((number * seed) % 40)
            await shelf.store.set("n", key, key, created_at=0.0)
            if await shelf.store.get("n", key) != key:
                wrong.append(key)
            await asyncio.sleep(0)

    def thread(seed):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(work(seed))
        loop.close()

    threads = [threading.Thread(target=thread, args=(seed,)) for seed in (1, 3, 7)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)

    assert (wrong, shelf.notices) == ([], [])
    assert shelf.store.flush()
    assert at_once(shelf.store.stats()).entries == 40


def test_the_spare_is_bounded(tmp_path):
    shelf = Shelf(tmp_path / "cache", fallback=MemoryStore(max_bytes=20_000))
    (tmp_path / "cache").write_text("in the way")
    shelf.get("first")
    for number in range(100):
        shelf.set(str(number), "x" * 1000, flush=False)

    assert len(shelf.store._fallback) < 20
    assert shelf.get("99") == "x" * 1000
    shelf.close()
