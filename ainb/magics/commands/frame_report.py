"""Result of a subcommand that returns a DataFrame: a short table to show and the whole frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ainb.panels.markup import Report

if TYPE_CHECKING:
    import pandas as pd

MAX_ROWS = 20


@dataclass(frozen=True, slots=True)
class FrameReport:
    """A report and the frame that it was made from.

    Attributes:
        report: Shown at once.
        frame: The value of the line.
    """

    report: Report
    frame: pd.DataFrame


def suppress_display(frame: pd.DataFrame, ipython: Any) -> pd.DataFrame:
    """Keep IPython from showing the frame as Out[n] of the cell that shows its report."""
    number = ipython.execution_count

    def show() -> None:
        if ipython.execution_count != number:
            raise NotImplementedError  # IPython then uses the frame's own display

    # Past pandas, which would warn that a column cannot be set this way; copies do not carry it.
    object.__setattr__(frame, "_ipython_display_", show)
    return frame
