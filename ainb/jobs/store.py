"""Store of a home's batch jobs: records, claimed rows, and files of requests and results.

A row of an open job is claimed: no other job of the home can take it, in any kernel. Every change is on disk
(``synchronous=FULL``) before the call returns, because with a lost record a job that is paid for could be
lost.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from ainb.clock import SYSTEM_CLOCK
from ainb.errors import AinbError
from ainb.jobs.record import JobRecord, State
from ainb.jobs.run_lock import hold_lock
from ainb.stores.files import make_private
from ainb.stores.sqlite import PausedConnection, transaction

FOLDER = "jobs"
FILE_NAME = "jobs.sqlite3"
BUSY_SECONDS = 10.0
LOCKED_TRIES = 100
LOCKED_SECONDS = 0.05
KEEP_MERGED_SECONDS = 30 * 86_400.0
SCHEMA_VERSION = 1
_FIELDS = frozenset(item.name for item in fields(JobRecord))
_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    job_uuid TEXT PRIMARY KEY, run_id TEXT NOT NULL, identity TEXT NOT NULL, state TEXT NOT NULL,
    planned_at REAL NOT NULL, record TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS jobs_run ON jobs (run_id);
CREATE TABLE IF NOT EXISTS requests (
    job_uuid TEXT NOT NULL, number INTEGER NOT NULL, custom_id TEXT NOT NULL, row_key TEXT NOT NULL,
    claim TEXT, estimate_pico_usd INTEGER, PRIMARY KEY (job_uuid, number)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cancels (job_uuid TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS requests_claim ON requests (claim) WHERE claim IS NOT NULL;
"""


class PlannedRequest(NamedTuple):
    """One line of a job's file.

    Attributes:
        custom_id: Its id at the provider.
        row_key: Key of the row: digest of its request.
        claim: Key that only one open job of a home may hold; None once the job has ended.
        estimate_pico_usd: Maximum cost in 1e-12 USD; None when no price is known.
    """

    custom_id: str
    row_key: str
    claim: str | None
    estimate_pico_usd: int | None = None


