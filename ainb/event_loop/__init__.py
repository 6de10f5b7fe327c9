"""Keeps the event loop responsive: the user's code and long texts in threads, rare garbage collections.

`user_threads` runs the user's code in threads, and `user_code` wraps the errors of that code that a loop must
not receive. `long_texts` moves work on long texts to a thread. `collector` makes garbage collections rare
while many calls are in flight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ainb.lazy import lazy_exports

if TYPE_CHECKING:
    from ainb.event_loop.collector import CALLS_IN_FLIGHT, COLLECTOR
    from ainb.event_loop.long_texts import LONG_CHARACTERS, is_long, work
    from ainb.event_loop.user_code import Contained, RaisedByUser, carried, ends_program, original
    from ainb.event_loop.user_threads import USER_THREADS, UserThread, is_plain
else:
    __getattr__ = lazy_exports(
        __name__,
        collector="CALLS_IN_FLIGHT COLLECTOR",
        long_texts="LONG_CHARACTERS is_long work",
        user_code="Contained RaisedByUser carried ends_program original",
        user_threads="USER_THREADS UserThread is_plain",
    )

__all__ = [
    "CALLS_IN_FLIGHT",
    "COLLECTOR",
    "LONG_CHARACTERS",
    "USER_THREADS",
    "Contained",
    "RaisedByUser",
    "UserThread",
    "carried",
    "ends_program",
    "is_long",
    "is_plain",
    "original",
    "work",
]
