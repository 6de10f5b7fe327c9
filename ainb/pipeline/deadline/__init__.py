"""Deadline: a time limit for the whole call and one for each attempt.

`stage` holds the options and the two stages; `time_limit` is the timer that all calls of one loop share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ainb.lazy import lazy_exports

if TYPE_CHECKING:
    from ainb.pipeline.deadline.stage import AttemptTimeoutStage, Deadline, DeadlineStage
else:
    __getattr__ = lazy_exports(__name__, stage="AttemptTimeoutStage Deadline DeadlineStage")

__all__ = ["AttemptTimeoutStage", "Deadline", "DeadlineStage"]
