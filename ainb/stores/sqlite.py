"""SQLite connections that are closed by whoever opened them, and at the latest when their owner is gone."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import weakref
from collections.abc import Callable

# Opened on the other side of a fork: SQLite must neither use nor close them here.
_inherited: list[sqlite3.Connection] = []


def tie(connection: sqlite3.Connection, owner: object) -> Callable[[], None]:
    """Have a connection closed with its owner.

    Args:
        connection: Opened with ``check_same_thread=False``, because nobody can say which thread collects the owner.
        owner: Holds the connection.

    Returns:
        Closes the connection now; further calls do nothing. In a forked child the connection is put aside instead.
    """
    process = os.getpid()
    end = weakref.finalize(owner, _close, connection, process)
    end.atexit = False  # a thread may be using it, and the process lets go of it anyhow

    def close() -> None:
        end.detach()  # not `end()`, which does nothing any more late in the exit of a process
        _close(connection, process)

    return close


def _close(connection: sqlite3.Connection, process: int) -> None:
    if process != os.getpid():
        _inherited.append(connection)
        return
    with contextlib.suppress(sqlite3.Error):
        connection.close()
