"""Cost of counting tokens, pricing and booking; run by the benchmark runner, or alone."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from decimal import Decimal
from pathlib import Path

from ainb import tokens
from ainb.clock import SYSTEM_CLOCK
from ainb.messages import Call, Message, Reply, Request, Usage
from ainb.pipeline.budget.accounts import Account, Claim
from ainb.pipeline.budget.ledger import Ledger
from ainb.pipeline.budget.limits import Limits
from ainb.pipeline.budget.options import Budget
from ainb.pipeline.budget.stage import BudgetStage
from ainb.pricing import Prices, quote
from ainb.stores.day_book import DayBook

DAY = Account("day", "2026-05-04")
ROUNDS = 5


def rows() -> list[tuple[str, str, str, str]]:
    """Table rows: name, measured figure, peer or limit in the same run, goal."""
    return [*_counting(), *_pricing(), *_booking()]


def _micros(work, times: int) -> float:
    """Best of several rounds, in microseconds per call."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(times):
            work()
        best = min(best, (time.perf_counter() - began) / times * 1e6)
    return best


def _once(work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _counting() -> list[tuple[str, str, str, str]]:
    loading = _once(lambda: tokens._load("o200k_base"))
    text = ("The quick brown fox jumps over the lazy dog, 17 times. " * 50)[:2_048]
    ours = _micros(lambda: tokens._count_pieces("o200k_base", text), 200)
    peer = _micros(lambda: len(tokens._encoding("o200k_base").encode_ordinary(text)), 200)
    again = _micros(lambda: tokens.count_tokens(text), 2_000)
    hostile = " " * 1_000_000
    spaces = _once(lambda: tokens.count_tokens(hostile))
    return [
        ("load a vocabulary, once, off the hot path", f"{loading:.2f} s", "-", "<= 0.3 s"),
        ("count 2 kB", f"{ours:.0f} us", f"tiktoken bare {peer:.0f} us", "as tiktoken"),
        ("count 2 kB again", f"{again:.1f} us", f"tiktoken bare {peer:.0f} us", "<= 5 us"),
        ("count 1 MB of spaces (tiktoken alone panics)", f"{spaces:.2f} s", "-", "neither hangs nor raises"),
    ]


def _pricing() -> list[tuple[str, str, str, str]]:
    from genai_prices import Usage as PricedUsage
    from genai_prices import calc_price

    prices = Prices()
    usage = Usage(
        input_tokens=1_234, output_tokens=567, cache_read_input_tokens=1_000, reasoning_output_tokens=64
    )
    theirs = PricedUsage(
        input_tokens=1_234, output_tokens=567, cache_read_tokens=1_000, output_reasoning_tokens=64
    )
    request = Request(
        provider="openai",
        model="gpt-5-mini",
        messages=(Message("user", "hi " * 200),),
        parameters={"max_tokens": 100},
    )
    prices.cost("openai", "gpt-5-mini", usage)
    ours = _micros(lambda: prices.cost("openai", "gpt-5-mini", usage), 2_000)
    peer = _micros(lambda: calc_price(theirs, "gpt-5-mini", provider_id="openai"), 200)
    quoted = _micros(lambda: quote(prices, request), 1_000)
    return [
        ("cost of a reply", f"{ours:.1f} us", f"genai-prices {peer:.0f} us", "<= 5 us"),
        ("quote of a request seen before", f"{quoted:.1f} us", "-", "<= 20 us"),
    ]


def _booking() -> list[tuple[str, str, str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        book = DayBook(Path(folder) / "day.sqlite")
        loop = asyncio.new_event_loop()
        memory = loop.run_until_complete(_reserve_and_settle(Ledger(), 2_000))
        disk = loop.run_until_complete(_reserve_and_settle(Ledger(book), 1_000))
        marked = loop.run_until_complete(_reserve_and_settle(Ledger(book), 1_000, sent=True))
        stage = loop.run_until_complete(_through_the_stage(2_000))
        loop.close()
        book.close()
        plain = f"a plain SQLite set {_plain_set(Path(folder) / 'plain.sqlite'):.0f} us"
    return [
        ("reserve + settle, session", f"{memory:.1f} us", "-", "<= 10 us"),
        (
            "reserve + settle, day shared by kernels",
            f"{disk:.0f} us",
            plain,
            "<= 100 us",
        ),
        ("the same, marked as sent between", f"{marked:.0f} us", plain, "<= 150 us"),
        (
            "budget stage, session, quote given",
            f"{stage:.1f} us",
            f"the ledger alone {memory:.1f} us",
            "<= 15 us",
        ),
    ]


def _plain_set(path: Path) -> float:
    """Microseconds of one upsert in WAL mode, for comparison."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("CREATE TABLE kept (name TEXT PRIMARY KEY, value INTEGER)")
    micros = _micros(lambda: db.execute("INSERT OR REPLACE INTO kept VALUES ('a', 1)"), 1_000)
    db.close()
    return micros


async def _reserve_and_settle(ledger: Ledger, times: int, *, sent: bool = False) -> float:
    claims = [Claim(DAY, Decimal(1_000))]
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(times):
            hold = await ledger.reserve(lambda: claims, Decimal("0.001"))
            if sent:
                ledger.mark_sent(hold)
            ledger.settle(hold, Decimal("0.0001"))
        best = min(best, (time.perf_counter() - began) / times * 1e6)
    return best


async def _through_the_stage(times: int) -> float:
    from ainb.pricing import Quote

    class Paid:
        name, free = "openai", False

    given, reply = Quote(usd=Decimal("0.001")), Reply(text="", cost_usd=Decimal("0.0001"))
    limits = Limits(Budget(usd=1_000), Ledger(), SYSTEM_CLOCK, lambda _event: None)
    stage = BudgetStage(limits, quote=lambda _call: given)
    request = Request(provider="openai", model="m", messages=(Message("user", "hi"),))

    async def proceed(_call: Call) -> Reply:
        return reply

    best = float("inf")
    for _ in range(ROUNDS):
        calls = [Call(request=request, provider=Paid()) for _ in range(times)]
        began = time.perf_counter()
        for call in calls:
            await stage(call, proceed)
        best = min(best, (time.perf_counter() - began) / times * 1e6)
    return best


if __name__ == "__main__":
    for row in rows():
        print(" | ".join(row))
