"""A session's side of the shared state: one connection, a heartbeat, and what to do while the server is away.

The connection lives on one loop (the engine's), wherever calls come from. After a fault nobody asks the server again until a
background attempt has reached it: the fault costs the calls of that moment their timeout, and later ones nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

from ainb.clock import Clock
from ainb.events import Notice, Sink
from ainb.stores import renew_after_fork
from ainb.stores.address import StateAddress
from ainb.stores.redis_link import TIMEOUT_SECONDS, Link, LinkError, Lost
from ainb.stores.redis_script import SCRIPTS, Script, script

T = TypeVar("T")

BEAT_SECONDS = 1.0
LIVE_SECONDS = 10.0  # a process not heard of for so long is dead, and what it held comes back
FORGET_SECONDS = 3600
NOTICE_SECONDS = 60.0
MAX_BACKLOG = 10_000
OPEN_SECONDS = 2.0  # for the background; no call waits longer than TIMEOUT_SECONDS for it

# Adds this process unless it was declared dead meanwhile (its money has then been given back, so it needs a new name).
# Returns whether it may keep its name, what the data is called (another name: all was lost), and who is alive.
BEAT = script(
    """
local t = redis.call('TIME'); local now = t[1] + t[2] / 1e6
local known = redis.call('ZSCORE', KEYS[1], ARGV[1])
if ARGV[2] == '0' and not known then return '0' end
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[4]))
redis.call('SET', KEYS[2], ARGV[5], 'NX')
local live = redis.call('ZRANGEBYSCORE', KEYS[1], now - tonumber(ARGV[3]), '+inf')
return '1 ' .. redis.call('GET', KEYS[2]) .. ' ' .. table.concat(live, ' ')
"""
)


@dataclass(slots=True)
class Listeners:
    """Who wants to know how the connection fares; all are called on the home loop and must not wait.

    Attributes:
        beat: Once a second while it is up.
        renamed: This process was declared dead and has another name now.
        back: The server can be reached (again); the argument says whether its data was lost meanwhile.
        gone: It cannot be reached any more.
    """

    beat: list[Callable[[], object]] = field(default_factory=list)
    renamed: list[Callable[[], object]] = field(default_factory=list)
    back: list[Callable[[bool], object]] = field(default_factory=list)
    gone: list[Callable[[], object]] = field(default_factory=list)


class Hub:
    """Commands to one server, from any thread and any loop.

    Args:
        address: Where the server is.
        home: The loop that the connection lives on, running in a thread of its own; asked at each use, since a forked child
            has another.
        clock: Where time comes from.
        sink: Who is told that the server cannot be reached.
        rng: Where jitter comes from.

    Attributes:
        owner: Name of this process among its peers.
        peers: Names of all that were alive at the last heartbeat, this one included; never empty.
        distance_s: Seconds to the server and back, smoothed; None before the first heartbeat.
        on: Who is told what.
    """

    def __init__(
        self,
        address: StateAddress,
        *,
        home: Callable[[], asyncio.AbstractEventLoop],
        clock: Clock,
        sink: Sink,
        rng: Random,
    ) -> None:
        self.address = address
        self.clock = clock
        self.rng = rng
        self.on = Listeners()
        self._home = home
        self._sink = sink
        self._told_at: float | None = None
        self._link: Link | None = None
        self._opening: asyncio.Task[None] | None = None
        self._beating: asyncio.Task[None] | None = None
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
        """Whether the server was out of reach a moment ago, so that nobody need ask."""
        return self._down

    def key(self, *parts: str) -> str:
        """A key of this namespace; all share one hash slot, so that a cluster takes scripts over several of them."""
        return f"{{ainb:{self.address.namespace}}}:" + ":".join(parts)

    def at_home(self) -> bool:
        """Whether the running loop is the connection's."""
        try:
            return asyncio.get_running_loop() is self._home()
        except RuntimeError:
            return False

    async def run(
        self, script: Script, keys: Sequence[str], args: Sequence[Any], lost: Lost | None = None
    ) -> Any:
        """Run a script and wait for what it returns; on the home loop only.

        Args:
            script: What to run.
            keys: Its keys.
            args: Its arguments.
            lost: Called with what it returned when the caller was cancelled meanwhile.

        Raises:
            LinkError: The server is out of reach; local state is to be used.
        """
        return await self.command(("EVALSHA", script.sha, len(keys), *keys, *args), script, lost)

    async def command(
        self, words: Sequence[Any], script: Script | None = None, lost: Lost | None = None
    ) -> Any:
        """`run` for a plain command."""
        link = self._link
        if link is None or not link.is_open:
            link = await self._connected()
        answer = link.ask(words, lost)
        try:
            return await answer
        except asyncio.CancelledError:
            if lost is not None and answer.done() and not answer.cancelled() and answer.exception() is None:
                lost(answer.result())
            raise
        except LinkError:
            raise
        except Exception as error:  # noqa: BLE001 - an error that the server answered with
            if script is not None and str(error).startswith("NOSCRIPT"):
                return await link.ask(("EVAL", script.text, *words[2:]), lost)
            self._fault(error)
            raise LinkError(str(error)) from None

    def report(
        self, script: Script, keys: Sequence[str], args: Sequence[Any], done: Lost | None = None
    ) -> None:
        """Run a script and wait for nothing; from any thread. While the server is out of reach it is dropped.

        Args:
            script: What to run.
            keys: Its keys.
            args: Its arguments.
            done: Called on the home loop with what it returned, or with an exception.
        """
        self.tell(("EVALSHA", script.sha, len(keys), *keys, *args), done)

    def tell(self, words: Sequence[Any], done: Lost | None = None) -> None:
        """`report` for a plain command."""
        if self.at_home():
            self._tell(words, done)
        else:
            self._home().call_soon_threadsafe(self._tell, words, done)

    async def visit(
        self, work: Callable[[], Coroutine[Any, Any, T]], lost: Callable[[T], object] | None = None
    ) -> T:
        """Await `work()` on the home loop, wherever the caller runs.

        Args:
            work: Makes the coroutine.
            lost: Gets its outcome when the caller is cancelled after it was there.
        """
        if self.at_home():
            return await work()
        made: list[T] = []

        async def keep() -> T:
            made.append(await work())
            return made[0]

        home = self._home()
        future = asyncio.run_coroutine_threadsafe(keep(), home)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if (
                lost is not None
            ):  # looks after the cancellation has reached the work, or has come too late for it
                home.call_soon_threadsafe(lambda: [lost(outcome) for outcome in made])
            raise

    def start(self) -> None:
        """Connect in the background, so that the first call finds the connection open; from any thread."""
        self._home().call_soon_threadsafe(self._start)

    def status(self) -> dict[str, Any]:
        """Where the state is, whether it can be reached, how far away it is, and who else is there."""
        others = [name for name in self.peers if name != self.owner]
        return {
            "store": "redis",
            "endpoint": str(self.address),
            "connected": not self._down and self._link is not None,
            "distance_ms": None if self.distance_s is None else self.distance_s * 1000,
            "peers": len(others),
            "peer_names": ", ".join(others),
        }

    async def close(self) -> None:
        """Say goodbye and hang up; whoever comes later finds the server out of reach."""
        self._down = True  # or a late report would connect again
        for task in (self._beating, self._opening):
            if task is not None and not task.done():
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await task
        link, self._link = self._link, None
        if link is not None:
            with contextlib.suppress(LinkError):
                link.tell(("ZREM", self.key("peers"), self.owner))
            await link.close()
        self._beating = self._opening = None

    def renew(self) -> None:
        """Start as a new process does; what a forked child inherits belongs to its parent."""
        self._link = None
        self._down = False
        self._opening = self._beating = self._closing = None
        self._data = None
        self._backlog = []
        self.distance_s = None
        self._name()

    def _name(self) -> None:
        # A name is never taken up again: what it held may have been given back.
        host = "".join(
            letter if letter.isalnum() or letter in ".-_" else "-" for letter in socket.gethostname()
        )
        self.owner = f"{host}-{os.getpid()}-{secrets.token_hex(3)}"
        self.peers = (self.owner,)
        self._is_new = True

    def _start(self) -> None:
        if self._link is None and not self._down:
            self._beat_on()

    def soon(self, callback: Callable[[], object]) -> None:
        """Have `callback` called on the home loop, after whatever runs now; from any thread."""
        self._home().call_soon_threadsafe(callback)

    def later(self, seconds: float, callback: Callable[[], object]) -> None:
        """Have `callback` called on the home loop in so many seconds; from any thread."""
        home = self._home()
        if self.at_home():
            home.call_later(seconds, callback)
        else:
            home.call_soon_threadsafe(home.call_later, seconds, callback)

    def _tell(self, words: Sequence[Any], done: Lost | None) -> None:
        def heard(found: Any) -> None:
            if isinstance(found, Exception) and not isinstance(found, LinkError):
                self._fault(found)
            if done is not None:
                done(found)

        link = self._link
        if link is not None and link.is_open:
            link.tell(words, heard)
        elif self._down or len(self._backlog) >= MAX_BACKLOG:
            heard(LinkError("the server is out of reach"))
        else:
            self._backlog.append((words, heard))
            self._start()

    def _fault(self, error: Exception) -> None:
        """The server answered with an error: scripts that it has forgotten are sent again, all else makes it unusable."""
        if str(error).startswith("NOSCRIPT") and self._link is not None:
            for item in SCRIPTS:
                self._link.tell(("SCRIPT", "LOAD", item.text))
        else:
            self._break(LinkError(f"it answered {str(error)[:120]!r}"))

    async def _connected(self) -> Link:
        """The open connection; many callers share one attempt, none waits long for it, and after a fault there is none."""
        if self._down:
            raise LinkError("the server was out of reach a moment ago")
        done, _ = await asyncio.wait([self._attempt()], timeout=TIMEOUT_SECONDS)
        if not done:
            self._break(LinkError(f"no answer within {TIMEOUT_SECONDS} s"))
        if self._link is None:
            raise LinkError("the server is out of reach")
        return self._link

    def _attempt(self) -> asyncio.Task[None]:
        """The one attempt to connect that is under way."""
        if self._opening is None or self._opening.done():
            self._opening = asyncio.get_running_loop().create_task(self._open())
            self._opening.add_done_callback(_retrieve)
        return self._opening

    async def _open(self) -> None:
        """Connect, load the scripts, make this process known."""
        link = Link(self.address, self._break)
        try:
            await link.open(OPEN_SECONDS)
            for item in SCRIPTS:
                link.tell(("SCRIPT", "LOAD", item.text))
            before = self._data
            if not await self._beat(link):
                self._rename()
                await self._beat(link)
        except Exception as error:  # noqa: BLE001 - whatever it is, the server cannot be used
            self._break(error)
            await link.close()
            return
        self._link, self._down = link, False
        self._beat_on()
        for listener in self.on.back:
            listener(before is not None and before != self._data)
        self._clear_backlog()

    async def _beat(self, link: Link) -> bool:
        """Show that we live; returns whether we still count as alive under our name."""
        began = self.clock.monotonic()
        keys = (self.key("peers"), self.key("data"))
        args = (self.owner, int(self._is_new), LIVE_SECONDS, FORGET_SECONDS, secrets.token_hex(8))
        found = str(await link.ask(("EVALSHA", BEAT.sha, len(keys), *keys, *args)))
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

    def _beat_on(self) -> None:
        if self._beating is None or self._beating.done():
            self._beating = asyncio.get_running_loop().create_task(self._beats())
            self._beating.add_done_callback(_retrieve)

    async def _beats(self) -> None:
        """Once a second: show that we live and let every part look after itself, or try to reach the server again."""
        while True:
            try:
                if self._link is None or not self._link.is_open:
                    self._link = None
                    await asyncio.wait([self._attempt()])
                else:
                    await self._live(self._link)
                for listener in self.on.beat if self._link is not None else ():
                    listener()
            except Exception as error:  # noqa: BLE001 - the heartbeat must go on
                self._break(error)
            await asyncio.sleep(BEAT_SECONDS * (0.9 + 0.2 * self.rng.random()))

    async def _live(self, link: Link) -> None:
        """A beat of a connection that stands; the database may have been emptied under it."""
        before = self._data
        if not await self._beat(link):
            self._rename()
            await self._beat(link)
        if before != self._data:
            for listener in self.on.back:
                listener(True)

    def _break(self, error: Exception) -> None:
        """The server cannot be used: local state from here on, one line for the person, and attempts in the background."""
        link, self._link = self._link, None
        if link is not None and link.is_open:
            self._closing = asyncio.get_running_loop().create_task(link.close())
        if self._down:
            return
        self._down = True
        self._beat_on()
        now = self.clock.monotonic()
        if self._told_at is None or now - self._told_at > NOTICE_SECONDS:
            self._told_at = now
            text = (
                f"the shared state at {self.address.place} cannot be used ({error}); limits and budgets are held by this process alone "
                f"(its share of {len(self.peers)}) until it is back; see %ai status"
            )
            self._sink(Notice(text, "state"))
        for listener in self.on.gone:
            listener()
        self._clear_backlog()

    def _clear_backlog(self) -> None:
        backlog, self._backlog = self._backlog, []
        for words, heard in backlog:
            if self._link is not None:
                self._link.tell(words, heard)
            else:
                heard(LinkError("the server is out of reach"))


def _retrieve(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()
