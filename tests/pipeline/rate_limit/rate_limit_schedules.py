"""Random schedules of the rate limiter on virtual time with an oracle, for property and mutation tests."""

from __future__ import annotations

import asyncio
import math

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from ainb.pipeline.rate_limit.buckets import call_cost
from ainb.pipeline.rate_limit.options import DIMENSIONS, RateLimit
from ainb.testing import FakeClock, run_virtual

LIMIT = RateLimit(requests_per_minute=24, tokens_per_minute=600, concurrency=3)
PER_USER = RateLimit(requests_per_minute=12, output_tokens_per_minute=240, concurrency=2)
STRICT = RateLimit(requests_per_minute=12, tokens_per_minute=600, concurrency=8, strict=True)
LATE = 1e-3
MOST_LOOKS = 100_000

gaps = st.sampled_from([0, 0, 0.1, 1, 3, 20])
holds = st.sampled_from([0.0, 0.5, 4.0, 15.0])
sizes = st.one_of(
    st.integers(0, 12), st.integers(0, 130)
)  # small ones meet limits of slots and requests, large ones leave a debt
cancels = st.sampled_from([None, None, None, 0, 0.1, 1, 2, 7])
users = st.sampled_from([None, None, "ann", "bob"])
# gap, tokens reserved, tokens used, hold, cancel after, user
jobs = st.tuples(gaps, sizes, sizes, holds, cancels, users)
schedules = st.lists(jobs, min_size=3, max_size=25)
feedback = st.tuples(
    st.sampled_from([0.05, 0.7, 2.3, 9.1, 30.3]),
    st.sampled_from(["pause", "remaining", "limit"]),
    st.sampled_from([0.0, 0.4, 3.0, 8.0, 40.0]),
)
feedbacks = st.lists(feedback, max_size=4)


class BoundedClock(FakeClock):
    """A virtual clock that fails the test if a limiter reads it in an endless loop."""

    asked = 0

    def monotonic(self):
        self.asked += 1
        assert self.asked < MOST_LOOKS, "the limiter reads the clock in an endless loop"
        return super().monotonic()


class OracleBucket:
    """A second, plain implementation of a token bucket."""

    def __init__(self, limit):
        self.configured = self.limit = limit
        self.level = self.capacity = max(1, limit / 6)
        self.at = 0.0

    def to(self, now):
        self.level = min(self.capacity, self.level + (now - self.at) * self.limit / 60)
        self.at = now

    def learn(self, limit, now):
        self.to(now)
        self.limit = min(self.configured, limit)
        self.capacity = max(1, self.limit / 6)
        self.level = min(self.level, self.capacity)

    def fits(self, amount, now):
        if amount == 0:
            return True
        level = min(self.capacity, self.level + max(0.0, now - self.at) * self.limit / 60)
        return level >= min(amount, self.capacity) - 1e-6


