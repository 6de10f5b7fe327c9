"""Shared state on a Redis server: rate limits, circuits, budgets and cache of all processes in a namespace.

`state` makes the parts for a session: `limiter` (with `shared_queue`), `circuit`, `budget` (with `money`) and
`cache`. They send commands and scripts (``lua/``, loaded by the ``*_scripts`` modules) through `client`,
which owns the `connection` on one `loop` and the `heartbeat`, and use local state while the server is
unavailable.
"""
