"""Tests of the usage log: writing, storage faults, migration, pruning, several processes."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from usage_calls import START, finished

from ainb.errors import ConfigError
from ainb.events import Notice
from ainb.messages import Usage
from ainb.testing import FakeClock
from ainb.usage.frames.calls import usage
from ainb.usage.log import log_file, schema, writer
from ainb.usage.log.jsonlog import json_line
from ainb.usage.log.options import Log
from ainb.usage.log.reading import open_for_reading
from ainb.usage.log.rollups import TABLES, prune
from ainb.usage.log.store import LogStore, open_log
from ainb.usage.rows import build_row
from tests.forks import in_child

COUNT = "SELECT count(*) FROM calls"


def count(log):
    with log.reading() as connection:
        return connection.execute(COUNT).fetchone()[0]


def test_every_finished_call_is_covered_by_the_next_look(make_log):
    log = make_log()

    for number in range(50):
        log.listener(finished(number))
        assert number % 10 or count(log) == number + 1


def test_two_sessions_of_a_home_share_a_log_and_a_thread(make_log):
    one, other = make_log(), make_log()
    one.listener(finished(1))
    other.listener(finished(2))

    assert count(one) == count(other) == 2
    assert one.session_id != other.session_id
    assert [row.session_id for row in one.recent()] == [one.session_id, other.session_id]


def test_folder_and_file_are_private(make_log, tmp_path):
    old = os.umask(0)
    try:
        log = make_log(tmp_path / "new" / "usage.sqlite3")
        log.listener(finished())
        log.flush()
    finally:
        os.umask(old)

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").iterdir()}
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    assert set(modes.values()) == {0o600}


def test_reading_a_missing_log_creates_none(make_log, tmp_path):
    assert count(make_log(tmp_path / "nowhere" / "usage.sqlite3")) == 0
    assert not (tmp_path / "nowhere").exists()


def test_a_call_that_ends_after_the_session_is_closed_is_logged(make_log):
    log = make_log()
    log.listener(finished(1))
    log.close()
    log.listener(finished(2))

    assert count(log) == 2


def test_without_a_file_the_last_rows_are_kept_in_memory(make_log, monkeypatch):
    monkeypatch.setattr(writer, "RING_ROWS", 5)
    monkeypatch.setattr(log_file, "PRUNE_EVERY_ROWS", 1)
    log = make_log(None)
    for number in range(20):
        log.listener(finished(number))

    with log.reading() as connection:
        kept = [row[0] for row in connection.execute("SELECT call_id FROM calls ORDER BY id")]
    assert kept == [f"call-{number}" for number in range(15, 20)]


def test_values_that_sqlite_cannot_hold_lose_no_other_row(make_log, notices):
    log = make_log()
    log.listener(finished(1))
    log.listener(finished(2, request_id="bad \ud800 text"))
    log.listener(finished(3, options={"tags": {"k": "\ud800"}}))
    log.listener(finished(4))

    assert count(log) == 4
    assert notices == []


def test_a_row_that_cannot_be_made_is_said_once_and_loses_no_other(make_log, notices):
    log = make_log()
    broken = finished(1)
    object.__setattr__(broken, "ended_at", "not a time")
    for event in (broken, finished(2), broken, finished(3)):
        log.listener(event)

    assert count(log) == 2
    assert [notice.kind for notice in notices] == ["log"]


def test_no_row_is_lost_for_half_a_surrogate_pair_in_a_name_or_a_message(make_log, notices, caplog):
    half = "a\ud83db"
    log = make_log()
    for event in (
        finished(model=half, prompt=half, options={"user": half, "tags": {half: half}}),
        finished(error=RuntimeError(half)),
    ):
        with caplog.at_level(logging.INFO, logger="ainb"):
            log.listener(event)
            log.flush()
    frame = usage(log)

    assert sorted(frame["request_model"]) == ["a?b", "gpt-5-mini"]
    assert list(frame["error_message"].dropna()) == ["a?b"]
    assert len(usage(log, request_model=half)) == 1
    assert [json.loads(record.message)["status"] for record in caplog.records] == ["ok", "error"]
    assert notices == []


def test_a_line_that_cannot_be_logged_does_not_cost_the_row(make_log, notices, monkeypatch):
    def fail(_row):
        raise TypeError("no line of this")

    monkeypatch.setattr("ainb.usage.log.jsonlog.log_row", fail)
    log = make_log()

    log.listener(finished())
    log.listener(finished())

    assert len(usage(log)) == 2
    assert [notice.text for notice in notices] == [
        "a usage row could not be sent to the logger ainb: TypeError: no line of this"
    ]


def test_an_integer_of_more_than_64_bits_goes_into_the_log_line_as_it_is():
    row = build_row(finished(usage=Usage(input_tokens=2**70)), session_id="s")

    assert json.loads(json_line(row))["input_tokens"] == 2**70


def test_a_locked_log_delays_no_call_and_is_written_when_it_is_free(make_log, notices, tmp_path, monkeypatch):
    monkeypatch.setattr("ainb.usage.log.store.BUSY_MILLISECONDS", 20)
    clock = FakeClock()
    log = make_log(clock=clock)
    log.listener(finished(0))
    log.flush()
    path = tmp_path / "home" / "usage.sqlite3"
    # The writer's connection was opened with the longer wait; make it reconnect.
    log._writer._file.close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    for number in range(1, 4):
        log.listener(finished(number))
    assert count(log) == 4
    log.listener(finished(4))
    log.flush()
    assert len(notices) == 1
    assert isinstance(notices[0], Notice)
    assert "cannot write the usage log" in notices[0].text

    other.execute("ROLLBACK")
    other.close()
    clock.advance(2)
    log.listener(finished(5))
    log.flush()
    with sqlite3.connect(path) as direct:
        assert direct.execute(COUNT).fetchone()[0] == 6
    direct.close()
    assert len(notices) == 1


def test_a_corrupt_log_costs_one_notice_and_a_new_one_is_made_when_it_is_moved_away(
    make_log, notices, tmp_path
):
    path = tmp_path / "home" / "usage.sqlite3"
    path.parent.mkdir()
    path.write_bytes(b"this is no database " * 500)
    clock = FakeClock()
    log = make_log(clock=clock)
    log.listener(finished(1))

    assert count(log) == 1
    assert [notice.kind for notice in notices] == ["log"]

    path.unlink()
    clock.advance(2)
    log.listener(finished(2))
    log.flush()
    with open_for_reading(path, []) as direct:
        assert direct.execute(COUNT).fetchone()[0] == 2
    direct.close()


def test_a_folder_that_cannot_be_made_costs_one_notice(make_log, notices, tmp_path):
    (tmp_path / "file").write_text("in the way")
    log = make_log(tmp_path / "file" / "usage.sqlite3")
    log.listener(finished(1))

    assert count(log) == 1
    assert len(notices) == 1


def test_a_full_disk_keeps_rows_in_memory_until_there_is_room(make_log, notices):
    clock = FakeClock()
    log = make_log(clock=clock, options=Log(content=True))
    log.listener(finished(0))
    log.flush()
    with log._writer._lock:
        connection = log._writer._file.open().connection
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
    for number in range(1, 30):
        log.listener(finished(number, prompt="long " * 2000))

    assert count(log) == 30
    assert len(notices) == 1
    assert "full" in notices[0].text

    clock.advance(2)  # the file is opened again, without the bound
    log.listener(finished(30))
    log.flush()
    assert log._writer._pending == []
    assert count(log) == 31


def test_a_file_size_limit_of_the_process_fails_no_call(tmp_path):
    code = """
        import resource, signal, sys
        from pathlib import Path
        sys.path.insert(0, {tests!r})
        from usage_calls import finished
        from ainb.testing import FakeClock
        from ainb.usage.log.log import UsageLog
        from ainb.usage.log.options import Log
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        notices = []
        log = UsageLog(Path({path!r}), sink=notices.append, options=Log(content=True), clock=FakeClock())
        log.listener(finished(0)); log.flush()
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, resource.RLIM_INFINITY))
        for number in range(1, 40):
            log.listener(finished(number, prompt="long " * 2000))
        with log.reading() as connection:
            assert connection.execute("SELECT count(*) FROM calls").fetchone()[0] == 40
        assert len(notices) == 1, notices
        print("fine")
    """
    assert resource.RLIMIT_FSIZE is not None
    assert run(code, tmp_path).stdout.strip().endswith("fine")


def test_the_ring_of_rows_that_wait_is_bounded(make_log, tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "RING_ROWS", 10)
    (tmp_path / "file").write_text("in the way")
    log = make_log(tmp_path / "file" / "usage.sqlite3", clock=FakeClock())
    for number in range(100):
        log.listener(finished(number))
        if number % 30 == 0:
            log._writer._retry_at = 0.0
            log.flush()
    log._writer._retry_at = 0.0
    log.flush()

    assert [row.call_id for row in log._writer._pending] == [f"call-{number}" for number in range(90, 100)]


def test_a_file_that_is_moved_away_under_the_writer_is_made_anew(make_log, tmp_path):
    log = make_log()
    log.listener(finished(1))
    log.flush()
    for path in (tmp_path / "home").iterdir():
        path.rename(path.with_name("old-" + path.name))
    log.listener(finished(2))

    assert count(log) == 1
    assert (tmp_path / "home" / "old-usage.sqlite3").exists()


def test_an_older_log_is_brought_up_to_date_and_keeps_its_rows(make_log, tmp_path, monkeypatch):
    log = make_log()
    log.listener(finished(1))
    log.close()
    step = "ALTER TABLE calls ADD COLUMN region TEXT;\nUPDATE calls SET region = 'old';\n"
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, lambda: step))
    monkeypatch.setattr("ainb.usage.log.reading.MIGRATIONS", schema.MIGRATIONS)
    # Reading before the first write migrates a copy and not the file.
    with log.reading() as connection:
        assert connection.execute("SELECT region FROM calls").fetchall() == [("old",)]

    log.listener(finished(2))
    log.flush()

    with sqlite3.connect(tmp_path / "home" / "usage.sqlite3") as direct:
        assert direct.execute("SELECT call_id, region FROM calls").fetchall() == [
            ("call-1", "old"),
            ("call-2", None),
        ]
        assert direct.execute("PRAGMA user_version").fetchone() == (len(schema.MIGRATIONS),)
    direct.close()


def test_a_migration_that_fails_half_way_leaves_the_old_log(tmp_path, monkeypatch):
    path = tmp_path / "usage.sqlite3"
    open_log(path).close()
    monkeypatch.setattr(
        schema, "MIGRATIONS", (*schema.MIGRATIONS, lambda: "ALTER TABLE calls ADD COLUMN a;\nnonsense;\n")
    )
    with pytest.raises(sqlite3.OperationalError):
        open_log(path)

    monkeypatch.undo()
    connection = open_log(path)
    assert "a" not in [column[1] for column in connection.execute("PRAGMA table_info(calls)")]
    connection.close()


def test_a_newer_log_is_left_alone_and_rows_go_to_memory(make_log, notices, tmp_path):
    path = tmp_path / "home" / "usage.sqlite3"
    path.parent.mkdir()
    with sqlite3.connect(path) as direct:
        direct.execute("PRAGMA user_version = 99")
    direct.close()
    before = path.read_bytes()
    log = make_log()
    for number in range(3):
        log.listener(finished(number))
        log.flush()

    assert count(log) == 3
    assert [("a newer ainb" in notice.text, notice.kind) for notice in notices] == [(True, "log")]
    assert path.read_bytes() == before


def rollups_of(connection, table, by):
    sums = "count(*), sum(cost_nano IS NULL)" if table == "calls" else "sum(calls), sum(unpriced)"
    keys = ", ".join(TABLES[by])
    return connection.execute(
        f"SELECT {keys}, {sums}, sum(input_tokens), sum(output_tokens), sum(cost_nano), sum(saved_nano) "  # noqa: S608 - names of ours
        f"FROM {table} GROUP BY {keys} ORDER BY {keys}"
    ).fetchall()


def assert_sums_are_those_of_the_calls(connection):
    for table in TABLES:
        assert rollups_of(connection, table, table) == rollups_of(connection, "calls", table)


def events_over_days(days, a_day):
    for number in range(days * a_day):
        yield finished(
            number,
            model=f"m{number % 3}",
            cost=None if number % 5 == 0 else "0.0000001",
            error=RuntimeError("x") if number % 11 == 0 else None,
            options={"user": (None, "ann", "bob", "eve")[number % 4]},
            ended_at=START + number // a_day * 86_400 + number,
        )


def test_the_daily_sums_equal_a_scan_of_the_calls_also_after_pruning(make_log):
    log = make_log()
    for batch in range(3):
        for event in list(events_over_days(5, 40))[batch::3]:
            log.listener(event)
        log.flush()

    with log._writer._lock:
        connection = log._writer._file.open().connection
        assert_sums_are_those_of_the_calls(connection)
        for bounds in ({"max_rows": 150}, {"max_rows": 77}, {"oldest_us": int((START + 3.5 * 86_400) * 1e6)}):
            prune(connection, **{"max_rows": None, "oldest_us": None, **bounds}, limit=1000)
            assert_sums_are_those_of_the_calls(connection)
        left = connection.execute(
            f"{COUNT} WHERE started_us < {int((START + 3.5 * 86_400) * 1e6)}"
        ).fetchone()
    assert left == (0,)


@pytest.mark.parametrize("version", range(1, len(schema.MIGRATIONS)))
def test_sums_of_an_older_log_are_those_of_its_calls(make_log, tmp_path, monkeypatch, version):
    log = make_log()
    for event in events_over_days(3, 30):
        log.listener(event)
    log.close()
    path, old = tmp_path / "home" / "usage.sqlite3", tmp_path / "old.sqlite3"
    with monkeypatch.context() as older:
        older.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:version])
        open_log(old).close()
    with contextlib.closing(sqlite3.connect(old)) as connection, connection:
        connection.execute("ATTACH ? AS new", (str(path),))
        names = ", ".join(row[1] for row in connection.execute("PRAGMA main.table_info(calls)"))
        connection.execute("DELETE FROM words")
        connection.execute("INSERT INTO words SELECT * FROM new.words")
        connection.execute(f"INSERT INTO calls ({names}) SELECT {names} FROM new.calls")  # noqa: S608 - names of ours

    for reading in (open_for_reading(old, []), open_log(old)):
        with contextlib.closing(reading) as connection:
            assert connection.execute("SELECT count(*) FROM calls").fetchone() == (90,)
            found = rollups_of(connection, "user_rollups", "user_rollups")
            assert found == rollups_of(connection, "calls", "user_rollups")
            assert found


def test_rows_beyond_the_bounds_are_pruned_oldest_first(make_log, monkeypatch):
    monkeypatch.setattr(log_file, "PRUNE_EVERY_ROWS", 10)
    log = make_log(options=Log(max_rows=25))
    for number in range(100):
        log.listener(finished(number))
        if number % 10 == 9:
            log.flush()

    with log.reading() as connection:
        kept = [row[0] for row in connection.execute("SELECT call_id FROM calls ORDER BY id")]
    assert kept == [f"call-{number}" for number in range(75, 100)]


def test_sums_of_money_are_exact(make_log):
    log = make_log()
    for number in range(1000):
        log.listener(finished(number, cost="0.000000001"))

    with log.reading() as connection:
        assert connection.execute("SELECT sum(cost_nano) FROM calls").fetchone() == (1000,)
        assert connection.execute("SELECT sum(cost_nano) FROM rollups").fetchone() == (1000,)


@pytest.mark.parametrize(
    "options", [{"max_rows": 0}, {"max_rows": True}, {"max_age_days": -1}, {"max_age_days": "x"}]
)
def test_a_bound_that_makes_no_sense_is_refused(options):
    with pytest.raises(ConfigError, match=rf"^{next(iter(options))} must be a number above 0"):
        Log(**options)


def run(code, tmp_path, **arguments):
    code = textwrap.dedent(code).format(
        path=str(tmp_path / "home" / "usage.sqlite3"), tests=str(Path(__file__).parents[1]), **arguments
    )
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )


def test_rows_are_written_when_the_process_ends(tmp_path, make_log):
    run(
        """
        import sys; sys.path.insert(0, {tests!r})
        from pathlib import Path
        from usage_calls import finished
        from ainb.testing import FakeClock
        import atexit
        atexit.register(lambda: log.listener(finished(2)))  # runs after the log's own
        from ainb.usage.log.log import UsageLog
        log = UsageLog(Path({path!r}), clock=FakeClock())
        log.listener(finished(1))
        """,
        tmp_path,
    )

    assert count(make_log()) == 2


def test_four_processes_that_write_at_once_lose_nothing(tmp_path, make_log):
    code = """
        import sys; sys.path.insert(0, {tests!r})
        from pathlib import Path
        from usage_calls import finished
        from ainb.testing import FakeClock
        from ainb.usage.log.log import UsageLog
        notices = []
        log = UsageLog(Path({path!r}), sink=notices.append, clock=FakeClock())
        for number in range(1500):
            log.listener(finished(number, model="m%d" % (number % 50)))
            if number % 10 == 0:
                log.flush()
        log.close()
        assert notices == [], notices
    """
    with ThreadPoolExecutor(4) as pool:
        for job in [pool.submit(run, code, tmp_path) for _ in range(4)]:
            job.result()

    log = make_log()
    with log.reading() as connection:
        assert connection.execute(COUNT).fetchone()[0] == 6000
        assert_sums_are_those_of_the_calls(connection)


def test_a_killed_process_loses_at_most_its_last_batch(tmp_path, make_log):
    code = f"""
