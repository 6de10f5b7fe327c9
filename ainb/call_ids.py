"""Ids of calls and sessions: ULIDs, which sort by creation time."""

from __future__ import annotations

from random import Random

from ainb.clock import Clock
from ainb.fork import renew_after_fork

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = tuple(high + low for high in _ALPHABET for low in _ALPHABET)
_RANDOM_BITS = 80
# The top bit of the start is 0, which leaves room for counting up within a millisecond.
_TAIL = (1 << _RANDOM_BITS - 1) - 1
_DRAWN = 64


class CallIds:
    """Generator of ULIDs: 26 characters that sort by time, unique without coordination.

    Within a millisecond, and while the wall clock stands still or steps back, each id is the previous one
    plus 1.

    Args:
        clock: Source of the milliseconds.
        rng: Source of the other 80 bits.

    Source: github.com/ulid/spec.
    """

    def __init__(self, clock: Clock, rng: Random) -> None:
        self._clock = clock
        self._rng = rng
        self._millisecond = -1
        self._tail = 0
        self._drawn: list[int] = []
        renew_after_fork(self)

    def __call__(self) -> str:
        """Make the next id."""
        now = int(self._clock.unix() * 1000)
        if now > self._millisecond:
            self._millisecond, self._tail = now, self._draw()
        else:
            self._tail += 1
        value, tail = self._millisecond << _RANDOM_BITS | self._tail, _PAIRS
        return "".join([tail[value >> shift & 1023] for shift in _SHIFTS])

    def renew(self) -> None:
        """Draw new random bits in a forked child; otherwise it would continue from the parent's number."""
        self._millisecond = -1
        self._drawn.clear()

    def _draw(self) -> int:
        # Many at once: a system call for each id would take as long as the rest of its creation.
        if not self._drawn:
            bits = self._rng.getrandbits(_DRAWN * _RANDOM_BITS)
            self._drawn = [bits >> _RANDOM_BITS * place & _TAIL for place in range(_DRAWN)]
        return self._drawn.pop()


_SHIFTS = tuple(range(120, -1, -10))
