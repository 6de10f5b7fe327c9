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
        frame: The value of the magic.
    """

    report: Report
    frame: pd.DataFrame


def suppress_display(frame: pd.DataFrame, ipython: Any) -> pd.DataFrame:
    """Prevent IPython from showing the frame as Out[n] of the cell that shows its report."""
    number = ipython.execution_count

    def show() -> None:
        if ipython.execution_count != number:
            raise NotImplementedError  # IPython then uses the frame's own display

    # Set without pandas, which would warn about a new column; copies of the frame do not have it.
    object.__setattr__(frame, "_ipython_display_", show)
    return frame
