"""Read connections to all rows: those in the file and those not written yet."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from ainb.usage.log.schema import MIGRATIONS, NewerLogError, known_version, migrate, version_of
from ainb.usage.log.store import LogStore, connect, open_log
from ainb.usage.rows import Row


def open_for_reading(path: Path | None, pending: list[Row]) -> sqlite3.Connection:
    """Open the log for queries, without creating, migrating or writing it.

    Args:
        path: The file; a missing or unreadable one counts as empty.
        pending: Rows not in the file; if there are any, or the file is of an older ainb, queries go to a copy
            in memory.
    """
    if path is not None and _is_there(path):
        with contextlib.suppress(sqlite3.Error, NewerLogError):
            return _on_file(path, pending)
    return _with_rows(open_log(None), pending)


def why_unreadable(path: Path) -> str | None:
    """Reason why an existing log counts as empty, in one line; None when it does not."""
    if not _is_there(path):
        hidden = os.path.isdir(path.parent) and not os.access(path.parent, os.X_OK)  # noqa: PTH112 - as in _is_there
        return f"the usage log {path} cannot be read (its folder is closed to this user)" if hidden else None
    try:
        with contextlib.closing(connect(str(path))) as connection:
            known_version(connection)
    except NewerLogError as error:
        return f"a newer ainb wrote the usage log {path} ({error}); upgrade ainb to read it"
    except sqlite3.Error as error:
        return f"the usage log {path} cannot be read ({error}); move it away and a new one is created"
    return None


def _is_there(path: Path) -> bool:
    # Path.exists raises for a folder without permission.
    return os.path.exists(path)  # noqa: PTH110


def _on_file(path: Path, pending: list[Row]) -> sqlite3.Connection:
    with contextlib.ExitStack() as closing:
        connection = closing.enter_context(contextlib.closing(connect(str(path))))
        connection.execute("PRAGMA query_only = ON")
        if version_of(connection) == len(MIGRATIONS) and not pending:
            connection.execute("BEGIN")  # all queries see one snapshot of the log
            closing.pop_all()
            return connection
        with contextlib.ExitStack() as on_failure:
            copy = on_failure.enter_context(contextlib.closing(connect(":memory:")))
            connection.backup(copy)
            on_failure.pop_all()
        return _with_rows(copy, pending)


def _with_rows(connection: sqlite3.Connection, pending: list[Row]) -> sqlite3.Connection:
    try:
        migrate(connection)
        if pending:
            LogStore(connection).add(pending)
    except BaseException:
        connection.close()
        raise
    return connection
