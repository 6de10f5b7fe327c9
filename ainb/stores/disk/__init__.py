"""Disk store: one diskcache database of plain texts.

`store` is the store, `text_cache` the database, `write_queue` the thread that writes, `faults` the handling
of disk errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ainb.lazy import lazy_exports

if TYPE_CHECKING:
    from ainb.stores.disk.store import DiskStore
else:
    __getattr__ = lazy_exports(__name__, store="DiskStore")

__all__ = ["DiskStore"]