class Oracle:
    """Checks every grant and settlement of a limiter, in the order of the core."""

    def __init__(self, limiter, limit, per_user):
        self.core, self.clock, self.limit, self.per_user = limiter._core, limiter.clock, limit, per_user
        self.paused_until = -math.inf
        self.scopes = {None: self.scope(limit)}
        self.live = {}
        self.changed_at = -math.inf
        self.grants = []
        self.take, self.settle = self.core._take, self.core.settle
        self.core._take, self.core.settle = self.taken, self.settled

    def scope(self, limit):
        limits = [getattr(limit, f"{name}_per_minute") for name in DIMENSIONS]
        return {index: OracleBucket(value) for index, value in enumerate(limits) if value is not None}

    def scopes_of(self, user):
        if user is not None and self.per_user is not None:
            self.scopes.setdefault(user, self.scope(self.per_user))
            yield user, self.scopes[user], self.per_user.concurrency
        yield None, self.scopes[None], self.limit.concurrency

    def user_of(self, line):
        return next((user for user, known in self.core._users.items() if known is line), None)

    def fits(self, cost, user, now):
        return all(
            self.live.get(name, 0) < cap and all(scope[index].fits(cost[index], now) for index in scope)
            for name, scope, cap in self.scopes_of(user)
        )

    def taken(self, line, cost, now):
        user = self.user_of(line)
        assert now >= self.paused_until, "a grant during a pause"
        assert self.fits(cost, user, now), f"a grant of {cost} to {user} that does not fit"
        permit = self.take(line, cost, now)
        self.change(user, cost, now, 1)
        self.grants.append((now, cost, user))
        return permit

    def settled(self, permit, actual, now, *, answered=None):
        if not permit.settled:
            back = tuple(used - reserved for used, reserved in zip(actual, permit.cost, strict=True))
            self.change(self.user_of(permit.queue), back, now, -1)
        self.settle(permit, actual, now)

    def change(self, user, cost, now, slots):
        for name, scope, _ in self.scopes_of(user):
            for index, bucket in scope.items():
                bucket.to(now)
                bucket.level = min(bucket.capacity, bucket.level - cost[index])
            self.live[name] = self.live.get(name, 0) + slots
        self.changed_at = now

    def check_nobody_waits_in_vain(self):
        now = self.clock.monotonic() - LATE
        if self.changed_at >= now or self.paused_until >= now:
            return
        heads = [next(iter(queue.waiting.values())) for queue in self.core.queues]
        own = {head: list(self.scopes_of(head.user))[:-1] for head in heads}
        free = [
            head
            for head in heads
            if all(
                self.live.get(name, 0) < cap
                and all(scope[index].fits(head.cost[index], now) for index in scope)
                for name, scope, cap in own[head]
            )
        ]
        if free:
            first = min(free, key=lambda head: head.number)
            assert not self.fits(first.cost, first.user, now), "the head of the queue fits and is not granted"

    def check_nothing_is_left(self):
        assert not any(self.live.values()), f"leaked permits: {self.live}"
        assert self.core.shared.in_flight == 0
        assert not self.core.queues
        assert self.core._timer is None
        assert not self.core.waking
        for queue in self.core._users.values():
            assert queue.pool.in_flight == 0
        for index, bucket in self.core.shared.buckets:
            bucket.refill(self.clock.monotonic())
            oracle = self.scopes[None][index]
            oracle.to(self.clock.monotonic())
            assert abs(bucket.level - oracle.level) < 1e-3, f"{DIMENSIONS[index]}: {bucket.level}"


class Heard:
    """Header values, passed to both limiter and oracle."""

    @staticmethod
    def give(limiter, oracle, kind, value):
        now = limiter.clock.monotonic()
        if kind == "pause" and value:
            oracle.paused_until = max(oracle.paused_until, now + value)
            limiter.pause(value)
        bucket = oracle.scopes[None][1]
        if kind == "remaining":
            bucket.to(now)
            bucket.level = min(bucket.level, value)
            limiter.learn([("tokens", None, value, None)])
        if kind == "limit" and value:
            bucket.learn(value * 30, now)
            limiter.learn([("tokens", value * 30, None, 1.0)])
        oracle.changed_at = now


