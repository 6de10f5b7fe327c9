"""Tests of ainb.fork: what is free, reset or idle in a forked child, and that no other locks are made."""

from __future__ import annotations

import ast
import gc
import threading
from pathlib import Path

import pytest

import ainb
from ainb import fork
from tests.forks import FORKS, elsewhere, end_of, in_child, start_child

pytestmark = FORKS
PACKAGE = Path(ainb.__file__).parent
KINDS = {"Lock", "RLock", "Condition", "Event", "Semaphore", "BoundedSemaphore", "Barrier", "allocate_lock"}
QUEUES = {"Queue", "LifoQueue", "PriorityQueue"}
BARE = {("threading", kind) for kind in KINDS} | {("_thread", kind) for kind in KINDS}
BARE |= {("queue", kind) for kind in QUEUES} | {("multiprocessing", kind) for kind in KINDS | QUEUES}
BARE |= {("os", "register_at_fork")}
# `fork` makes them; `serve` is the program of a process of its own, imports nothing of ainb and never forks.
MAY_MAKE_LOCKS = {"fork.py", "providers/local/serve.py"}


@pytest.fixture(autouse=True)
def without_items_of_other_tests():
    yield
    gc.collect()


def bare_locks(source):
    """Lines of a module that make a lock of the standard library, whatever the import is called."""
    tree = ast.parse(source)
    modules, names = {}, {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {item.asname or item.name: item.name for item in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {item.asname or item.name: (node.module, item.name) for item in node.names}
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        used = None
        if isinstance(node.func, ast.Name):
            used = names.get(node.func.id)
        elif isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
            used = (modules.get(node.func.value.id), node.func.attr)
        if used in BARE:
            found.append(node.lineno)
    return found


@pytest.mark.parametrize(
    "source",
    [
        "import threading\nlock = threading.Lock()",
        "import threading as t\nclass A:\n    def __init__(self): self._lock = t.RLock()",
        "from threading import Lock\nlock = Lock()",
        "from threading import Event as E\ndef f(): E().wait()",
        "import queue\nwork = queue.Queue()",
        "import threading\nready = threading.Condition(threading.Lock())",
        "import threading\ndef f(s=threading.BoundedSemaphore(2)): ...",
        "import os\nos.register_at_fork(before=print)",
    ],
)
def test_a_bare_lock_is_found(source):
    assert bare_locks(source)


def test_every_lock_of_the_package_is_made_in_one_module():
    found = [
        f"{path.relative_to(PACKAGE)}:{line}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.relative_to(PACKAGE).as_posix() not in MAY_MAKE_LOCKS
        for line in bare_locks(path.read_text(encoding="utf-8"))
    ]

    assert not found, "make these with ainb.fork (new_lock, new_event, ...): " + ", ".join(found)


def use_event(event):
    event.set()
    assert event.wait(0)
    event.clear()


def use_condition(condition):
    with condition:
        condition.notify_all()


def use_lock(lock):
    with lock:
        pass


@pytest.mark.parametrize(
    ("make", "inner", "use"),
    [
        (fork.new_lock, lambda lock: lock, use_lock),
        (fork.new_rlock, lambda lock: lock, use_lock),
        (fork.new_condition, lambda condition: condition, use_condition),
        (fork.new_event, lambda event: event._cond, use_event),
        (fork.PausedUses, lambda uses: uses, use_lock),
    ],
    ids=["lock", "rlock", "condition", "event", "paused uses"],
)
def test_a_lock_that_another_thread_holds_at_a_fork_is_free_in_the_child(make, inner, use):
    item = make()
    with elsewhere(inner(item)):
        assert in_child(lambda: use(item)) == 0
        assert in_child(lambda: end_of(start_child(lambda: use(item)))) == 0
    use(item)  # and still works in the parent


def test_a_reentrant_lock_of_the_thread_that_forks_stays_its_own():
    lock = fork.new_rlock()

    def work():
        assert lock._is_owned()
        lock.release()

    with lock:
        assert in_child(work) == 0


def test_an_event_keeps_its_state_and_a_condition_forgets_waiters():
    event, condition = fork.new_event(), fork.new_condition()
    event.set()
    waiting = threading.Thread(target=lambda: use_condition(condition) or wait_for(condition), daemon=True)
    waiting.start()
    while not condition._waiters:
        pass

    def work():
        assert event.is_set()
        assert not condition._waiters

    assert in_child(work) == 0
    use_condition(condition)
    waiting.join(30)


def wait_for(condition):
    with condition:
        condition.wait(60)


def test_locks_and_items_that_are_dropped_leave_nothing_behind():
    class Thing:
        def renew(self):
            raise AssertionError

        def pause(self, timeout_seconds):
            raise AssertionError

        resume = renew

    def sizes():
        gc.collect()
        return len(fork._locks), len(fork._renewables), len(fork._pausables)

    before = sizes()
    for _ in range(500):
        for make in (fork.new_lock, fork.new_rlock, fork.new_condition, fork.new_event, fork.PausedUses):
            make()
        thing = Thing()
        fork.renew_after_fork(thing)
        fork.pause_at_fork(thing)
    del thing

    assert sizes() == before
    assert in_child(lambda: None) == 0


class Recorded:
    def __init__(self, name, log, *, is_idle=True):
        self.name, self.log, self.is_idle = name, log, is_idle
        self.limits = []

    def pause(self, timeout_seconds):
        self.limits.append(timeout_seconds)
        self.log.append(f"pause {self.name}")
        return self.is_idle

    def resume(self):
        self.log.append(f"resume {self.name}")

    def renew(self):
        self.log.append(f"renew {self.name}")


def test_pauses_come_in_order_and_end_in_both_processes():
    log = []
    items = [Recorded(name, log) for name in ("a", "b", "loop")]
    for item in items:
        fork.pause_at_fork(item, first=item.name == "loop")
        fork.renew_after_fork(item)
    paused = ["pause loop", "pause a", "pause b", "resume b", "resume a", "resume loop"]

    def work():
        assert log == [*paused, "renew a", "renew b", "renew loop"]

    assert in_child(work) == 0
    assert log == paused


def test_only_the_first_busy_item_is_waited_for():
    log = []
    items = [Recorded(name, log, is_idle=name == "c") for name in "abc"]
    for item in items:
        fork.pause_at_fork(item)

    assert in_child(lambda: None) == 0
    assert [item.limits for item in items] == [[fork.PAUSE_SECONDS], [0.0], [0.0]]
    assert log == ["pause a", "pause b", "pause c", "resume c"]


class Slow:
    def __init__(self):
        self.began, self.may_end = threading.Event(), threading.Event()

    @fork.Cached
    def value(self):
        """The value."""
        self.began.set()
        assert self.may_end.wait(60)
        return object()


def test_an_attribute_that_another_thread_was_computing_is_computed_in_the_child():
    one, other = Slow(), Slow()
    thread = threading.Thread(target=lambda: one.value)
    thread.start()
    assert one.began.wait(30)

    def work():
        other.may_end.set()
        assert other.value is other.value

    assert in_child(work) == 0
    one.may_end.set()
    thread.join(60)
    assert one.value is one.value


def test_two_threads_fork_at_the_same_time():
    lock, uses = fork.new_lock(), fork.PausedUses()
    codes = []

    def work():
        use_lock(lock)
        use_lock(uses)

    def forks():
        codes.extend(in_child(work) for _ in range(5))

    threads = [threading.Thread(target=forks) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert codes == [0] * 15
    assert not fork._paused


def test_an_import_under_way_in_another_thread_is_complete_in_the_child(tmp_path, monkeypatch):
    (tmp_path / "slow_to_import.py").write_text(
        "import builtins, time\nbuiltins.import_began.set()\ntime.sleep(0.3)\nVALUE = 7\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    began = threading.Event()
    monkeypatch.setattr("builtins.import_began", began, raising=False)

    def load():
        import slow_to_import

        assert slow_to_import.VALUE == 7

    thread = threading.Thread(target=load)
    thread.start()
    assert began.wait(30)
    assert in_child(load) == 0
    thread.join()


def test_an_import_that_does_not_end_delays_one_fork_only(tmp_path, monkeypatch):
    monkeypatch.setattr("ainb.fork.IMPORT_SECONDS", 0.2)
    (tmp_path / "runs_the_program.py").write_text(
        "import builtins\nbuiltins.import_began.set()\nbuiltins.may_end.wait(60)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    began, may_end = threading.Event(), threading.Event()
    monkeypatch.setattr("builtins.import_began", began, raising=False)
    monkeypatch.setattr("builtins.may_end", may_end, raising=False)
    thread = threading.Thread(target=lambda: __import__("runs_the_program"))
    thread.start()
    assert began.wait(30)
    item = Recorded("a", [])
    fork.pause_at_fork(item)

    for _ in range(3):
        assert in_child(lambda: None) == 0
    may_end.set()
    thread.join()
    assert in_child(lambda: None) == 0

    assert item.limits == [0.0, *[fork.PAUSE_SECONDS] * 3]
    assert not fork._imports._endless
