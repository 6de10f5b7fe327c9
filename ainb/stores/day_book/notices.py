"""Notices of the day book."""

from __future__ import annotations

from pathlib import Path

from ainb.events import Notice

KIND = "budget_file"


def other_values_notice(path: Path) -> Notice:
    """Notice of amounts in the file that ainb does not write."""
    return Notice(
        f"the budget file {path.name} holds amounts that ainb does not write; they count as $0. "
        "Delete the file to reset all balances in it",
        KIND,
    )


def fault_notice(path: Path, error: Exception) -> Notice:
    """Notice of a file that can no longer be used."""
    return Notice(
        f"the budget file {path.name} cannot be used ({error}); this kernel applies the budget to its own "
        "calls only and does not see new spending of other kernels. Unlock or delete the file, then restart "
        "the kernel",
        KIND,
    )
