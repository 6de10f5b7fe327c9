"""Tests of single-flight: one of many identical calls is sent; cancelling one does not affect others."""

from __future__ import annotations

import asyncio
import contextvars
import importlib

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from ainb.errors import RateLimitError
from ainb.pipeline.cache.single_flight import SingleFlight
from ainb.testing import run_virtual
from tests.mutation import Mutant, load_mutant
from tests.pipeline.cache.cache_lab import ARRIVALS, MODULES, OUTCOMES, REAL, Schedule


def explore(modules, examples, **changes):
    """Play random schedules; raises at the first violated invariant."""

    @seed(7)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        **changes,
    )
    @given(ARRIVALS, OUTCOMES)
    def play(arrivals, outcomes):
        Schedule(modules, arrivals, outcomes).run()

    play()


def test_promises_hold_in_500_random_schedules():
    explore(REAL, 500)


@pytest.mark.slow
def test_promises_hold_in_10_000_random_schedules():
    explore(REAL, 10_000)


FLIGHT = "ainb.pipeline.cache.single_flight"
MUTANTS = [
    Mutant(
        FLIGHT,
        "            if group.calls.get(party) is shared:\n",
        "            if False:\n",
        "entry never removed",
    ),
    Mutant(
        FLIGHT,
        "            return await self.future\n",
        "            return await self.shared.task\n",
        "no shield",
    ),
    Mutant(
        FLIGHT,
        "            self.task.cancel()\n",
        "            return\n",
        "work without waiters keeps running",
    ),
    Mutant(
        FLIGHT,
        "            await asyncio.wait([self.task])\n",
        "            pass\n",
        "cancelled work is not awaited",
    ),
    Mutant(
        FLIGHT,
        "        if self._waiters:\n",
        "        if not waiter.is_owner:\n",
        "the first cancelled waiter cancels the work",
    ),
    Mutant(
        FLIGHT,
        "task.result() if waiter.is_owner else self._share(task.result())",
        "task.result()",
        "waiters get the paid reply itself",
    ),
    Mutant(
        FLIGHT,
        "return None if shared is None or shared.task.done() else shared",
        "return None",
        "no sharing",
    ),
    Mutant(
        "ainb.pipeline.cache.stage",
        "        work.deadline = None if joined.deadline is None else max(work.deadline, joined.deadline)\n",
        "        pass\n",
        "waiters do not extend the deadline",
    ),
    Mutant(
        "ainb.pipeline.cache.stage",
        "max(work.deadline, joined.deadline)",
        "joined.deadline",
        "the last waiter sets the deadline",
    ),
    Mutant(
        "ainb.pipeline.cache.stage",
        "        if is_whole(reply):\n",
        "        if True:\n",
        "truncated answers are stored",
    ),
    Mutant(
        "ainb.pipeline.cache.stage",
        "        work.options = replace(work.options, on_text=None)\n",
        "",
        "a cancelled caller still gets the stream",
    ),
    Mutant(
        "ainb.pipeline.cache.stage",
        "place, party = (call.options.cache, key), _party(call)",
        "place, party = ('use', key), _party(call)",
        "refresh joins a call without refresh",
    ),
    Mutant(
        FLIGHT,
        "            if waiter.is_owner and not self.task.done():\n",
        "            if waiter.is_owner:\n",
        "all waiters count the attempts",
    ),
    Mutant(
        FLIGHT,
        "            if waiter.is_owner and not self.task.done():\n",
        "            if False:\n",
        "no waiter pays after the owner was cancelled",
    ),
    Mutant(
        "ainb.pipeline.cache.stage",
        "    call.attempts, call.queue_wait_s = work.attempts, work.queue_wait_s\n",
        "",
        "fields that the work recorded are lost",
    ),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.label)
@pytest.mark.filterwarnings("ignore")
def test_random_schedules_detect_the_mutant(mutant):
    dependents = MODULES[MODULES.index(mutant.module) + 1 :]
    with load_mutant(mutant.module, mutant.old, mutant.new, dependents=dependents) as broken:
        modules = {name: broken.get(name) or importlib.import_module(name) for name in MODULES}
        with pytest.raises(AssertionError):
            explore(modules, 500, phases=[Phase.generate], report_multiple_bugs=False)


async def serve(calls, key, work):
    shared = calls.find(key) or calls.start(key, work(), None)[0]
    return await shared.join().wait()


def test_each_gets_an_error_of_its_own_with_its_attributes():
    async def main():
        calls = SingleFlight(lambda value: value)

        async def fail():
            await asyncio.sleep(1)
            raise RateLimitError("full", retry_after=7)

        return await asyncio.gather(*(serve(calls, "k", fail) for _ in range(3)), return_exceptions=True)

    errors = run_virtual(main())

    assert [(type(error), str(error), error.retry_after) for error in errors] == [
        (RateLimitError, "full", 7)
    ] * 3
    assert len({id(error) for error in errors}) == 3


def test_an_error_that_cannot_be_copied_reaches_every_waiter():
    class AwkwardError(Exception):
        def __init__(self, one, *, two):
            super().__init__(f"{one} {two}", one)

    async def main():
        calls = SingleFlight(lambda value: value)

        async def fail():
            await asyncio.sleep(1)
            raise AwkwardError(1, two=2)

        return await asyncio.gather(*(serve(calls, "k", fail) for _ in range(2)), return_exceptions=True)

    assert [type(error) for error in run_virtual(main())] == [AwkwardError] * 2


def test_work_that_is_cancelled_from_outside_cancels_its_waiters():
    async def main():
        calls = SingleFlight(lambda value: value)
        waiters = [asyncio.ensure_future(serve(calls, "k", lambda: asyncio.sleep(100))) for _ in range(2)]
        await asyncio.sleep(1)
        calls.find("k").task.cancel()
        await asyncio.wait(waiters)
        return [waiter.cancelled() for waiter in waiters], len(calls)

    assert run_virtual(main()) == ([True, True], 0)


def test_the_last_to_leave_waits_until_the_work_has_cleaned_up():
    async def main():
        calls, seen = SingleFlight(lambda value: value), []

        async def work():
            try:
                await asyncio.sleep(100)
            finally:
                await asyncio.sleep(2)
                seen.append("clean")

        waiter = asyncio.ensure_future(serve(calls, "k", work))
        await asyncio.sleep(1)
        waiter.cancel()
        await asyncio.wait([waiter])
        return seen, waiter.cancelled()

    assert run_virtual(main()) == (["clean"], True)


def test_work_runs_with_the_context_variables_of_the_first_to_come():
    name = contextvars.ContextVar("name", default="nobody")

    async def main():
        calls = SingleFlight(lambda value: value)

        async def work():
            await asyncio.sleep(1)
            return name.get()

        async def one(who):
            name.set(who)
            return await serve(calls, "k", work)

        return await asyncio.gather(one("ann"), one("bob"))

    assert run_virtual(main()) == ["ann", "ann"]


def test_calls_on_two_event_loops_are_not_shared():
    calls, runs = SingleFlight(lambda value: value), []

    async def work():
        runs.append(1)
        await asyncio.sleep(1)
        return len(runs)

    abandoned = asyncio.new_event_loop()
    abandoned.call_soon(abandoned.stop)
    task = abandoned.create_task(serve(calls, "k", work))
    abandoned.run_forever()

    assert run_virtual(serve(calls, "k", work)) == len(runs)

    task.cancel()
    abandoned.run_until_complete(asyncio.wait([task]))
    abandoned.close()
    assert len(calls) == 0
