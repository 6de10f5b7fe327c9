"""Cost that shared state adds to a call, compared with the same session with local state."""

from __future__ import annotations

import asyncio
import shutil
import statistics
import tempfile
import time
from decimal import Decimal
from pathlib import Path

from ainb.engine import ENGINE
from ainb.pipeline.budget.accounts import Account, Claim
from ainb.pipeline.budget.ledger import Ledger
from ainb.pipeline.budget.options import Budget
from ainb.session import Session
from tests.stores.redis.redis_lab import Server

CALLS = 400
ROUNDS = 5
TOGETHER = 64
GOAL = "<= 400 us more, <= 3 round trips"


async def one_by_one(session: Session, name: str) -> float:
    began = time.perf_counter()
    for number in range(CALLS):
        await session.handle(session.make_call(f"{name} {number}"))
    return (time.perf_counter() - began) / CALLS * 1e6


async def together(session: Session, name: str) -> float:
    began = time.perf_counter()
    for start in range(0, CALLS, TOGETHER):
        calls = [
            session.make_call(f"{name} {number}") for number in range(start, min(CALLS, start + TOGETHER))
        ]
        await asyncio.gather(*map(session.handle, calls))
    return (time.perf_counter() - began) / CALLS * 1e6


async def reservations(ledger: Ledger, _name: str) -> float:
    claim, amount = Claim(Account("day", "2026-05-04"), Decimal(1_000_000)), Decimal("0.01")
    began = time.perf_counter()
    for _ in range(CALLS):
        hold = await ledger.reserve(lambda: [claim], amount)
        ledger.mark_sent(hold)
        ledger.settle(hold, amount)
    return (time.perf_counter() - began) / CALLS * 1e6


def measure(server: Server, folder: Path) -> dict[str, list[float]]:
    plain = Session("scripted:echo", home=folder / "plain", budget=Budget(usd=Decimal(5), per="day"))
    shared = Session(
        "scripted:echo", home=folder / "shared", state=server.url, budget=Budget(usd=Decimal(5), per="day")
    )
    found: dict[str, list[float]] = {}
    for turn in range(ROUNDS):
        for where, session in (("own", plain), ("redis", shared)):
            for what, work in (("one", one_by_one), ("64", together)):
                took = ENGINE.run(work(session, f"{where} {what} {turn}"))
                found.setdefault(f"{where} {what}", []).append(took)
            took = ENGINE.run(reservations(session.core.stages.ledger, where))
            found.setdefault(f"{where} money", []).append(took)
    trips = shared.core.stages.shared.status()["distance_ms"] * 1000
    found["trip"] = [trips]
    plain.close()
    shared.close()
    return found


def rows() -> list[tuple[str, str, str, str]]:
    """Table rows: name, measured figure, peer or limit in the same run, goal."""
    if shutil.which("redis-server") is None:
        return [("shared state (needs redis-server)", "-", "-", GOAL)]
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder))
        try:
            found = measure(server, Path(folder))
        finally:
            server.close()
    low = {name: min(times) for name, times in found.items()}
    middle = {name: statistics.median(times) for name, times in found.items()}
    return [
        (
            f"shared state adds to a call, {what}",
            (
                f"{low[f'redis {key}'] - low[f'own {key}']:.0f} us (median "
                f"{middle[f'redis {key}'] - middle[f'own {key}']:.0f})"
            ),
            f"state of its own {low[f'own {key}']:.0f} us",
            goal,
        )
        for what, key, goal in (
            ("one after another", "one", GOAL),
            ("64 in flight", "64", GOAL),
            ("its budget alone: reserve and settle", "money", "part of that"),
        )
    ]


if __name__ == "__main__":
    for row in rows():
        print(" | ".join(row))