def run_schedule(limiter_class, ops, heard=()):
    """Check every invariant of queues and buckets in one random schedule."""

    async def main():
        loop = asyncio.get_running_loop()
        limiter = limiter_class(LIMIT, BoundedClock(loop=loop), per_user=PER_USER)
        oracle = Oracle(limiter, LIMIT, PER_USER)
        waiting = {}

        async def job(number, reserved, used, hold, user):
            waiting[number] = user
            try:
                permit = await limiter.acquire(call_cost(reserved // 2, reserved - reserved // 2), user=user)
            finally:
                del waiting[number]
            earlier = {other for other, who in waiting.items() if other < number and who in {None, user}}
            assert not earlier, f"{number} of {user} passed {earlier}"
            try:
                await asyncio.sleep(hold)
            finally:
                limiter.settle(permit, call_cost(used // 2, used - used // 2))
                limiter.settle(permit)

        async def watch():
            while True:
                await asyncio.sleep(0.4871)
                oracle.check_nobody_waits_in_vain()

        watcher = loop.create_task(watch())
        for delay, kind, value in heard:
            loop.call_later(delay, Heard.give, limiter, oracle, kind, value)
        tasks = []
        for number, (gap, reserved, used, hold, cancel, user) in enumerate(ops):
            if gap:
                await asyncio.sleep(gap)
            tasks.append(loop.create_task(job(number, reserved, used, hold, user)))
            if cancel is not None:
                loop.call_later(cancel, tasks[-1].cancel)
        done = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10_000)
        await asyncio.sleep(50)
        raised = [watcher.exception()] if watcher.done() else []
        for error in [*raised, *done]:
            if isinstance(error, BaseException) and not isinstance(error, asyncio.CancelledError):
                raise error
        oracle.check_nothing_is_left()
        check_windows(oracle.grants, ops)

    run_virtual(main())


def check_windows(grants, ops):
    """Check that no window has more requests than bucket + rate * window.

    Schedules with cancellations are not checked, because cancelled grants are returned."""
    if any(op[4] is not None for op in ops):
        return
    times = [now for now, _, _ in grants]
    for first in range(len(times)):
        for last in range(first, len(times)):
            window = times[last] - times[first]
            assert last - first + 1 <= 4 + 0.4 * window + 1e-5


def run_strict(limiter_class, ops):
    """Check that no minute on the server's clock is above the limit.

    The server may count a call at any time between grant and return."""

    async def main():
        loop = asyncio.get_running_loop()
        limiter = limiter_class(STRICT, BoundedClock(loop=loop))
        counted = []

        async def job(reserved, used, hold, share):
            permit = await limiter.acquire(call_cost(reserved, 0))
            await asyncio.sleep(hold * share)
            counted.append((loop.time(), used))
            await asyncio.sleep(hold * (1 - share))
            limiter.settle(permit, call_cost(used, 0))

        tasks = []
        for gap, reserved, used, hold, share in ops:
            await asyncio.sleep(gap)
            tasks.append(loop.create_task(job(reserved, min(used, reserved), hold, share)))
        await asyncio.wait_for(asyncio.gather(*tasks), 2000)
        for end, _ in counted:
            # Slightly less than a minute: times exactly 60 s apart may differ in the last bit of a float.
            minute = [used for at, used in counted if end - 60 + 1e-9 < at <= end]
            assert len(minute) <= 12
            assert sum(minute) <= 600 + 1e-6

    run_virtual(main())


# Found by random search: the timer of the first waiter grants two at once, and the first is woken last.
WOKEN_IN_ORDER = [(0, 66, 23, 0.5, None, "ann"), (0, 37, 18, 4.0, None, None), (0.1, 0, 34, 4.0, 7, "bob")]
# Found by random search: a new call gets a permit at once, while one granted just before has not run yet.
COMES_WHILE_ANOTHER_WAKES = [
    (0, 0, 0, 0.0, None, None),
    (0, 0, 0, 0.0, None, None),
    (0, 0, 52, 0.5, None, None),
    (3, 83, 0, 0.0, 1, None),
    (0, 0, 0, 0.0, None, None),
    (1, 0, 0, 0.0, None, None),
]
strict_jobs = st.tuples(
    st.sampled_from([0, 0, 0.5, 4]),
    st.one_of(st.integers(0, 40), st.integers(0, 450)),
    st.one_of(st.integers(0, 40), st.integers(0, 450)),
    st.sampled_from([0.0, 3.0, 45.0]),
    st.sampled_from([0.0, 0.5, 1.0]),
)
strict_schedules = st.lists(strict_jobs, min_size=12, max_size=36)


def check_limiter(limiter_class, *, examples, shrink=True):
    """Run the whole property suite; raises at the first violated invariant."""
    run_schedule(limiter_class, WOKEN_IN_ORDER)
    run_schedule(limiter_class, COMES_WHILE_ANOTHER_WAKES)
    phases = [Phase.explicit, Phase.generate] + ([Phase.shrink] if shrink else [])
    bounded = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=phases,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )

    @seed(11)
    @bounded
    @given(schedules)
    def plain(ops):
        run_schedule(limiter_class, ops)

    @seed(12)
    @bounded
    @given(schedules, feedbacks)
    def with_feedback(ops, heard):
        run_schedule(limiter_class, ops, heard)

    @seed(13)
    @bounded
    @given(strict_schedules)
    def strict(ops):
        run_strict(limiter_class, ops)

    plain()
    with_feedback()
    strict()