import sys, time; sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from pathlib import Path
from usage_calls import finished
from ainb.usage.log.log import UsageLog
log = UsageLog(Path({str(tmp_path / "home" / "usage.sqlite3")!r}))
for number in range(100_000):
    log.listener(finished(number, ended_at=time.time()))
    print(number, time.time(), flush=True)
    time.sleep(0.002)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    lines = [process.stdout.readline() for _ in range(400)]
    process.send_signal(signal.SIGKILL)
    killed = time.time()
    lines += process.stdout.readlines()
    process.wait()
    process.stdout.close()

    done = [int(line.split()[0]) for line in lines if len(line.split()) == 2]
    # The batch is due after 0.1 s; one second allows for load on the machine.
    safe = [
        int(line.split()[0])
        for line in lines
        if len(line.split()) == 2 and float(line.split()[1]) < killed - 1.0
    ]
    with make_log().reading() as connection:
        kept = {row[0] for row in connection.execute("SELECT call_id FROM calls")}
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert len(done) >= 400
    assert {f"call-{number}" for number in safe} <= kept


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_writes_its_own_rows_and_none_of_its_parent(make_log):
    log = make_log()
    log.listener(finished(1))
    log.flush()
    log.listener(finished(2))  # still queued when the child starts

    def work():
        log.listener(finished(3))
        assert log.flush()

    assert in_child(work) == 0
    log.listener(finished(4))

    with log.reading() as connection:
        kept = sorted(row[0] for row in connection.execute("SELECT call_id FROM calls"))
    assert kept == ["call-1", "call-2", "call-3", "call-4"]


