"""Tests of the time limit with a shared timer: it behaves like `asyncio.timeout`."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ainb.pipeline.deadline.time_limit import TimeLimits
from ainb.testing import run_virtual

SECONDS = 10.0


async def asleep(limits, seconds, *, start=0.0):
    """Outcome and end time of a call that takes `seconds`."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(start)
    limit = limits.limit()
    try:
        with limit:
            await asyncio.sleep(seconds)
    except TimeoutError:
        return "expired" if limit.expired else "inner", loop.time()
    return "done", loop.time()


@settings(max_examples=60, deadline=None, database=None)
@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0, 25)), min_size=1, max_size=20))
def test_each_call_has_its_own_seconds_whatever_the_others_do(calls):
    async def main():
        limits = TimeLimits(SECONDS)
        began = asyncio.get_running_loop().time()
        ended = await asyncio.gather(*(asleep(limits, seconds, start=start) for start, seconds in calls))
        return [(how, when - began) for how, when in ended]

    for (start, seconds), (how, when) in zip(calls, run_virtual(main()), strict=True):
        if abs(seconds - SECONDS) > 1e-6:
            assert how == ("expired" if seconds > SECONDS else "done")
        assert when == pytest.approx(start + min(seconds, SECONDS), abs=1e-6)


def test_a_timeout_from_within_is_not_its_own():
    async def main():
        limit = TimeLimits(SECONDS).limit()
        with pytest.raises(TimeoutError), limit:
            raise TimeoutError
        return limit.expired

    assert run_virtual(main()) is False


def test_a_cancellation_from_outside_stays_one():
    async def main():
        limits = TimeLimits(SECONDS)
        task = asyncio.ensure_future(asleep(limits, 5))
        await asyncio.sleep(1)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return task.cancelled()

    assert run_virtual(main()) is True


def test_cancelled_in_the_moment_it_expires_it_stays_cancelled():
    async def main():
        limits = TimeLimits(SECONDS)
        task = asyncio.ensure_future(asleep(limits, 50))
        asyncio.get_running_loop().call_later(SECONDS, task.cancel)
        await asyncio.wait([task])
        return task.cancelled()

    assert run_virtual(main()) is True


def test_one_inside_the_other_ends_only_its_own_part():
    async def main():
        outer, inner = TimeLimits(30).limit(), TimeLimits(SECONDS).limit()
        with outer:
            with pytest.raises(TimeoutError), inner:
                await asyncio.sleep(100)
            await asyncio.sleep(5)
        return outer.expired, inner.expired, asyncio.current_task().cancelling()

    assert run_virtual(main()) == (False, True, 0)


def test_sequential_calls_share_a_timer_which_ends():
    async def main():
        loop = asyncio.get_running_loop()
        limits = TimeLimits(SECONDS)
        made = []
        call_at = loop.call_at

        def counted(when, callback, *args, context=None):
            made.append(callback)
            return call_at(when, callback, *args, context=context)

        loop.call_at = counted
        for _ in range(50):
            with limits.limit():
                pass
        first = len(made)
        await asyncio.sleep(100)
        return first, len([callback for callback in made if callback.__name__ == "_fire"])

    assert run_virtual(main()) == (1, 1)


def test_loops_that_have_ended_are_forgotten():
    limits = TimeLimits(SECONDS)
    for _ in range(3):
        asyncio.run(asleep(limits, 0))
    assert len(limits._queues) == 1
