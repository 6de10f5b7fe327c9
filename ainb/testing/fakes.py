"""Fakes for clocks, randomness and faults; shipped, so that users test their own code with them too."""

from __future__ import annotations

import asyncio
import secrets
import selectors
import threading
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ainb.errors import AinbError

T = TypeVar("T")


class FakeClock:
    """A clock that moves only when told to, or with a virtual-time loop.

    Args:
        unix: Wall-clock seconds since 1970 at the start.
        loop: Follow this loop's virtual time; None means `advance` moves the clock.
    """

    def __init__(
        self, unix: float = 1_700_000_000.0, *, loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        self._unix = unix
        self._now = 0.0
        self._loop = loop

    def monotonic(self) -> float:
        """Virtual seconds since the start."""
        return self._now if self._loop is None else self._now + self._loop.time()

    def unix(self) -> float:
        """Virtual wall-clock seconds."""
        return self._unix + self.monotonic()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds

    def step_wall_clock(self, seconds: float) -> None:
        """Step the wall clock alone, as a time server would."""
        self._unix += seconds

    async def sleep(self, seconds: float) -> None:
        """Wait on a virtual loop, or advance at once without one."""
        if self._loop is not None:
            await asyncio.sleep(seconds)
        else:
            self.advance(max(0.0, seconds))
            await asyncio.sleep(0)

    def call_later(
        self, loop: asyncio.AbstractEventLoop, seconds: float, callback: Callable[[], object]
    ) -> asyncio.Handle:
        """A timer of the virtual loop, or advance at once without one."""
        if self._loop is not None:
            return loop.call_later(seconds, callback)
        self.advance(max(0.0, seconds))
        return loop.call_soon(callback)

    def wait(self, event: threading.Event, seconds: float | None) -> None:
        """Advance at once; a wait that only another thread can end is a real one, and bounded."""
        if event.is_set():
            return
        if seconds is not None:
            self.advance(max(0.0, seconds))
        elif not event.wait(STUCK_SECONDS):
            raise AinbError("this thread waits for something that never comes")

    def block(self, seconds: float) -> None:
        """Let time pass at once, as a blocked thread would see it."""
        self.advance(max(0.0, seconds))


class _JumpingSelector(selectors.DefaultSelector):
    """Where a real selector would sleep, it moves the loop's time forward instead."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None:
            ready = super().select(STUCK_SECONDS)
            if not ready:
                raise AinbError("every task on the virtual-time loop waits for something that never comes")
        elif timeout > 0:
            self.now += timeout
        return ready


STUCK_SECONDS = 5.0


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop on which an hour takes no time: when nothing is ready it jumps to the next timer."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._jumping.now


def run_virtual(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on a virtual-time loop of its own."""
    loop = VirtualTimeLoop()
    try:
        return loop.run_until_complete(work)
    finally:
        _drain(loop)
        loop.close()


def _drain(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))


@dataclass(frozen=True, kw_only=True)
class Step:
    """What a scripted model does with one attempt.

    Attributes:
        text: The reply; None repeats the prompt.
        delay_seconds: Wait before the reply or the fault.
        status: Fail with this HTTP status; None means answer.
        code: The provider's error code that goes with `status`, such as "insufficient_quota".
        retry_after: Seconds of the Retry-After header that goes with `status`, or None.
        hang: Never answer.
        cut: Break off in the middle of the reply, after the first streamed piece.
        garbage: Answer with a body that is not JSON.
    """

    text: str | None = None
    delay_seconds: float = 0.0
    status: int | None = None
    code: str | None = None
    retry_after: float | None = None
    hang: bool = False
    cut: bool = False
    garbage: bool = False


@dataclass
class Script:
    """A deterministic model: one step an attempt, the last one repeated.

    Attributes:
        steps: Played in order; a text stands for a step that replies with it, a whole number for a step that fails with that status.
        played: Attempts made so far.
        token: Tells scripts of one name apart, so that no answer of an earlier one is taken from a cache.
    """

    steps: Sequence[Step | str | int]
    played: int = field(default=0)
    token: str = field(default_factory=lambda: secrets.token_hex(4))

    def __post_init__(self) -> None:
        if not self.steps:
            raise AinbError("a script needs at least one step; give a text, a status or a Step")

    def next(self) -> Step:
        """The step for the next attempt."""
        step = self.steps[min(self.played, len(self.steps) - 1)]
        self.played += 1
        if isinstance(step, str):
            return Step(text=step)
        return Step(status=step) if isinstance(step, int) else step


SCRIPTS: dict[str, Script] = {}


def script(name: str, steps: Iterable[Step | str | int]) -> Script:
    """Make ``scripted:NAME`` answer with `steps`; a script of that name that stood before is replaced."""
    SCRIPTS[name] = Script(tuple(steps))
    return SCRIPTS[name]
