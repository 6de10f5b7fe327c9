"""Scripted faults: what the model ``scripted:NAME`` does with each attempt."""

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
    """A deterministic model: one step per attempt; the last one is repeated.

    Attributes:
        steps: Run in order; a text is a step that replies with it, a whole number a step that fails with that
            status.
        played: Attempts made so far.
        token: Distinguishes scripts of one name, so that a cached answer of an earlier one is not used.
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
    """Make ``scripted:NAME`` answer with `steps`; replaces an earlier script of that name."""
    SCRIPTS[name] = Script(tuple(steps))
    return SCRIPTS[name]
