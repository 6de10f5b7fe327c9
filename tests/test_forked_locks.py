"""Each lock of the package is held by another thread while the process forks; the child does its work."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import ainb
from ainb import tokens
from ainb.batch.files import csv
from ainb.batch.journal.store import Journal
from ainb.batch.results.row_result import RowResult
from ainb.clock import SYSTEM_CLOCK
from ainb.config import Config
from ainb.dask import worker
from ainb.dask.monitor import RunMonitor
from ainb.dask.runs import PartitionedRun
from ainb.engine import ENGINE
from ainb.jobs.store import JobStore
from ainb.magics.display.streaming import NotebookStream
from ainb.panels import charts
from ainb.panels.output import live, slot
from ainb.pipeline.answer import loading
from ainb.pipeline.budget import Ledger
from ainb.pipeline.circuit.standalone import CircuitBreaker
from ainb.pipeline.rate_limit import RateLimit
from ainb.pipeline.rate_limit.local import LocalLimiter
from ainb.pipeline.rate_limit.reached import Reached
from ainb.pipeline.retry.policy import RetryBudget
from ainb.pricing import package
from ainb.providers.lessons import learnt
from ainb.providers.local import server
from ainb.stores.cassette import file as cassette
from ainb.stores.day_book.courier import Courier
from ainb.stores.memory import MemoryStore
from ainb.usage.log import writer_registry
from tests.forks import FORKS, elsewhere, in_child

pytestmark = FORKS
PACKAGE = Path(ainb.__file__).parent
MAKERS = {
    "new_lock",
    "new_rlock",
    "new_condition",
    "new_event",
    "PausedUses",
    "PausedConnection",
}
# Made for one wait of one thread, which the child does not have, or for one fork.
OF_ONE_CALL = {
    "engine.py:reached",
    "engine.py:ended",
    "engine.py:ready",
    "pipeline/rate_limit/local.py:event",
    "providers/local/child.py:overdue",
    "usage/log/writer.py:done",
}
DAY = ainb.Budget(usd=9, per="day")


def lock_sites():
    """Every attribute and variable that holds a lock, as ``file:name``."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        place = path.relative_to(PACKAGE).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if place != "fork.py" else ():
            if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
                continue
            calls = [item for item in ast.walk(node.value) if isinstance(item, ast.Call)]
            if any(isinstance(call.func, ast.Name) and call.func.id in MAKERS for call in calls):
                (target,) = node.targets if isinstance(node, ast.Assign) else (node.target,)
                targets = target.elts if isinstance(target, ast.Tuple) else [target]
                found |= {
                    f"{place}:{item.attr if isinstance(item, ast.Attribute) else item.id}" for item in targets
                }
    return found


class Uses:
    """A session, and each lock with what its holder was about to do."""

    def __init__(self, home):
        self.home = home
        self.session = ainb.Session("scripted:echo", home=home, budget=DAY)
        self.session.ask("before")
        self.core = self.session.core
        self.store = self.core.stages.cache.store
        self.book = self.core.stages.ledger._day_book
        self.writer = self.core.log._writer

    def ask(self):
        assert self.session.ask("in the child").text == "in the child"
        assert self.session.ask("before").cached
        assert self.session.budget_status()[0].reserved_usd == 0

    def ask_and_write(self):
        self.ask()
        assert self.core.log.flush(20)
        assert self.store.flush(20)
        assert len(self.session.usage()) >= 2


async def text_of(store):
    await store.set("n", "k", "text", created_at=0.0)
    assert await store.get("n", "k") == "text"


def breaker_works(breaker):
    with breaker.permit():
        pass
    breaker.force_open()
    assert breaker.status().state == "forced-open"


def retry_works(budget):
    budget.first_attempt()
    budget.success()
    assert budget.spend()


def reached_works(reached):
    reached.keep(("a",), 7, 1e9)
    assert reached.find(("a",), 1e9) == 7


def memory_works(memory):
    lesson = learnt.Lesson(field="temperature")
    memory.learn("e", "m", lesson, 1e9)
    assert memory.lessons("e", "m", 1e9) == [lesson]


def limiter_works(limiter):
    permit = limiter.try_acquire((1, 0, 0, 0))
    assert permit is not None
    limiter.settle(permit)


