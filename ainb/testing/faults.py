"""Scripted faults: reactions of the model ``scripted:NAME`` to each attempt."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ainb.errors import AinbError


@dataclass(frozen=True, kw_only=True)
class Step:
    """Reaction of a scripted model to one attempt.

    Attributes:
        text: The reply; None repeats the prompt.
        delay_seconds: Wait before the reply or the fault.
        status: HTTP status with which the attempt fails; None means an answer.
        code: The provider's error code sent with `status`, such as "insufficient_quota".
        retry_after: Seconds of the Retry-After header sent with `status`, or None.
        hang: Whether the attempt never gets an answer.
        cut: Whether the connection breaks in the middle of the reply, after the first streamed piece.
        garbage: Whether the body of the answer is not JSON.
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
    """Script of a deterministic model: one step per attempt; the last one is repeated.

    Attributes:
        steps: Steps in order; a text is a step that replies with it, a whole number a step that fails with
            that status.
        played: Attempts made so far.
        token: Distinguishes scripts of the same name, so that cached answers of an earlier one are not used.
    """

    steps: Sequence[Step | str | int]
    played: int = 0
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
    """Make ``scripted:NAME`` answer with `steps`, in place of an earlier script of that name."""
    SCRIPTS[name] = Script(tuple(steps))
    return SCRIPTS[name]
