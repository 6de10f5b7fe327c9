"""Throughput of a batch with every stage, log and journal, compared with bare aiohttp; cost of a row."""

from __future__ import annotations

import asyncio
import heapq
import random
import tempfile
import time
from pathlib import Path

import tenacity

import ainb
from tests.benchmarks.parts.bare import bare
from tests.benchmarks.server_process import server

CALLS = 4_000
ROWS = 20_000
IN_FLIGHT = 64
ROUNDS = 3
HEAVY_JOBS = 200
BUDGET_ROWS = 4_000


def batch(base_url: str, home: Path) -> float:
    """Calls per second of a batch with every stage, log and journal."""
    with ainb.Session("ollama:m", home=home, api_base=base_url) as session:
        session.map([f"warm {number}" for number in range(100)], "{value}")
        start = time.perf_counter()
        frame = session.map([f"row {number}" for number in range(CALLS)], "Classify: {value}")
        took = time.perf_counter() - start
    assert (frame["status"] == "ok").all()
    return CALLS / took


def scripted_us(home: Path, *, journal: bool, where: str) -> float:
    """Microseconds per row with the scripted model."""
    with ainb.Session("scripted:echo", home=home, cache=ainb.Cache(where=where)) as session:
        session.map(range(200), "warm {value}", journal=journal)
        start = time.perf_counter()
        session.map(range(ROWS), "row {value}", journal=journal)
        return (time.perf_counter() - start) / ROWS * 1e6


def budget_us(home: Path) -> float:
    """CPU microseconds that a hard budget adds to a row of the scripted model."""
    prices = {"scripted:echo": {"input_usd_per_million": 1, "output_usd_per_million": 1}}
    best = []
    for name, budget in (("none", None), ("hard", ainb.Budget(usd=1_000))):
        config = ainb.Config(cache=None, prices=prices, budget=budget)
        with ainb.Session("scripted:echo", home=home / name, config=config) as session:
            session.map(range(500), "warm {value}", journal=False)
            taken = []
            for turn in range(ROUNDS):
                start = time.process_time()
                session.map(range(BUDGET_ROWS), f"row {turn} {{value}}", journal=False, max_tokens=50)
                taken.append((time.process_time() - start) / BUDGET_ROWS * 1e6)
            best.append(min(taken))
    return best[1] - best[0]


async def tenacity_us() -> float:
    """Microseconds of a call through tenacity alone."""

    @tenacity.retry(stop=tenacity.stop_after_attempt(4))
    async def call() -> int:
        return 1

    start = time.perf_counter()
    for _ in range(5_000):
        await call()
    return (time.perf_counter() - start) / 5_000 * 1e6


def heavy_tailed(home: Path) -> tuple[float, float]:
    """Seconds of 200 jobs of very different lengths with 16 at once, and of an ideal pool of 16.

    The pool runs the jobs in their order, because a real pool does not know their lengths in advance.
    """
    rng = random.Random(7)
    seconds = [min(0.6, 0.01 * rng.paretovariate(1.1)) for _ in range(HEAVY_JOBS)]

    async def job(item: float) -> str:
        await asyncio.sleep(item)
        return "done"

    with ainb.Session("scripted:echo", home=home) as session:
        session.map([0.0] * 20, job, concurrency=16)
        start = time.perf_counter()
        session.map(seconds, job, concurrency=16)
        took = time.perf_counter() - start
    free_at = [0.0] * 16
    for item in seconds:
        heapq.heapreplace(free_at, free_at[0] + item)
    return took, max(free_at)


def rows() -> list[tuple[str, str, str, str]]:
    """Table rows: name, measured figure, peer or limit in the same run, goal."""
    table = []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with server() as base_url:
            best = []
            for number in range(ROUNDS):
                alone = CALLS / asyncio.run(bare(base_url, CALLS, IN_FLIGHT))
                best.append((batch(base_url, home / f"b{number}"), alone))
        ours, alone = max(best, key=lambda pair: pair[0] / pair[1])
        table.append(
            ("batch, every stage, log, journal: calls/s", f"{ours:,.0f} ({ours / alone:.2f} of bare)",
             f"bare aiohttp {alone:,.0f}", ">= 0.5 of bare")
        )  # fmt: skip
        peer = asyncio.run(tenacity_us())
        memory = scripted_us(home / "m", journal=False, where="memory")
        disk = scripted_us(home / "d", journal=True, where="disk")
        table.append(
            (
                "a row, scripted, memory cache, no journal",
                f"{memory:.0f} us",
                f"tenacity alone {peer:.1f} us",
                "<= 45 us",
            )
        )
        table.append(
            (
                "a row, scripted, disk cache and journal",
                f"{disk:.0f} us",
                f"tenacity alone {peer:.1f} us",
                "<= 150 us",
            )
        )
        added = budget_us(home / "u")
        beside = f"tenacity alone {peer:.1f} us"
        table.append(("a hard budget adds to a row, CPU", f"{added:.0f} us", beside, "<= 60 us"))
        took, ideal = heavy_tailed(home / "h")
        table.append(
            (
                "200 heavy-tailed jobs, 16 at once",
                f"{took / ideal:.2f} of ideal",
                f"a pool without overhead {ideal:.2f} s",
                "<= 1.25",
            )
        )
    return table
