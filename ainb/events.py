"""Events of the pipeline: plain data, passed to sinks that must not raise or block."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ainb.messages import Call, Reply


@dataclass(frozen=True, slots=True)
class CallFinished:
    """A call has ended, with a reply or an error.

    Attributes:
        call: The call, with everything recorded about it.
        reply: The reply, or None.
        error: The error, cancellation included, or None.
        duration_s: Duration from submission to end in seconds.
        ended_at: Wall-clock seconds since 1970 at the end.
    """

    call: Call
    reply: Reply | None
    error: BaseException | None
    duration_s: float
    ended_at: float


@dataclass(frozen=True, slots=True)
class Notice:
    """One line for the user about something that works differently than requested; shown once.

    Attributes:
        text: The line.
        kind: Subject ("cache", "log", "budget", …), used to show each notice once.
    """

    text: str
    kind: str


Event = CallFinished | Notice
Sink = Callable[[Event], None]


def silent(_event: Event) -> None:
    """Ignore an event: the sink of sessions without listeners."""
