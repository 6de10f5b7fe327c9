"""Forks of this process for tests: a child that must end in time, and locks held by another thread."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import traceback

import pytest

CHILD_SECONDS = 30
FORKS = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="forks"),
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),
]


def start_child(work):
    """Fork a child that does `work` and ends; returns its process id."""
    child = os.fork()
    if child:
        return child
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(CHILD_SECONDS)
        work()
        os._exit(0)
    except BaseException:  # noqa: BLE001 - the parent sees the exit code
        traceback.print_exc()
    finally:
        os._exit(1)


def end_of(child):
    """Exit code of a child: 0 if its work was done, 1 if it raised, -14 if it did not end in time."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def in_child(work):
    return end_of(start_child(work))


@contextlib.contextmanager
def elsewhere(hold):
    """Enter a context manager in another thread for the duration of the block."""
    held, done = threading.Event(), threading.Event()

    def keep():
        with hold:
            held.set()
            done.wait(60)

    thread = threading.Thread(target=keep)
    thread.start()
    assert held.wait(30)
    try:
        yield
    finally:
        done.set()
        thread.join()
