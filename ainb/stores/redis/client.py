"""Redis client of a session: commands and scripts over one connection, a heartbeat, and reconnection.

The connection belongs to one loop (the engine's); calls may come from any thread or loop. After a fault the
server is not used until a background attempt reaches it, so that only calls in flight at the fault wait for
the timeout.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any

from ainb.clock import Clock
from ainb.events import Notice, Sink
from ainb.fork import renew_after_fork
from ainb.stores.redis.address import StateAddress
from ainb.stores.redis.connection import (
    OPEN_SECONDS,
    TIMEOUT_SECONDS,
    Answered,
    Command,
    Connection,
    UnavailableError,
    fail,
    is_refusal,
    nobody_is_served,
    reason,
)
from ainb.stores.redis.heartbeat import (
    FORGET_SECONDS,
    HEARD_SECONDS,
    HEARTBEAT,
    LEAVE,
    LIVE_SECONDS,
    NEW_MS,
    Listeners,
    new_name,
)
from ainb.stores.redis.loop import LoopBound
from ainb.stores.redis.script import Script

HEARTBEAT_SECONDS = 1.0
NOTICE_SECONDS = 60.0
MAX_BACKLOG = 10_000


class RedisClient(LoopBound):
    """Runs commands and scripts on one server, from any thread and any loop.

    Args:
        address: Address of the server.
        get_loop: Returns the loop of the connection; see `LoopBound`.
        sink: Receives a notice when the server is unavailable.

    Attributes:
        owner: Name of this process among its peers.
        peers: Names of the processes alive at the last heartbeat, this one included; never empty.
        distance_s: Round-trip time to the server in seconds, smoothed; None before the first heartbeat.
        is_down: Whether the server is unavailable, so that local state is used.
        is_refused: Whether the last attempt to connect was answered with a refusal.
        on: Callbacks for events of the connection.
    """

    owner: str
    peers: tuple[str, ...]
    _former: str
    _is_new: bool

    def __init__(
        self,
        address: StateAddress,
        *,
        get_loop: Callable[[], asyncio.AbstractEventLoop],
        clock: Clock,
        sink: Sink,
        rng: Random,
    ) -> None:
        super().__init__(get_loop)
        self.address = address
        self.clock = clock
        self.rng = rng
        self.on = Listeners()
        self._sink = sink
        self._noticed_at: float | None = None
        self.renew()
        renew_after_fork(self)

    def renew(self) -> None:
        """Reset connection and name; also called in a forked child, where they belong to the parent."""
        self.is_down = self.is_refused = False
        self._heard_at: float | None = None
        self._connection: Connection | None = None
        self._backlog: list[Command] = []
        self._opening: asyncio.Task[None] | None = None
        self._heartbeat_task: asyncio.Task[None] | None = None
        self._data: str | None = None
        self._run_id = ""
        self._is_other_server = False
        self.distance_s: float | None = None
        self._name()
        self._former, self._known = "", self.peers

    @property
    def data(self) -> str:
        """Name of the server's data, which changes when all is lost; empty before the first heartbeat."""
        return self._data or ""

    @property
    def is_heard(self) -> bool:
        """Whether the others cannot take this process for dead; false before the first heartbeat."""
        return self._heard_at is not None and self.clock.monotonic() - self._heard_at < HEARD_SECONDS

    def start(self) -> None:
        """Connect in the background, before the first call needs the connection; from any thread."""
        self.call_soon(self._start_heartbeat)

    def key(self, *parts: str) -> str:
        """A key of this namespace; all share one hash slot, as a cluster requires for scripts."""
        return f"{{ainb:{self.address.namespace}}}:" + ":".join(parts)

    async def run_script(
        self, script: Script, keys: Sequence[str], args: Sequence[Any], lost: Answered | None = None
    ) -> Any:
        """Run a script and await its result; on the connection's loop only.

        Args:
            script: Script to run.
            keys: Its keys.
            args: Its arguments.
            lost: Called with the result when the caller was cancelled in the meantime.

        Raises:
            UnavailableError: The server is unavailable; the caller must use local state.
        """
        return await self.run_command(("EVALSHA", script.sha, len(keys), *keys, *args), lost)

    async def run_command(self, words: Sequence[Any], lost: Answered | None = None) -> Any:
        """`run_script` for a plain command."""
        if self._connection is None:
            await self._connected()
        answer = asyncio.get_running_loop().create_future()

        def done(found: Any) -> None:
            if not answer.done():
                answer.set_result(found)
            elif lost is not None:
                lost(found)

        self._queue(words, done)
        try:
            found = await answer
        except asyncio.CancelledError:
            if lost is not None and answer.done() and not answer.cancelled():
                lost(answer.result())
            raise
        if isinstance(found, UnavailableError):
            raise found
        return found

    def send_script(
        self, script: Script, keys: Sequence[str], args: Sequence[Any], done: Answered | None = None
    ) -> None:
        """Run a script without waiting, from any thread; dropped while the server is unavailable.

        Args:
            script: Script to run.
            keys: Its keys.
            args: Its arguments.
            done: Called on the connection's loop with the result or an UnavailableError.
        """
        self.send(("EVALSHA", script.sha, len(keys), *keys, *args), done)

    def send(self, words: Sequence[Any], done: Answered | None = None) -> None:
        """`send_script` for a plain command."""
        if self.is_on_loop():
            self._queue(words, done)
        else:
            self.call_soon(lambda: self._queue(words, done))

    def status(self) -> dict[str, Any]:
        """One row: address, connection, round-trip time and peers."""
        others = [name for name in self.peers if name != self.owner]
        return {
            "store": "redis",
            "endpoint": str(self.address),
            "connected": not self.is_down and self._connection is not None,
            "distance_ms": None if self.distance_s is None else self.distance_s * 1000,
            "peers": len(others),
            "peer_names": ", ".join(others),
        }

    async def close(self) -> None:
        """Send queued commands, leave the peers and close the connection; later calls use local state."""
        self.is_down = True  # else a late report would connect again
        under_way = [task for task in (self._heartbeat_task, self._opening) if task and not task.done()]
        for task in under_way:
            task.cancel()
        if under_way:
            await asyncio.wait(under_way, timeout=TIMEOUT_SECONDS)
        connection, self._connection = self._connection, None
        if connection is not None:
            words = ("EVALSHA", LEAVE.sha, 1, self.key("peers"), self.owner)
            connection.send(Command(words))
            await connection.close()
        self._break(UnavailableError("closed"))

    def _queue(self, words: Sequence[Any], done: Answered | None) -> None:
        command = Command(words, done)
        if self._connection is not None:
            self._connection.send(command)
        elif self.is_down or len(self._backlog) >= MAX_BACKLOG:
            fail((command,))
        else:
            self._backlog.append(command)
            self._start_heartbeat()

    def _start_heartbeat(self) -> None:
        if self._heartbeat_task is None or self._heartbeat_task.done():
            self._heartbeat_task = asyncio.get_running_loop().create_task(self._heartbeats())

    async def _connected(self) -> None:
        """Wait for a connection; callers share one attempt to open it, with a short timeout."""
        if not self.is_down:
            done, _ = await asyncio.wait((self._attempt(),), timeout=TIMEOUT_SECONDS)
            if not done:
                self._break(UnavailableError(f"no answer within {TIMEOUT_SECONDS} s"))
        if self._connection is None:
            raise UnavailableError("the server cannot be reached")

    def _attempt(self) -> asyncio.Task[None]:
        """The current attempt to connect, started if there is none."""
        if self._opening is None or self._opening.done():
            self._opening = asyncio.get_running_loop().create_task(self._open())
        return self._opening

    async def _open(self) -> None:
        """Connect, load the scripts, send the first heartbeat."""
        connection = Connection(self.address, self._break)
        before, began = self._data, self.clock.monotonic()
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                run_id = await connection.open()
                self._is_other_server = "" not in {run_id, self._run_id} and run_id != self._run_id
                self._run_id = run_id
                await self._heartbeat(connection.ask)
            self._connection, self.is_down = connection, False
            self._start_heartbeat()
            self._announce(was_lost=before is not None and before != self._data)
        except Exception as error:  # noqa: BLE001 - any fault makes the server unavailable
            connection.drop()
            self.is_refused = is_refusal(error)
            if self._heard_at is not None and nobody_is_served(error):
                self._heard_at = began  # nobody can take this process for dead on a server that serves nobody
            self._break(error)
        else:
            backlog, self._backlog = self._backlog, []
            for command in backlog:
                connection.send(command)

    def _announce(self, *, was_lost: bool) -> None:
        for listener in self.on.reconnected:
            listener(was_lost)

    async def _heartbeats(self) -> None:
        """Send a heartbeat and call the listeners, or try to reconnect, once a second."""
        while True:
            try:
                if self._connection is None:
                    await asyncio.wait((self._attempt(),))
                else:
                    before = self._data
                    await self._heartbeat(self.run_command)
                    if before != self._data:  # the database was emptied
                        self._announce(was_lost=True)
                for listener in self.on.heartbeat if self._connection is not None else ():
                    listener()
            except Exception as error:  # noqa: BLE001 - the heartbeat must go on
                self._break(error)
            await asyncio.sleep(HEARTBEAT_SECONDS * (0.9 + 0.2 * self.rng.random()))

    async def _heartbeat(self, ask: Callable[[Sequence[Any]], Awaitable[Any]]) -> None:
        """Send a heartbeat, and another under a new name if this process was declared dead."""
        began = self.clock.monotonic()
        keys = tuple(self.key(name) for name in ("peers", "data", "new", "expected", "gap"))
        limits = (LIVE_SECONDS, FORGET_SECONDS, secrets.token_hex(8), NEW_MS)
        other = self.data if self._is_other_server else ""
        args = (self.owner, int(self._is_new), *limits, other, self.data, self._former, *self._known)
        found = await ask(("EVALSHA", HEARTBEAT.sha, len(keys), *keys, *args))
        took = self.clock.monotonic() - began
        self.distance_s = took if self.distance_s is None else 0.8 * self.distance_s + 0.2 * took
        kept, *rest = str(found).split(" ")
        if kept == "0" and not self._is_new:
            self._name()
            for listener in self.on.renamed:
                listener()
            await self._heartbeat(ask)
            return
        self._is_new = self._is_other_server = False
        self._data, self.peers = rest[0], tuple(rest[1:])
        self._known, self._heard_at = self.peers, began

    def _name(self) -> None:
        # A name is never reused: the permits and money of the old one may have been released.
        self._former = getattr(self, "owner", "")
        self.owner = new_name()
        self.peers = (self.owner,)
        self._is_new = True

    def _break(self, error: Exception) -> None:
        """Mark the server as unavailable: use local state, send one notice, reconnect in the background."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.drop()
        if not self.is_down:
            self.is_down = True
            self._start_heartbeat()
            self._notify(error)
            for listener in self.on.disconnected:
                listener()
        backlog, self._backlog = self._backlog, []
        fail(backlog)

    def _notify(self, error: Exception) -> None:
        now = self.clock.monotonic()
        if self._noticed_at is None or now - self._noticed_at > NOTICE_SECONDS:
            self._noticed_at = now
            text = (
                f"the shared state at {self.address.place} cannot be used ({reason(error)}); until it is "
                f"back, this process applies its share (1 of {len(self.peers)}) of limits and budgets; "
                "see %ai status"
            )
            self._sink(Notice(text, "state"))