def jobs_work(store):
    assert store.jobs() == []
    store.request_cancel(["job"])
    assert store.is_cancel_requested("job")


def journal_works(journal):
    journal.start("run", identity="i", title="t", model="m", now=1.0)
    assert [run.run_id for run in journal.runs()] == ["run"]


def courier_works(courier, brought):
    courier.start(at_once=True)
    assert brought.wait(20)


def counts(text="some text of a few words"):
    tokens._loaded.clear()
    tokens._count_short.cache_clear()
    assert tokens.count_tokens(text) > 0


def csv_works(folder):
    path = folder / "rows.csv"
    path.write_text("a,b\n1,2\n")
    assert list(csv.CsvFile(path, {}).rows(["b"])) == [{"b": "2"}]


def chart_works():
    assert charts.chart(charts.empty("no calls"), "no calls").description == "no calls"


class Publisher:
    def publish(self, bundle, transient, update):
        pass

    def clear_output(self, wait):
        pass


def stream_works(stream):
    stream.feed("text")
    stream.end(complete=True)
    assert stream.shown


class Panel:
    name = "board"

    def __init__(self, session):
        self.session = session

    def view(self, *, charts=True):
        return "view"


def registry_works(home):
    writer = writer_registry.shared_writer(home / "other.sqlite3", SYSTEM_CLOCK, Config().log)
    assert writer.flush(20)


def monitor_works(monitor):
    monitor.ended.set()
    assert monitor.ended.wait(0)


def engine_works():
    async def value():
        return 7

    assert ENGINE.run(value()) == 7


def prices_work():
    assert package.load_package() is not None
    assert package.LOADED.is_set()


@contextlib.contextmanager
def both(*locks):
    with contextlib.ExitStack() as stack:
        for lock in locks:
            stack.enter_context(lock)
        yield


def rows_work(journal):
    async def write():
        await journal.write("run", "key", RowResult(status="ok"))

    journal_works(journal)
    journal._writer._pool = ThreadPoolExecutor(1)
    asyncio_run(write())
    assert journal.has_rows("run")


def core_works(home):
    run = PartitionedRun(run_id="r", folder=None, partitions=None)
    config = Config(model="scripted:echo", cache=None)
    assert worker.process_core(config, run) is worker.process_core(config, run)


def servers_work(one):
    assert one.processes() == []
    with one._lock:
        server.SERVERS.close()


def asyncio_run(work):
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()


