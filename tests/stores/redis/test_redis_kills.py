"""Tests of processes that are killed or stopped while they spend a budget that is shared on a real Redis."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from decimal import Decimal

import pytest

import ainb
from tests.batch.test_budget_after_a_kill import BATCH
from tests.fault_server import Fault, FaultServer
from tests.stores.redis.redis_lab import PATIENCE_SECONDS, last_words, spawn, until

pytestmark = pytest.mark.redis

SPENT, ASIDE = "{ainb:ainb}:spent", "{ainb:ainb}:aside:2026-05-04"


def booked(server):
    return Decimal(int(server.ask("HGET", SPENT, "2026-05-04") or 0)).scaleb(-9)


def reserved(server):
    return sum(map(int, server.ask("HVALS", ASIDE)))


SPEND = """
import random
from ainb.engine import ENGINE
from ainb.pipeline.budget import Account, Claim
from ainb.pipeline.budget.ledger import Hold
s = session()
ledger = s.core.stages.ledger
DAY = Claim(Account("day", "2026-05-04"), Decimal(10))
rng = random.Random(int(sys.argv[4]))
served = os.open(sys.argv[3], os.O_WRONLY | os.O_APPEND)
async def work():
    while True:
        estimate = Decimal(rng.randrange(20, 100)).scaleb(-3)
        hold = await ledger.reserve(lambda: [DAY], estimate)
        if not isinstance(hold, Hold):
            return
        ledger.mark_sent(hold)
        await asyncio.sleep(0.005)  # the report leaves before the request is served
        cost = (estimate * rng.randrange(20, 101) / 100).quantize(Decimal("1E-9"))
        os.write(served, b"%d\\n" % int(cost.scaleb(9)))
        await asyncio.sleep(rng.uniform(0, 0.05))
        ledger.settle(hold, cost)
async def main():
    await asyncio.wait_for(asyncio.gather(*(work() for _ in range(8))), 50)
print("ready", flush=True)
ENGINE.run(main())
s.close()
report(done=True)
"""


@pytest.mark.parametrize("seed", range(2))
def test_with_random_kills_the_limit_holds_and_is_used(server, tmp_path, record_property, seed):
    served = tmp_path / "served"
    served.touch()
    rng = random.Random(seed)
    running = [
        spawn(server, tmp_path / f"home{number}", SPEND, served, 10 * seed + number) for number in range(4)
    ]
    for process in running:
        assert process.stdout.readline() == "ready\n"
    for process in running[:2]:
        hits = rng.randrange(5, 60)
        until(lambda hits=hits: len(served.read_bytes().splitlines()) >= hits)
        process.send_signal(signal.SIGKILL)
    assert [last_words(process) for process in running[2:]] == [{"done": True}] * 2
    assert [process.wait(PATIENCE_SECONDS) for process in running[:2]] == [-9, -9]

    total = Decimal(sum(map(int, served.read_text().split()))).scaleb(-9)
    assert total <= booked(server) <= 10
    assert booked(server) >= Decimal("9.7")
    assert reserved(server) == 0
    record_property("figure", f"used {booked(server) / 10:.1%} after kills, on Redis")


@pytest.mark.parametrize("hits", [150])
def test_a_killed_batch_counts_about_what_was_served(server, tmp_path, monkeypatch, hits):
    monkeypatch.setenv("OPENAI_API_KEY", "made-up")
    monkeypatch.setenv("AINB_STATE", server.url)
    budget = ainb.Budget(usd=100, per="day")
    with FaultServer(plan=lambda _seen: Fault(text="a short answer", delay_seconds=0.05)) as provider:
        words = [sys.executable, "-c", BATCH, str(tmp_path), provider.base_url]
        with subprocess.Popen(words) as process:
            assert provider.wait_for_hits(hits, 60)
            process.send_signal(signal.SIGKILL)
            process.wait(20)
        with ainb.Session(
            "openai:gpt-4o", home=tmp_path, api_base=provider.base_url, budget=budget
        ) as session:
            one = session.ask("row 100000").cost_usd
            # A process that needs the money of the dead one settles its calls.
            day = session.budget_status()[0].name
            status = session.budget_status()[0]
            need = 100 - status.spent_usd - status.reserved_usd + Decimal("0.01")
            claim = session.core.stages.budget.limits.claims(session.make_call("x"))[0][0]
            session.submit("never sent", budget_usd=need)
            ledger = session.core.stages.ledger
            until(lambda: ledger.try_reserve(lambda: [claim], need) is not None)
            counted = Decimal(int(server.ask("HGET", SPENT, day))).scaleb(-9)

    assert one * (hits - 64) * 9 / 10 <= counted <= one * provider.hits * 3


HELD = """
from ainb.engine import ENGINE
from ainb.pipeline.budget import Account, Claim
s = session()
ledger = s.core.stages.ledger
DAY = Claim(Account("day", "2026-05-04"), Decimal(10))
async def main():
    for _ in range(30):
        hold = await ledger.reserve(lambda: [DAY], Decimal("0.1"))
        ledger.mark_sent(hold)
        ledger.settle(hold, Decimal("0.01"))
    holds = [await ledger.reserve(lambda: [DAY], Decimal(1)) for _ in range(3)]
    for hold in holds:
        ledger.mark_sent(hold)
    await asyncio.sleep(0.5)
    print("held", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    for hold, cost in zip(holds, ("0.9", "0.1", "0")):
        ledger.settle(hold, Decimal(cost))
    hold = await ledger.reserve(lambda: [DAY], Decimal("0.5"))
    ledger.mark_sent(hold)
    ledger.settle(hold, Decimal("0.5"))
ENGINE.run(main())
s.close()
report(done=True)
"""

NEEDY = """
from ainb.engine import ENGINE
from ainb.pipeline.budget import Account, Claim
from ainb.pipeline.budget.ledger import Hold
s = session()
DAY = Claim(Account("day", "2026-05-04"), Decimal(10))
async def main():
    hold = await s.core.stages.ledger.reserve(lambda: [DAY], Decimal(7))
    s.core.stages.ledger.mark_sent(hold)
    s.core.stages.ledger.settle(hold, Decimal(6))
ENGINE.run(main())
s.close()
report(done=True)
"""


def test_a_process_that_was_held_up_and_taken_for_dead_pays_the_difference(server, tmp_path):
    """Its three calls were reserved at $1 each and counted as $0.2 each; together they cost $1."""
    held = spawn(server, tmp_path / "a", HELD)
    assert held.stdout.readline() == "held\n"
    held.send_signal(signal.SIGSTOP)

    needy = last_words(spawn(server, tmp_path / "b", NEEDY))
    presumed = booked(server)
    held.send_signal(signal.SIGCONT)
    out, _ = held.communicate("go\n", timeout=PATIENCE_SECONDS)

    assert needy == json.loads(out.splitlines()[-1]) == {"done": True}
    assert presumed == Decimal("0.3") + Decimal("0.6") + 6
    until(lambda: booked(server) == Decimal("0.3") + 1 + 6 + Decimal("0.5"))
    assert reserved(server) == 0


def test_a_killed_process_of_which_too_little_is_known_counts_its_estimates(server, tmp_path):
    held = spawn(server, tmp_path / "a", HELD.replace("range(30)", "range(10)"))
    assert held.stdout.readline() == "held\n"
    held.send_signal(signal.SIGKILL)
    held.communicate(timeout=PATIENCE_SECONDS)

    needy = spawn(server, tmp_path / "b", NEEDY.replace("Decimal(7)", "Decimal('6.9')"))

    assert last_words(needy) == {"done": True}
    assert booked(server) == Decimal("0.1") + 3 + 6
