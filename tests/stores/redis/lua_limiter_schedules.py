"""Random schedules of the shared limiter's Lua scripts, compared with the buckets of one process."""

from __future__ import annotations

import math

from hypothesis import example, given, seed
from hypothesis import strategies as st

from ainb.pipeline.rate_limit.options import RateLimit
from ainb.pipeline.rate_limit.permits import Permit, UserQueue
from ainb.pipeline.rate_limit.queue import LimiterCore
from ainb.stores.redis.heartbeat import LIVE_SECONDS
from ainb.stores.redis.limiter_scripts import RETURN_SECONDS
from tests.stores.redis.lua_lab import thorough

KEYS = ["level", "line", "flight", "peers"]
OWNERS = ["a", "b", "c"]
SLOTS = 3
LIMIT = RateLimit(requests_per_minute=24, tokens_per_minute=600, concurrency=SLOTS)
NO_DEADLINE = 1e9

owners = st.sampled_from(OWNERS)
tokens = st.one_of(st.integers(0, 20), st.integers(0, 130))
permits = st.integers(0, 1)
steps = st.tuples(st.just("step"), st.sampled_from([0.0, 0.1, 0.7, 2.5, 3.0, 11.0, 40.0]))
acquires = st.tuples(
    st.just("acquire"), owners, tokens, st.booleans(), st.sampled_from([-1, 2.0, NO_DEADLINE, NO_DEADLINE])
)
settles = st.tuples(st.just("settle"), permits, tokens)
throttles = st.tuples(st.just("throttle"), permits, st.sampled_from([0.0, 0.0, 0.5, 5.0]))
rest = st.one_of(
    st.tuples(st.just("pause"), st.sampled_from([0.5, 4.0, 15.0])),
    st.tuples(
        st.just("learn"),
        st.sampled_from([0, 1]),
        st.sampled_from([None, 12, 60]),
        st.sampled_from([None, 0, 3]),
    ),
    st.tuples(st.just("leave"), owners),
    st.tuples(st.just("beat"), owners),
)
# A caller that takes every available permit for a while.
greedy = st.tuples(st.just("steady"), st.integers(1, 15), st.sampled_from([1.0, 2.5]))
schedules = st.lists(
    st.one_of(acquires, acquires, steps, steps, settles, throttles, rest), min_size=10, max_size=40
)
steady = st.lists(st.one_of(acquires, steps, greedy, greedy), min_size=2, max_size=8)

# Random schedules seldom throttle one call twice and settle it later.
TWICE_THROTTLED = [
    ("acquire", "a", 0, False, -1),
    ("step", 0.7),
    ("throttle", 0, 0.0),
    ("step", 2.5),
    ("throttle", 0, 0.0),
    ("step", 0.7),
    ("settle", 0, 0),
]


class Model:
    """Reference for the scripts: the buckets of one process, and a second implementation of the queue."""

    def __init__(self, now):
        self.core = LimiterCore(LIMIT, None, now)
        self.queue = {}
        self.flights = {}
        self.beats = {}
        self.arrivals = 0

    def acquire(self, owner, cost, patience, *, is_first, now):
        """Whether a permit is granted, and the wait if it is not."""
        self.queue = {name: entry for name, entry in self.queue.items() if entry[1] >= now}
        mine = self.queue.get(owner)
        before = mine[0] if is_first and mine else math.inf
        wait = max(0.0, self.core.paused_until - now)
        for index, bucket in self.core.shared.buckets:
            bucket.refill(now)
            ahead = sum(min(e[2][index], bucket.capacity) for e in self.queue.values() if e[0] < before)
            wait = max(wait, bucket.wait(cost[index], now, ahead))
        is_full = self.in_flight(owner, now) >= SLOTS
        if wait <= 0 and not is_full:
            self.core.shared.take(cost)
            self.flights[owner] = self.flights.get(owner, 0) + 1
            if is_first and mine:
                del self.queue[owner]
            return True, 0.0
        if wait <= patience and (not mine or is_first):
            if not mine:
                self.arrivals += 1
            number = mine[0] if mine else self.arrivals
            self.queue[owner] = (number, now + wait + RETURN_SECONDS, cost)
        return False, wait

    def settle(self, owner, permit, actual, now):
        self.core.settle(permit, actual, now)
        self.flights[owner] = self.flights.get(owner, 0) - 1
        if self.flights[owner] <= 0:
            del self.flights[owner]

    def in_flight(self, asking, now):
        self.flights = {
            name: count
            for name, count in self.flights.items()
            if name == asking or self.beats.get(name, -math.inf) > now - LIVE_SECONDS
        }
        return sum(self.flights.values())


