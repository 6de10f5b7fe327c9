"""Process forks: reset of locks and threads in the child, and callbacks before a worker ends."""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Callable
from typing import Protocol


class Renewable(Protocol):
    """An object whose locks and threads do not survive a fork."""

    def renew(self) -> None:
        """Reset the object in the child process."""
        ...


_renewables: weakref.WeakSet[Renewable] = weakref.WeakSet()


def renew_after_fork(item: Renewable) -> None:
    """Call ``item.renew()`` in every forked child while the item exists."""
    _renewables.add(item)


def _renew_all() -> None:
    for item in list(_renewables):
        item.renew()


_at_worker_exit: list[Callable[[], None]] = []


def at_worker_exit(act: Callable[[], None]) -> None:
    """Call a function when a worker of `multiprocessing` ends, which it does without `atexit`.

    Args:
        act: Writes queued data; called in every worker forked from now on, and in this process if it is a
            worker itself.
    """
    _at_worker_exit.append(act)
    # Every worker has loaded this module; other processes need not load it.
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        _act_before_exit(act)


def _act_before_exit(act: Callable[[], None]) -> None:
    from multiprocessing.util import Finalize

    Finalize(None, act, exitpriority=10)


class _Workers:
    """Hook that `multiprocessing` calls in a forked worker after it has cleared the parent's finalizers."""

    def __init__(self) -> None:
        self._is_known = False

    def announce(self) -> None:
        if not self._is_known:
            from multiprocessing.util import register_after_fork

            self._is_known = True
            register_after_fork(self, _Workers.begin)

    def begin(self) -> None:
        for act in _at_worker_exit:
            _act_before_exit(act)


_workers = _Workers()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_workers.announce, after_in_child=_renew_all)