class JobStore:
    """The jobs of a home.

    Args:
        home: The home folder; the files are in its folder "jobs", readable by the user only.

    Raises:
        AinbError: The store cannot be used, so no job may be submitted.
    """

    def __init__(self, home: Path) -> None:
        self.folder = home / FOLDER
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = self.folder / FILE_NAME
            make_private(path)
            self._connection = PausedConnection(functools.partial(_connect, path))
            self._migrate()
        except (OSError, sqlite3.Error) as error:
            raise AinbError(
                f"the file of batch jobs cannot be used ({error}), and a job that is not kept on disk may be "
                "paid twice; "
                f"repair or move the folder {FOLDER!r} of the home, or leave batch_api out"
            ) from None

    @staticmethod
    def exists(home: Path) -> bool:
        """Whether a batch job was ever planned in a home; False if the folder cannot be read."""
        # Path.exists raises PermissionError until Python 3.14.
        return os.path.exists(home / FOLDER / FILE_NAME)  # noqa: PTH110

    def plan(
        self, job: JobRecord, identity: str, requests: Sequence[PlannedRequest]
    ) -> tuple[JobRecord, list[int]]:
        """Write a new job with those of its requests that no open job holds.

        Returns:
            The written job, and the indices in `requests` that it got; without any, nothing was written.
        """
        got: list[int] = []
        with self._writing() as db:
            for place, item in enumerate(requests):
                values = (job.job_uuid, len(got), *item)
                # Another kernel may have claimed the row since it was checked.
                if db.execute("INSERT OR IGNORE INTO requests VALUES (?, ?, ?, ?, ?, ?)", values).rowcount:
                    got.append(place)
            job = replace(job, requests=len(got), rows=len(got))
            if got:
                db.execute(
                    "INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?)",
                    (job.job_uuid, job.run_id, identity, job.state, job.planned_at, _encode(job)),
                )
                old = job.planned_at - KEEP_MERGED_SECONDS
                db.execute("DELETE FROM jobs WHERE state = ? AND planned_at < ?", (State.MERGED, old))
        return job, got

    def save(self, job: JobRecord) -> None:
        """Write a job's record; a merged job releases its rows and files."""
        with self._writing() as db:
            db.execute(
                "UPDATE jobs SET state = ?, record = ? WHERE job_uuid = ?",
                (job.state, _encode(job), job.job_uuid),
            )
            if job.state is State.MERGED:
                db.execute("DELETE FROM requests WHERE job_uuid = ?", (job.job_uuid,))
                db.execute("DELETE FROM cancels WHERE job_uuid = ?", (job.job_uuid,))
        if job.state is State.MERGED:
            self.remove_files(job.job_uuid)

    def request_cancel(self, job_uuids: Sequence[str]) -> None:
        """Store a cancellation request for the kernel that drives the jobs."""
        with self._writing() as db:
            db.executemany("INSERT OR IGNORE INTO cancels VALUES (?)", [(name,) for name in job_uuids])

    def is_cancel_requested(self, job_uuid: str) -> bool:
        """Whether cancellation of a job was requested."""
        return self._one("SELECT 1 FROM cancels WHERE job_uuid = ?", job_uuid) is not None

    def forget(self, job: JobRecord) -> None:
        """Delete a job that was never sent."""
        with self._writing() as db:
            db.execute("DELETE FROM requests WHERE job_uuid = ?", (job.job_uuid,))
            db.execute("DELETE FROM jobs WHERE job_uuid = ?", (job.job_uuid,))
        self.remove_files(job.job_uuid)

    def jobs(self, run_id: str | None = None, *, is_open: bool = False) -> list[JobRecord]:
        """Jobs of one run or of all runs, newest first.

        Args:
            run_id: Run; None means all runs.
            is_open: Only jobs that are not merged.
        """
        query = (
            "SELECT record FROM jobs WHERE (:run_id IS NULL OR run_id = :run_id) "
            "AND (NOT :is_open OR state <> :merged)"
        )
        with self._connection as db:
            found = db.execute(
                f"{query} ORDER BY planned_at DESC, job_uuid DESC",
                {"run_id": run_id, "is_open": is_open, "merged": State.MERGED},
            ).fetchall()
        return [_decode(text) for (text,) in found]

    def job(self, job_uuid: str) -> JobRecord | None:
        """One job, or None."""
        row = self._one("SELECT record FROM jobs WHERE job_uuid = ?", job_uuid)
        return None if row is None else _decode(row[0])

    def open_run(self, identity: str) -> str | None:
        """Newest run of the same work that has an open job, or None."""
        row = self._one(
            "SELECT run_id FROM jobs WHERE identity = ? AND state <> ? ORDER BY planned_at DESC LIMIT 1",
            identity,
            State.MERGED,
        )
        return None if row is None else str(row[0])

    def requests(self, job_uuid: str) -> list[PlannedRequest]:
        """The requests of an open job, in the order of its file."""
        with self._connection as db:
            found = db.execute(
                "SELECT custom_id, row_key, claim, estimate_pico_usd FROM requests"
                " WHERE job_uuid = ? ORDER BY number",
                (job_uuid,),
            ).fetchall()
        return [PlannedRequest(*row) for row in found]

    def holder(self, claim: str) -> tuple[str, str] | None:
        """The open job that holds a row and the row's custom id in it, or None."""
        row = self._one("SELECT job_uuid, custom_id FROM requests WHERE claim = ?", claim)
        return None if row is None else (str(row[0]), str(row[1]))

    def changes(self) -> int:
        """SQLite's ``data_version``, which changes when another kernel or session writes."""
        (number,) = self._one("PRAGMA data_version") or (0,)
        return int(number)

    def request_file(self, job_uuid: str) -> Path:
        """Path of a job's request file."""
        return self.folder / f"{job_uuid}.jsonl"

    def result_file(self, job_uuid: str, place: int) -> Path:
        """Path of a job's result file with that number."""
        return self.folder / f"{job_uuid}.result-{place}.jsonl"

    def remove_files(self, job_uuid: str) -> None:
        """Remove the requests and the results of a job."""
        for path in self.folder.glob(f"{job_uuid}.*"):
            with contextlib.suppress(OSError):
                path.unlink()

    def lock_run(self, run_id: str) -> contextlib.AbstractContextManager[bool]:
        """Lock for driving a run's jobs in a ``with`` block; yields False while another kernel holds it."""
        return hold_lock(self.folder / f"{run_id}.lock")

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def _one(self, query: str, *values: object) -> tuple[Any, ...] | None:
        with self._connection as db:
            row: tuple[Any, ...] | None = db.execute(query, values).fetchone()
        return row

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._connection as db, transaction(db):
            yield db

    def _migrate(self) -> None:
        (version,) = self._one("PRAGMA user_version") or (0,)
        if version > SCHEMA_VERSION:
            raise sqlite3.DatabaseError(f"it was written by a newer ainb, version {version} of its tables")
        if version == SCHEMA_VERSION:  # no write, so that opening needs no lock
            return
        self._set_wal()
        with self._writing() as db:
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _set_wal(self) -> None:
        # SQLite does not wait for a lock here, and two kernels may create the file at the same time.
        for attempt in range(LOCKED_TRIES):
            try:
                self._one("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError:
                if attempt == LOCKED_TRIES - 1:
                    raise
                SYSTEM_CLOCK.block(LOCKED_SECONDS)
            else:
                return


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA synchronous = FULL")
    except BaseException:
        db.close()
        raise
    return db


def _encode(job: JobRecord) -> str:
    return orjson.dumps(job, option=orjson.OPT_NON_STR_KEYS).decode()


def _decode(text: str) -> JobRecord:
    data = {name: value for name, value in orjson.loads(text).items() if name in _FIELDS}
    data["state"] = State(data["state"])
    data["not_ours"], data["files"] = tuple(data["not_ours"]), tuple(data["files"])
    data["holds"] = tuple(tuple(hold) for hold in data["holds"])
    data["fault_lines"] = {int(number): words for number, words in data["fault_lines"].items()}
    return JobRecord(**data)
