"""Disk store: one diskcache database of plain texts.

`store` is the store, `text_cache` the database, `write_queue` the thread that writes, `faults` the handling
of disk errors.
"""

from ainb.stores.disk.store import DiskStore

__all__ = ["DiskStore"]
