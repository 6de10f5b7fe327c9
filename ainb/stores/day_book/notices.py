"""Notices of the day book."""

from __future__ import annotations

from pathlib import Path

from ainb.events import Notice

KIND = "budget_file"


def other_values_notice(path: Path) -> Notice:
    """Amounts in the file that ainb does not write."""
    return Notice(
        f"the budget's file {path.name} holds amounts that ainb does not write; they count as nothing. "
        "Remove the file to be rid of them",
        KIND,
    )


def fault_notice(path: Path, error: Exception) -> Notice:
    """A file that cannot be used any more."""
    return Notice(
        f"the budget's file {path.name} cannot be used ({error}); this kernel counts by itself and does not "
        "see what others spend. Free the file or remove it, then restart the kernel",
        KIND,
    )
