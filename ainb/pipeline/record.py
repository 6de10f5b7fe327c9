"""The outermost stage: whatever becomes of a call, those who listen are told of it once."""

from __future__ import annotations

import contextlib
import os
import weakref
from random import Random

from ainb.clock import Clock
from ainb.events import CallFinished, Sink
from ainb.messages import Call, Handler, Reply

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = tuple(high + low for high in _ALPHABET for low in _ALPHABET)
_RANDOM_BITS = 80
# The top bit stays 0, so that counting up within a millisecond has room.
_TAIL = (1 << _RANDOM_BITS - 1) - 1
_DRAWN = 64


class CallIds:
    """ULIDs: 26 characters that sort by time of making, unique without asking anybody.

    Within a millisecond, and while the wall clock stands still or steps back, each is the one before plus one.

    Args:
        clock: Where the milliseconds come from.
        rng: Where the other 80 bits come from.

    Source: github.com/ulid/spec.
    """

    def __init__(self, clock: Clock, rng: Random) -> None:
        self._clock = clock
        self._rng = rng
        self._millisecond = -1
        self._tail = 0
        self._drawn: list[int] = []
        _MADE.add(self)

    def __call__(self) -> str:
        """The next id."""
        now = int(self._clock.unix() * 1000)
        if now > self._millisecond:
            self._millisecond, self._tail = now, self._draw()
        else:
            self._tail += 1
        value, tail = self._millisecond << _RANDOM_BITS | self._tail, _PAIRS
        return "".join([tail[value >> shift & 1023] for shift in _SHIFTS])

    def forget(self) -> None:
        """Draw new random bits for the next id."""
        self._millisecond = -1
        self._drawn.clear()

    def _draw(self) -> int:
        # Many at once: asking the system for each would take as long as all the rest of an id.
        if not self._drawn:
            bits = self._rng.getrandbits(_DRAWN * _RANDOM_BITS)
            self._drawn = [bits >> _RANDOM_BITS * place & _TAIL for place in range(_DRAWN)]
        return self._drawn.pop()


_SHIFTS = tuple(range(120, -1, -10))
_MADE: weakref.WeakSet[CallIds] = weakref.WeakSet()


def _forget_after_fork() -> None:
    # Parent and child would count on from the same number.
    for ids in _MADE:
        ids.forget()


os.register_at_fork(after_in_child=_forget_after_fork)


class RecordStage:
    """Gives the call its id, takes its time, and tells the sink how it ended."""

    def __init__(self, sink: Sink, clock: Clock, rng: Random) -> None:
        self._sink = sink
        self._clock = clock
        self._ids = CallIds(clock, rng)

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        """Let the call proceed; it is told of whether it answers, fails, is refused or is cancelled."""
        clock = self._clock
        call.call_id = call.call_id or self._ids()
        call.started_at = clock.monotonic()
        reply: Reply | None = None
        error: BaseException | None = None
        try:
            reply = await proceed(call)
        except BaseException as caught:
            error = caught
            raise
        else:
            return reply
        finally:
            duration = clock.monotonic() - call.started_at if call.duration_s is None else call.duration_s
            if reply is not None:
                reply.duration_s = duration
                reply.attempts = call.attempts
            # A sink must not raise; one that does is no reason to lose an answer that was paid for.
            with contextlib.suppress(Exception):
                ended_at = clock.unix() if call.ended_at is None else call.ended_at
                self._sink(CallFinished(call, reply, error, duration, ended_at))