class Run:
    """One schedule."""

    def __init__(self, lab, scripts, *, strict=False):
        lab.reset()
        self.lab, self.scripts, self.strict = lab, scripts, strict
        self.model = Model(lab.now)
        self.permits = []
        self.granted = []

    def script(self, name, owner, *args):
        fixed = (LIMIT.requests_per_minute, LIMIT.tokens_per_minute, "", "", int(self.strict))
        return self.lab.run(self.scripts[name], KEYS, owner, *fixed, *args)

    def play(self, schedule):
        for what, *words in schedule:
            getattr(self, what)(*words)
            if not self.strict:
                self.compare()
        self.check_grants()

    def step(self, seconds):
        self.lab.step(seconds)

    def beat(self, owner):
        self.lab.client.zadd("peers", {owner: self.lab.now})
        self.model.beats[owner] = self.lab.now

    def acquire(self, owner, amount, is_first, patience):
        if owner != "c":  # which sends no heartbeat
            self.beat(owner)
        cost, now = (1, amount, 0, 0), self.lab.now
        words = (*cost, int(is_first), SLOTS, patience, LIVE_SECONDS)
        kind, text, _why = self.script("ACQUIRE", owner, *words).split(" ")
        granted, wait = self.model.acquire(owner, cost, patience, is_first=is_first, now=now)
        if not self.strict:
            assert (kind == "1") == granted, f"{owner} {cost}: {kind} {text}, and not {granted} {wait}"
            assert granted or math.isclose(float(text), wait, abs_tol=1e-6)
        if kind == "1":
            permit = Permit(cost, UserQueue(None), self.model.core.shared, now)
            self.permits.append((owner, permit, text))
            self.granted.append(now)

    def steady(self, count, seconds):
        for _ in range(count):
            self.step(seconds)
            self.acquire("a", 0, False, -1)
            self.settle(0, 0)

    def settle(self, index, used):
        if index < len(self.permits):
            owner, permit, _ = self.permits.pop(index)
            actual = (1, used, 0, 0)
            back = [float(kept - spent) for kept, spent in zip(permit.cost, actual, strict=True)]
            self.script("SETTLE", owner, *back)
            self.model.settle(owner, permit, actual, self.lab.now)

    def throttle(self, index, seconds):
        if index < len(self.permits):
            owner, permit, text = self.permits[index]
            self.script("DRAIN", owner, text, seconds)
            self.model.core.slow_down(permit, self.lab.now)
            self.model.core.pause(seconds, self.lab.now)

    def pause(self, seconds):
        self.lab.run(self.scripts["PAUSE"], KEYS, seconds)
        self.model.core.pause(seconds, self.lab.now)

    def learn(self, index, limit, remaining):
        words = [["", "", "", ""], ["", "", "", ""]]
        words[0][index] = "" if limit is None else limit
        words[1][index] = "" if remaining is None else remaining
        self.script("LEARN", "a", *words[0], *words[1])
        dimension = ("requests", "tokens")[index]
        self.model.core.learn([(dimension, limit, remaining, None)], self.lab.now)

    def leave(self, owner):
        self.lab.run(self.scripts["LEAVE"], KEYS, owner)
        self.model.queue.pop(owner, None)

    def compare(self):
        found = list(map(float, self.script("LOOK", "a", LIVE_SECONDS).split(" ")))
        now, core = self.lab.now, self.model.core
        expected = [self.model.in_flight("a", now), max(0.0, core.paused_until - now), core.share]
        for _, bucket in core.shared.buckets:
            bucket.refill(now)
            expected += [bucket.level, bucket.capacity, bucket.limit]
        for place, (one, other) in enumerate(zip(found, expected, strict=False)):
            assert math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-6), (place, found, expected)

    def check_grants(self):
        """Check each window against bucket and refill; in strict mode, each minute against the limit."""
        capacity = LIMIT.requests_per_minute / 6
        rate = (LIMIT.requests_per_minute - (capacity if self.strict else 0)) / 60
        for first, start in enumerate(self.granted):
            for count, end in enumerate(self.granted[first:], 1):
                assert count <= capacity + rate * (end - start) + 1e-6


def check_limiter(lab, scripts, *, examples, shrink=True):
    """Check all properties; an AssertionError reports the failing schedule."""

    @seed(31)
    @thorough(examples, shrink=shrink)
    @given(schedules)
    @example(TWICE_THROTTLED)
    def one_bucket_for_all(schedule):
        Run(lab, scripts).play(schedule)

    @seed(32)
    @thorough(max(10, examples // 4), shrink=shrink)
    @given(steady)
    def strict(schedule):
        Run(lab, scripts, strict=True).play(schedule)

    one_bucket_for_all()
    strict()