def test_a_child_forked_while_a_session_starts_in_another_thread_can_log(tmp_path):
    run(
        """
        import os, signal, sys, threading; sys.path.insert(0, {tests!r})
        from pathlib import Path
        from usage_calls import finished
        from ainb.usage.log import writer_registry
        from ainb.usage.log.log import UsageLog

        held, forked = threading.Event(), threading.Event()

        def start_session():
            make = writer_registry.Writer

            def make_slowly(*arguments):
                held.set()
                forked.wait()
                return make(*arguments)

            writer_registry.Writer = make_slowly
            UsageLog(Path({path!r}))

        thread = threading.Thread(target=start_session)
        thread.start()
        held.wait()
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            forked.set()
            log = UsageLog(Path({path!r}))
            log.listener(finished(1))
            os._exit(0 if log.flush() else 1)
        forked.set()
        thread.join()
        assert os.waitpid(child, 0)[1] == 0
        """,
        tmp_path,
    )


def test_the_first_release_schema_holds_every_column(tmp_path):
    from ainb.usage.columns import STORED

    connection = open_log(None)
    columns = [column[1] for column in connection.execute("PRAGMA table_info(calls)")]
    LogStore(connection).close()

    assert columns == ["id", "day", *(column.stored for column in STORED)]


def test_nothing_heavy_is_loaded_by_the_recorder():
    code = (
        "import sys, ainb.pipeline.record, ainb.redaction.filter, ainb.usage.log.log\n"
        "print({'pandas', 'numpy', 'orjson'} & set(sys.modules))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert out.strip() == "set()"
