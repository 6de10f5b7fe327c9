"""What the pipeline tells those who listen: plain data, handed to sinks that must not raise and must not wait."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ainb.messages import Call, Reply


@dataclass(frozen=True, slots=True)
class CallFinished:
    """A call has ended, whatever became of it.

    Attributes:
        call: The request and what it gathered.
        reply: The answer, or None.
        error: What it raised (cancellation included), or None.
        duration_s: Seconds from submit to end.
        ended_at: Wall-clock seconds since 1970 at the end.
    """

    call: Call
    reply: Reply | None
    error: BaseException | None
    duration_s: float
    ended_at: float


@dataclass(frozen=True, slots=True)
class Notice:
    """One line for the person: something works differently than asked for, and says so once.

    Attributes:
        text: The line.
        kind: What it is about ("cache", "log", "budget", …), so that it is said once.
    """

    text: str
    kind: str


Event = CallFinished | Notice
Sink = Callable[[Event], None]


def silent(_event: Event) -> None:
    """A sink for those who do not listen."""
