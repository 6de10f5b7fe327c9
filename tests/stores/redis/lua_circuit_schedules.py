"""Random schedules of the shared circuit's Lua scripts, compared with the circuit of one process."""

from __future__ import annotations

import math
from functools import partial

from hypothesis import given, seed
from hypothesis import strategies as st

from ainb.pipeline.circuit.state_machine import BreakerCore, Circuit
from tests.stores.redis.lua_lab import thorough

KEYS = ["circuit", "probe"]
JITTER = 0.5
PLACES = st.integers(0, 4)

schedules = st.lists(
    st.one_of(
        st.tuples(st.just("begin")),
        st.tuples(st.just("begin")),
        st.tuples(st.just("end"), PLACES, st.sampled_from([True, True, False, None])),
        st.tuples(st.just("open"), st.sampled_from([5.0, 10.0])),
        st.tuples(st.just("calls"), st.lists(st.booleans(), min_size=1, max_size=6)),
        st.tuples(st.just("step"), st.sampled_from([0.5, 7.0, 9.5, 10.0, 21.0, 70.0])),
        st.tuples(
            st.just("force"),
            st.sampled_from(["forced-open", "disabled", "closed", "closed", "closed"]),
        ),
    ),
    min_size=5,
    max_size=45,
)


class Middle:
    """Fixed jitter for both implementations."""

    def random(self):
        return JITTER


class Run:
    """One schedule.

    With one probe, the scripts and the circuit of one process must agree. With more, each probe expires
    separately on the server and all expire together in a process; then only the invariants of any circuit are
    checked.
    """

    def __init__(self, lab, scripts, probes):
        lab.reset()
        self.lab, self.scripts, self.probes = lab, scripts, probes
        self.options = Circuit(
            minimum_calls=4, window_seconds=20, open_seconds=10, max_open_seconds=40, probes=probes
        )
        self.core = BreakerCore(self.options, Middle()) if probes == 1 else None
        self.permits = []
        self.live = {}
        self.successes = 0
        self.state = "closed"

    def script(self, name, *args):
        item = self.options
        fixed = (item.window_seconds, item.minimum_calls, item.failure_rate, item.open_seconds)
        words = (*fixed, item.max_open_seconds, item.probes, JITTER, *args)
        run = self.lab.run
        if name == "BEGIN":  # the only script whose keys expire within a schedule
            run = partial(self.lab.run_with_expiry, pattern="probe:*")
        found = run(self.scripts[name], KEYS, *words)
        granted, self.state, generation, left, calls, failures = found.split(" ")
        self.picture = (int(generation), float(left), int(calls), int(failures))
        return int(granted)

    def play(self, schedule):
        for what, *words in schedule:
            getattr(self, what)(*words)
            self.script("LOOK")
            self.compare()

    def step(self, seconds):
        self.lab.step(seconds)
        self.live = {key: ends for key, ends in self.live.items() if ends > self.lab.now}

    def begin(self):
        before = self.state
        granted = self.script("BEGIN")
        permit = None if self.core is None else self.core.begin(self.lab.now)
        if self.core is not None:
            assert (granted > 0) == (permit is not None)
        if granted == 0:
            return
        assert (granted > 1) == (self.state == "half-open")
        key = object()
        if granted > 1:
            if before == "open":
                self.live, self.successes = {}, 0
            self.live[key] = self.lab.now + self.options.open_seconds
            assert self.successes + len(self.live) <= self.probes, "too many probes at once"
        self.permits.append((self.picture[0], granted - 1, permit, key))

    def open(self, more):
        """Fail calls until the circuit is open, then step the clock."""
        for _ in range(self.options.minimum_calls if self.state == "closed" else 0):
            self.call(True)
        self.step(more)

    def calls(self, outcomes):
        for failed in outcomes:
            self.call(failed)

    def call(self, failed):
        """Begin a call and end it."""
        count = len(self.permits)
        self.begin()
        if len(self.permits) > count:
            self.end(count, failed)

    def end(self, place, failed):
        if place >= len(self.permits):
            return
        generation, slot, permit, key = self.permits.pop(place)
        if self.state == "half-open" and generation == self.picture[0]:
            self.successes += failed is False
        if slot or failed is not None:
            outcome = -1 if failed is None else int(failed)
            self.script("END", generation, outcome, slot, int(failed is False and slot == 0))
        self.live.pop(key, None)
        if self.core is not None:
            self.core.end(permit, failed=failed, now=self.lab.now)

    def force(self, state):
        self.script("FORCE", state)
        if self.core is None:
            return
        if state == "closed":
            self.core.reset()
        else:
            self.core.force(state)

    def compare(self):
        if self.core is None:
            return
        assert self.state == self.core.state
        _, left, calls, failures = self.picture
        self.core.window.roll(self.lab.now)
        assert (calls, failures) == (self.core.window.calls, self.core.window.failures)
        if self.state == "open":
            assert math.isclose(left, self.core.retry_after(self.lab.now), abs_tol=1e-5)


def check_circuit(lab, scripts, *, examples, shrink=True):
    """Check all properties; an AssertionError reports the failing schedule."""

    @seed(51)
    @thorough(examples, shrink=shrink)
    @given(schedules)
    def as_in_one_process(schedule):
        Run(lab, scripts, 1).play(schedule)

    @seed(52)
    @thorough(examples, shrink=shrink)
    @given(schedules, st.integers(2, 3))
    def never_more_probes_than_allowed(schedule, probes):
        Run(lab, scripts, probes).play(schedule)

    as_in_one_process()
    never_more_probes_than_allowed()