def cases(uses, folder):
    """By lock: the lock that another thread holds, and what the child does."""
    limiter = LocalLimiter(RateLimit(concurrency=1), SYSTEM_CLOCK)
    breaker, budget, ledger = CircuitBreaker(), RetryBudget(), Ledger()
    reached, memory = Reached(folder / "reached.json"), learnt.Memory(folder / "learnt.json")
    jobs, journal = JobStore(folder), Journal(folder / "journal.sqlite3")
    groups = journal._writer
    kept, taped = MemoryStore(), cassette.Cassette(folder / "a.ainb")
    brought = threading.Event()
    courier = Courier(brought.set, lambda: None, 0.01)
    servers, one = server.SERVERS, server.Server(folder / "weights.gguf", None)
    stream = NotebookStream(Publisher(), SYSTEM_CLOCK, print)
    shown = slot.Slot("off")
    panel = live.Live(Panel(uses.session), shown)
    run = PartitionedRun(run_id="r", folder=None, partitions=None)
    monitor = RunMonitor(uses.core, run, watcher=None, title="t", model="m")
    own = uses.ask_and_write
    return {
        "batch/files/csv.py:_LIMIT": (csv._LIMIT, lambda: csv_works(folder)),
        "batch/journal/group_writer.py:_connection": (groups._connection, lambda: rows_work(journal)),
        "batch/journal/store.py:_connection": (journal._connection, lambda: journal_works(journal)),
        "dask/monitor.py:ended": (monitor.ended._cond, lambda: monitor_works(monitor)),
        "dask/worker.py:_making": (worker._making, lambda: core_works(uses.home)),
        "engine.py:_lock": (ENGINE._lock, engine_works),
        "jobs/store.py:_connection": (jobs._connection, lambda: jobs_work(jobs)),
        "magics/display/streaming.py:_lock": (stream._lock, lambda: stream_works(stream)),
        "panels/charts.py:_LOCK": (charts._LOCK, chart_works),
        "panels/output/live.py:_drawing": (panel._drawing, panel._draw),
        "panels/output/slot.py:_lock": (shown._lock, lambda: shown.update(lambda: None)),
        "pipeline/answer/loading.py:_loading": (loading._loading, loading.load_jsonschema),
        "pipeline/budget/ledger.py:_lock": (ledger._lock, ledger.wake),
        "pipeline/circuit/standalone.py:_lock": (breaker._lock, lambda: breaker_works(breaker)),
        "pipeline/rate_limit/local.py:_lock": (limiter._lock, lambda: limiter_works(limiter)),
        "pipeline/rate_limit/reached.py:_lock": (reached._lock, lambda: reached_works(reached)),
        "pipeline/retry/policy.py:_lock": (budget._lock, lambda: retry_works(budget)),
        "pricing/package.py:LOADED": (package.LOADED._cond, prices_work),
        "pricing/package.py:_loading": (package._loading, prices_work),
        "providers/lessons/learnt.py:_lock": (memory._lock, lambda: memory_works(memory)),
        "providers/lessons/learnt.py:_memories_lock": (
            learnt._memories_lock,
            lambda: learnt.memory_of(uses.home),
        ),
        "providers/local/server.py:_lock": (both(servers._lock, one._lock), lambda: servers_work(one)),
        "stores/cassette/file.py:_flushing": (taped._flushing, taped.flush),
        "stores/cassette/file.py:_reading": (taped._reading, taped.lines),
        "stores/cassette/file.py:_sharing": (
            cassette._sharing,
            lambda: cassette.shared_cassette(folder / "b.ainb"),
        ),
        "stores/day_book/book.py:_carrying": (uses.book._carrying, own),
        "stores/day_book/book.py:_lock": (uses.book._lock, own),
        "stores/day_book/courier.py:_called": (
            courier._called._cond,
            lambda: courier_works(courier, brought),
        ),
        "stores/day_book/courier.py:_lock": (courier._lock, lambda: courier_works(courier, brought)),
        "stores/disk/text_cache.py:_reading": (uses.store._database._reading, own),
        "stores/disk/text_cache.py:_registering": (uses.store._database._registering, own),
        "stores/disk/write_queue.py:_changed": (uses.store._queue._changed, own),
        "stores/disk/write_queue.py:_hurry": (uses.store._queue._hurry._cond, own),
        "stores/disk/write_queue.py:writing": (uses.store._queue.writing, own),
        "stores/memory.py:_lock": (kept._lock, lambda: asyncio_run(text_of(kept))),
        "stores/sqlite.py:_lock": (jobs._connection._lock, lambda: jobs_work(jobs)),
        "tokens.py:_loading": (tokens._loading, counts),
        "usage/log/writer.py:_hurry": (uses.writer._hurry._cond, own),
        "usage/log/writer.py:_lock": (uses.writer._lock, own),
        "usage/log/writer.py:_queries": (uses.writer._queries, own),
        "usage/log/writer.py:_starting": (uses.writer._starting, own),
        "usage/log/writer.py:_wake": (uses.writer._wake._cond, own),
        "usage/log/writer_registry.py:_sharing": (
            writer_registry._sharing,
            lambda: registry_works(uses.home),
        ),
    }


IN_REDIS = {"stores/redis/exchange.py:_lock"}  # tests/stores/redis/test_redis_forks.py


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("locks")
    uses = Uses(tmp_path_factory.mktemp("home"))
    yield cases(uses, folder)
    uses.session.close()


def test_every_lock_of_the_package_has_a_case(found):
    assert lock_sites() == found.keys() | OF_ONE_CALL | IN_REDIS


@pytest.mark.parametrize("site", sorted(lock_sites() - OF_ONE_CALL - IN_REDIS))
def test_a_child_works_although_another_thread_held_the_lock_at_the_fork(found, site):
    lock, work = found[site]
    with elsewhere(lock):
        assert in_child(work) == 0
