"""Tests of call ids: ULID format and order."""

from __future__ import annotations

from random import Random

from ainb.call_ids import CallIds
from ainb.testing import FakeClock


def test_ids_sort_by_time_of_making_even_when_the_wall_clock_steps_back():
    clock = FakeClock()
    ids = CallIds(clock, Random(7))

    made = [ids() for _ in range(1000)]
    clock.advance(0.001)
    made += [ids() for _ in range(10)]
    clock.step_wall_clock(-3600)
    made += [ids() for _ in range(10)]

    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert {len(one) for one in made} == {26}


def test_an_id_holds_its_millisecond_as_the_ulid_rules_say():
    made = CallIds(FakeClock(unix=1_469_918_176.385), Random(3))()

    assert made.startswith("01ARYZ6S41")  # the example of the specification
    assert set(made) <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
