"""Subcommands that end in a DataFrame: a short table is shown, the whole frame is handed to the cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ainb.panels.markup import Report

if TYPE_CHECKING:
    import pandas as pd

MAX_ROWS = 20


@dataclass(frozen=True, slots=True)
class Framed:
    """What is shown, and the frame behind it.

    Attributes:
        report: Shown at once.
        frame: Handed to the cell.
    """

    report: Report
    frame: pd.DataFrame


def mark_shown(frame: pd.DataFrame, shell: Any) -> pd.DataFrame:
    """Keep IPython from showing a frame as Out[n] of the cell whose output holds it already; later it is shown as any frame is."""
    number = shell.execution_count

    def show() -> None:
        if shell.execution_count != number:
            raise NotImplementedError  # IPython then takes the frame's own look

    # Past pandas, which would take it for a column that somebody tries to make; copies do not carry it.
    object.__setattr__(frame, "_ipython_display_", show)
    return frame
