"""Registry of coroutines that close the HTTP clients of provider adapters.

Adapters register on their first import, so that closing does not import unused adapters.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

Closer = Callable[[], Awaitable[None]]

_closers: list[Closer] = []


def at_close(closer: Closer) -> None:
    """Register a coroutine function that closes the clients of the running event loop."""
    _closers.append(closer)


async def close_clients() -> None:
    """Close the running loop's clients, in the order in which their adapters were imported."""
    for closer in _closers:
        await closer()
