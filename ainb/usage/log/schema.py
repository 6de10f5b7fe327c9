"""Schema version of the log file, and the migration of older files."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Callable
from pathlib import Path

from ainb.stores.sqlite import transaction

VERSIONS = 5


def _script(version: int) -> str:
    # Not with importlib.resources, whose import would add 7 ms to the first session.
    return Path(__file__).with_name("sql").joinpath(f"version_{version}.sql").read_text("utf-8")


# The reader of one script per version, oldest first; a released script is never edited.
MIGRATIONS: tuple[Callable[[], str], ...] = tuple(
    functools.partial(_script, version) for version in range(1, VERSIONS + 1)
)


class NewerLogError(Exception):
    """The file was written by a newer ainb."""

    def __init__(self, version: int) -> None:
        super().__init__(f"version {version}, this ainb reads versions up to {len(MIGRATIONS)}")


def version_of(connection: sqlite3.Connection) -> int:
    """Schema version of an open log; 0 for an empty file."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(connection: sqlite3.Connection) -> None:
    """Migrate the open log to this version in one transaction; several processes may try at once.

    Raises:
        NewerLogError: A newer ainb wrote it.
        sqlite3.Error: The log cannot be written.
    """
    if known_version(connection) == len(MIGRATIONS):
        return
    with transaction(connection):
        for script in MIGRATIONS[known_version(connection) :]:
            # Statement by statement: executescript would commit the transaction first.
            for statement in filter(str.strip, script().split(";\n")):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def known_version(connection: sqlite3.Connection) -> int:
    """Schema version of an open log.

    Raises:
        NewerLogError: A newer ainb wrote it.
    """
    version = version_of(connection)
    if version > len(MIGRATIONS):
        raise NewerLogError(version)
    return version
