"""Redis client of a session: one connection, a heartbeat, and reconnection in the background.

The connection belongs to one loop (the engine's), wherever calls come from. After a fault the server is not
used until a background attempt has reached it: only the calls of that moment wait for the timeout.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from ainb.clock import Clock
from ainb.events import Notice, Sink
from ainb.stores.fork import renew_after_fork
from ainb.stores.redis.address import StateAddress
from ainb.stores.redis.commands import CommandClient
from ainb.stores.redis.connection import TIMEOUT_SECONDS, Connection, Lost, UnavailableError
from ainb.stores.redis.heartbeat import FORGET_SECONDS, HEARTBEAT, LIVE_SECONDS, Listeners, new_name
from ainb.stores.redis.script import SCRIPTS

HEARTBEAT_SECONDS = 1.0
NOTICE_SECONDS = 60.0
MAX_BACKLOG = 10_000
OPEN_SECONDS = 2.0  # in the background; no call waits longer than TIMEOUT_SECONDS for it


class RedisClient(CommandClient):
    """Commands and scripts to one server, from any thread and any loop.

    Args:
        address: Address of the server.
        get_loop: Returns the loop of the connection, which runs in its own thread; called at each use, since
            a forked child has another loop.
        sink: Receives a notice when the server is unavailable.

    Attributes:
        owner: Name of this process among its peers.
        peers: Names of all processes alive at the last heartbeat, this one included; never empty.
        distance_s: Round-trip time to the server in seconds, smoothed; None before the first heartbeat.
        on: Listeners of the connection.
    """

    def __init__(
        self,
        address: StateAddress,
        *,
        get_loop: Callable[[], asyncio.AbstractEventLoop],
        clock: Clock,
        sink: Sink,
        rng: Random,
    ) -> None:
        self.address = address
        self.clock = clock
        self.rng = rng
        self.on = Listeners()
        super().__init__(get_loop)
        self._sink = sink
        self._told_at: float | None = None
        self._connection: Connection | None = None
        self._opening: asyncio.Task[None] | None = None
        self._heartbeat_task: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._backlog: list[tuple[Sequence[Any], Lost]] = []
        self._data: str | None = None
        self._down = False
        self.distance_s: float | None = None
        self.owner = ""
        self.peers: tuple[str, ...] = ()
        self.renew()
        renew_after_fork(self)

    @property
    def is_down(self) -> bool:
        """Whether the server is unavailable, so that local state is used."""
        return self._down

    def key(self, *parts: str) -> str:
        """A key of this namespace; all share one hash slot, as a cluster requires for scripts."""
        return f"{{ainb:{self.address.namespace}}}:" + ":".join(parts)

    def send(self, words: Sequence[Any], done: Lost | None = None) -> None:
        """`send_script` for a plain command."""
        if self.is_on_loop():
            self._send(words, done)
        else:
            self._get_loop().call_soon_threadsafe(self._send, words, done)

    def start(self) -> None:
        """Connect in the background, so that the first call finds the connection open; from any thread."""
        self._get_loop().call_soon_threadsafe(self._start)

    def status(self) -> dict[str, Any]:
        """One row: address, connection, round-trip time and peers."""
        others = [name for name in self.peers if name != self.owner]
        return {
            "store": "redis",
            "endpoint": str(self.address),
            "connected": not self._down and self._connection is not None,
            "distance_ms": None if self.distance_s is None else self.distance_s * 1000,
            "peers": len(others),
            "peer_names": ", ".join(others),
        }

    async def close(self) -> None:
        """Leave the peers and close the connection; later calls use local state."""
        self._down = True  # else a late report would connect again
        for task in (self._heartbeat_task, self._opening):
            if task is not None and not task.done():
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await task
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(UnavailableError):
                connection.send(("ZREM", self.key("peers"), self.owner))
            await connection.close()
        self._heartbeat_task = self._opening = None

    def renew(self) -> None:
        """Reset in a forked child: connection and name belong to its parent."""
        self._connection = None
        self._down = False
        self._opening = self._heartbeat_task = self._closing = None
        self._data = None
        self._backlog = []
        self.distance_s = None
        self._name()

    def _name(self) -> None:
        # A name is never reused: what it held may have been released.
        self.owner = new_name()
        self.peers = (self.owner,)
        self._is_new = True

    def _start(self) -> None:
        if self._connection is None and not self._down:
            self._start_heartbeat()

    def _send(self, words: Sequence[Any], done: Lost | None) -> None:
        def on_answer(found: Any) -> None:
            if isinstance(found, Exception) and not isinstance(found, UnavailableError):
                self._fault(found)
            if done is not None:
                done(found)

        connection = self._connection
        if connection is not None and connection.is_open:
            connection.send(words, on_answer)
        elif self._down or len(self._backlog) >= MAX_BACKLOG:
            on_answer(UnavailableError("the server is out of reach"))
        else:
            self._backlog.append((words, on_answer))
            self._start()

    def _fault(self, error: Exception) -> None:
        """Handle an error answer: unknown scripts are loaded again, all else makes the server unavailable."""
        if str(error).startswith("NOSCRIPT") and self._connection is not None:
            for item in SCRIPTS:
                self._connection.send(("SCRIPT", "LOAD", item.text))
        else:
            self._break(UnavailableError(f"it answered {str(error)[:120]!r}"))

    async def _connected(self) -> Connection:
        """The open connection; callers share one attempt to open it, with a short timeout."""
        if self._down:
            raise UnavailableError("the server was out of reach a moment ago")
        done, _ = await asyncio.wait([self._attempt()], timeout=TIMEOUT_SECONDS)
        if not done:
            self._break(UnavailableError(f"no answer within {TIMEOUT_SECONDS} s"))
        if self._connection is None:
            raise UnavailableError("the server is out of reach")
        return self._connection

    def _attempt(self) -> asyncio.Task[None]:
        """The current attempt to connect, started if there is none."""
        if self._opening is None or self._opening.done():
            self._opening = asyncio.get_running_loop().create_task(self._open())
            self._opening.add_done_callback(_retrieve)
        return self._opening

    async def _open(self) -> None:
        """Connect, load the scripts, send the first heartbeat."""
        connection = Connection(self.address, self._break)
        try:
            await connection.open(OPEN_SECONDS)
            for item in SCRIPTS:
                connection.send(("SCRIPT", "LOAD", item.text))
            before = self._data
            if not await self._heartbeat(connection):
                self._rename()
                await self._heartbeat(connection)
        except Exception as error:  # noqa: BLE001 - any fault makes the server unavailable
            self._break(error)
            await connection.close()
            return
        self._connection, self._down = connection, False
        self._start_heartbeat()
        for listener in self.on.reconnected:
            listener(before is not None and before != self._data)
        self._clear_backlog()

    async def _heartbeat(self, connection: Connection) -> bool:
        """Send a heartbeat; returns whether the name of this process is still valid."""
        began = self.clock.monotonic()
        keys = (self.key("peers"), self.key("data"))
        args = (self.owner, int(self._is_new), LIVE_SECONDS, FORGET_SECONDS, secrets.token_hex(8))
        found = str(await connection.request(("EVALSHA", HEARTBEAT.sha, len(keys), *keys, *args)))
        took = self.clock.monotonic() - began
        self.distance_s = took if self.distance_s is None else 0.8 * self.distance_s + 0.2 * took
        kept, *rest = found.split(" ")
        if kept == "0":
            return False
        self._is_new = False
        self._data, self.peers = rest[0], tuple(rest[1:])
        return True

    def _rename(self) -> None:
        self._name()
        for listener in self.on.renamed:
            listener()

    def _start_heartbeat(self) -> None:
        if self._heartbeat_task is None or self._heartbeat_task.done():
            self._heartbeat_task = asyncio.get_running_loop().create_task(self._heartbeats())
            self._heartbeat_task.add_done_callback(_retrieve)

    async def _heartbeats(self) -> None:
        """Once a second: send a heartbeat and call the listeners, or try to reconnect."""
        while True:
            try:
                if self._connection is None or not self._connection.is_open:
                    self._connection = None
                    await asyncio.wait([self._attempt()])
                else:
                    await self._live(self._connection)
                for listener in self.on.heartbeat if self._connection is not None else ():
                    listener()
            except Exception as error:  # noqa: BLE001 - the heartbeat must go on
                self._break(error)
            await asyncio.sleep(HEARTBEAT_SECONDS * (0.9 + 0.2 * self.rng.random()))

    async def _live(self, connection: Connection) -> None:
        """A heartbeat of an open connection; notices when the database was emptied."""
        before = self._data
        if not await self._heartbeat(connection):
            self._rename()
            await self._heartbeat(connection)
        if before != self._data:
            for listener in self.on.reconnected:
                listener(True)

    def _break(self, error: Exception) -> None:
        """Mark the server as unavailable: local state, one notice, reconnection in the background."""
        connection, self._connection = self._connection, None
        if connection is not None and connection.is_open:
            self._closing = asyncio.get_running_loop().create_task(connection.close())
        if self._down:
            return
        self._down = True
        self._start_heartbeat()
        now = self.clock.monotonic()
        if self._told_at is None or now - self._told_at > NOTICE_SECONDS:
            self._told_at = now
            text = (
                f"the shared state at {self.address.place} cannot be used ({error}); limits and budgets are "
                "held by this process alone "
                f"(its share of {len(self.peers)}) until it is back; see %ai status"
            )
            self._sink(Notice(text, "state"))
        for listener in self.on.disconnected:
            listener()
        self._clear_backlog()

    def _clear_backlog(self) -> None:
        backlog, self._backlog = self._backlog, []
        for words, on_answer in backlog:
            if self._connection is not None:
                self._connection.send(words, on_answer)
            else:
                on_answer(UnavailableError("the server is out of reach"))


def _retrieve(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()
