"""Record: the outermost stage; reports the outcome of every call to the event sink, once."""

from __future__ import annotations

import contextlib
from random import Random

from ainb.call_ids import CallIds
from ainb.clock import Clock
from ainb.events import CallFinished, Sink
from ainb.messages import Call, Handler, Reply


class RecordStage:
    """Assigns the call's id, measures its duration and reports the outcome to the sink."""

    def __init__(self, sink: Sink, clock: Clock, rng: Random) -> None:
        self._sink = sink
        self._clock = clock
        self._ids = CallIds(clock, rng)

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        """Run the call and report its outcome: success, failure, refusal or cancellation."""
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
            duration = call.duration_s
            if duration is None:
                duration = max(0.0, clock.monotonic() - call.started_at - call.queue_wait_s)
            if reply is not None:
                reply.duration_s = duration
                reply.attempts = call.attempts
            # A sink must not raise; if one does, the answer, which was paid for, must not be lost.
            with contextlib.suppress(Exception):
                ended_at = clock.unix() if call.ended_at is None else call.ended_at
                self._sink(CallFinished(call, reply, error, duration, ended_at))
