"""Renewal after a fork: locks, threads and connections that a child must not share with its parent."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Renewable(Protocol):
    """An object whose locks and threads do not survive a fork."""

    def renew(self) -> None:
        """Reset the object in the child process."""
        ...


_renewables: weakref.WeakSet[Renewable] = weakref.WeakSet()


def renew_after_fork(item: Renewable) -> None:
    """Call ``item.renew()`` in every forked child while the item exists."""
    _renewables.add(item)


def _renew_all() -> None:
    for item in list(_renewables):
        item.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
