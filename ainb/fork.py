"""Process forks: locks that are free in the child, resets of objects, pauses while a fork happens.

Only the thread that forks exists in the child. There a lock that another thread of the parent held is never
released, an import that another thread had begun never ends, and SQLite takes locks of the parent's
connections for its own. So

* every lock of the package is made here (`new_lock`, `new_rlock`, `new_condition`, `new_event`) and is free
  in the child; using it costs the same as any other lock;
* objects with state of threads or of calls in flight are reset in the child (`renew_after_fork`);
* the event loop and owners of connections pause while a fork happens (`pause_at_fork`), and a fork waits for
  imports in other threads.
"""

from __future__ import annotations

import itertools
import operator
import os
import sys
import threading
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any, Final, Generic, Protocol, TypeVar

# A fork waits this long for the first object that is busy, and no longer for the ones after it.
PAUSE_SECONDS: Final = 1.0
# Imports end, and a child without them may wait forever.
IMPORT_SECONDS: Final = 5.0
IMPORT_POLL_SECONDS: Final = 0.005

L = TypeVar("L")
T = TypeVar("T")


class Renewable(Protocol):
    """An object whose state does not survive a fork."""

    def renew(self) -> None:
        """Reset the object in the child process; its locks are free already."""
        ...


class Pausable(Protocol):
    """An object that must be idle while the process is copied."""

    def pause(self, timeout_seconds: float) -> bool:
        """Make the object idle.

        Returns:
            Whether that was possible in time; `resume` is then called in parent and child.
        """
        ...

    def resume(self) -> None:
        """End the pause; called by the same thread, in the child before `renew`."""
        ...


_locks: weakref.WeakSet[Any] = weakref.WeakSet()
# By number, and so in the order of their creation.
_renewables: weakref.WeakValueDictionary[int, Renewable] = weakref.WeakValueDictionary()
_pausables: weakref.WeakValueDictionary[int, Pausable] = weakref.WeakValueDictionary()
_numbers = itertools.count(1)
_paused: dict[int, list[Pausable]] = {}  # by thread: two threads may fork at the same time


def new_lock() -> threading.Lock:
    """A lock that is free in a forked child; the thread that holds it must not fork."""
    return _registered(threading.Lock())


def new_rlock() -> threading.RLock:
    """A reentrant lock that is free in a forked child, unless the thread that forked holds it."""
    return _registered(threading.RLock())


def new_condition() -> threading.Condition:
    """A condition with a lock of its own, which is free and has no waiters in a forked child."""
    return _registered(threading.Condition(threading.Lock()))


def new_event() -> threading.Event:
    """An event whose inner lock is free in a forked child; it stays set or unset."""
    return _registered(threading.Event())


def renew_after_fork(item: Renewable) -> None:
    """Call ``item.renew()`` in every forked child while the item exists, older items first."""
    _renewables[next(_numbers)] = item


def pause_at_fork(item: Pausable, *, first: bool = False) -> None:
    """Pause the item during every fork while it exists.

    Args:
        item: Object to pause.
        first: Whether it is paused before all others, as an event loop must be, which may wait for them.
    """
    number = next(_numbers)
    _pausables[-number if first else number] = item


class Cached(Generic[T]):
    """Attribute that is computed when it is first read, as a decorator of its method.

    ``functools.cached_property`` holds a lock meanwhile, up to Python 3.11.
    """

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, item: Any, owner: type | None = None) -> T:
        if item is None:
            raise AttributeError(self._name)
        value: T = self._compute(item)
        item.__dict__[self._name] = value
        return value


class PausedUses:
    """Uses by any number of threads, none of which is under way when the process is copied.

    As a context manager it is one use; a fork waits for the uses under way and holds up new ones.
    """

    def __init__(self) -> None:
        self._changed = new_condition()
        self._count = 0
        pause_at_fork(self)
        renew_after_fork(self)

    def __enter__(self) -> None:
        with self._changed:
            self._count += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._count = max(0, self._count - 1)  # 0 already, if the process was copied in this use
            self._changed.notify_all()

    def pause(self, timeout_seconds: float) -> bool:
        """Wait for the uses under way, and hold up new ones."""
        if not self._changed.acquire(timeout=timeout_seconds):
            return False
        if self._changed.wait_for(lambda: self._count == 0, timeout_seconds):
            return True
        self._changed.release()
        return False

    def resume(self) -> None:
        """Let new uses begin."""
        self._changed.release()

    def renew(self) -> None:
        """Forget the uses of the parent's threads."""
        self._count = 0


def free_in_child(lock: threading.Lock | threading.RLock | threading.Condition | threading.Event) -> None:
    """Free a lock of another library in a forked child, whichever thread held it."""
    # Private, but what the standard library's own locks use, and there is no other way for an RLock.
    lock._at_fork_reinit()  # type: ignore[union-attr]  # noqa: SLF001 - see above


def _registered(lock: L) -> L:
    _locks.add(lock)
    return lock


class _Imports:
    """Imports of other threads: begun before a fork, they keep the import system's locks in the child."""

    def __init__(self) -> None:
        self._endless: set[tuple[int, str]] = set()

    def wait(self, timeout_seconds: float) -> bool:
        """Wait until they have ended; returns whether they did in time. None is waited for twice."""
        found = self._under_way()
        self._endless &= found  # such as a module that runs the whole program
        left, pause = timeout_seconds, threading.Event()
        while found - self._endless:
            if left <= 0:
                self._endless |= found
                return False
            pause.wait(IMPORT_POLL_SECONDS)
            left -= IMPORT_POLL_SECONDS
            found = self._under_way()
        return True

    @staticmethod
    def _under_way() -> set[tuple[int, str]]:
        """Thread and module of the outermost import of each other thread."""
        found: dict[int, str] = {}
        for thread, innermost in sys._current_frames().items():  # noqa: SLF001 - the documented name
            frame: FrameType | None = innermost
            while frame is not None and thread != threading.get_ident():
                if frame.f_code.co_filename == _IMPORT_SYSTEM:
                    found[thread] = str(frame.f_locals.get("name"))
                frame = frame.f_back
        return set(found.items())


_IMPORT_SYSTEM: Final = "<frozen importlib._bootstrap>"
_imports = _Imports()


def _before() -> None:
    paused = _paused[threading.get_ident()] = []
    left = PAUSE_SECONDS if _imports.wait(IMPORT_SECONDS) else 0.0
    # `valuerefs` copies in one step; another thread may add an object during a loop over `items`.
    for found in sorted(_pausables.valuerefs(), key=operator.attrgetter("key")):
        item = found()
        if item is None:
            continue
        if item.pause(left):
            paused.append(item)
        else:
            left = 0.0
    _imports.wait(left)  # begun meanwhile


def _after() -> None:
    for item in reversed(_paused.pop(threading.get_ident(), [])):
        item.resume()


def _after_in_child() -> None:
    _after()
    _paused.clear()
    for lock in list(_locks):
        if not _is_owned(lock):
            free_in_child(lock)
    for item in list(_renewables.values()):
        item.renew()


def _is_owned(lock: Any) -> bool:
    """Whether the current thread holds a reentrant lock; False for every other kind."""
    return isinstance(lock, _RLOCK) and bool(lock._is_owned())  # noqa: SLF001 - as `threading.Condition` does


_RLOCK: Any = type(threading.RLock())
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
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after_in_child)
    os.register_at_fork(before=_workers.announce)
