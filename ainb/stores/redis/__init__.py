"""Shared state on a Redis server: rate limits, circuits, budgets and cache of all processes in a namespace.

`state` makes the parts for a session: `limiter` (with `shared_queue`), `circuit`, `budget` (with `money`) and
`cache`. They send commands and scripts (``lua/``, loaded by `script`) through `client`, which owns the
`connection` on one `loop` and the `heartbeat`, and use local state while the server is unavailable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ainb.lazy import lazy_exports

if TYPE_CHECKING:
    from ainb.stores.redis.address import StateAddress, parse_state, require_extra
    from ainb.stores.redis.client import RedisClient
    from ainb.stores.redis.state import SharedState
else:
    __getattr__ = lazy_exports(
        __name__,
        address="StateAddress parse_state require_extra",
        client="RedisClient",
        state="SharedState",
    )

__all__ = ["RedisClient", "SharedState", "StateAddress", "parse_state", "require_extra"]
