"""Connection to a Redis server that sends the commands of many callers in batches.

redis-py's connection connects, packs and parses. Its pool is not used, because it replaces a lost connection
silently, while a new connection must first report to the server what this process holds. One batch is in
flight at a time: the commands of one tick of the loop, or those queued while the previous batch was in
flight.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from errno import ECONNREFUSED
from typing import Any

from redis.asyncio import Connection as RedisConnection
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    NoScriptError,
    OutOfMemoryError,
    ResponseError,
)

from ainb.stores.redis.address import StateAddress
from ainb.stores.redis.script import SCRIPTS

TIMEOUT_SECONDS = 0.25
OPEN_SECONDS = 2.0  # limit of opening in the background; a call waits at most TIMEOUT_SECONDS
GRACE_SECONDS = 0.02  # time for a loop that was blocked to read pending answers before a timeout counts
MAX_TOGETHER = 256

Answered = Callable[[Any], object]


class UnavailableError(Exception):
    """The server does not answer, or answers with an error that makes it unusable."""


@dataclass(slots=True, eq=False)
class Command:
    """A command in the send queue.

    Attributes:
        words: Name and arguments.
        done: Called on the connection's loop with the answer or an UnavailableError.
        is_repeated: Whether it was sent again because the server had not loaded its script.
    """

    words: Sequence[Any]
    done: Answered | None = None
    is_repeated: bool = False

    def answer(self, found: Any) -> None:
        """Pass the answer to the callback."""
        if self.done is not None:
            self.done(found)


class Connection:
    """A connection of one event loop; all methods must be called on that loop.

    Args:
        address: Address of the server.
        broken: Called with the error when the server fails; it must `drop` the connection.
    """

    def __init__(self, address: StateAddress, broken: Callable[[Exception], None]) -> None:
        self._redis: Any = _make(address)  # parts of it have no types
        self._broken = broken
        self._outbox: deque[Command] = deque()
        self._sending: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None

    async def open(self) -> str:
        """Connect and load the scripts; returns the server's run id, empty if it reports none."""
        await self._redis.connect()
        found, *_ = await self._exchange([Command(("INFO", "server")), *_loading()])
        told = re.search(r"run_id:(\w+)", str(found))
        return told[1] if told else ""

    async def ask(self, words: Sequence[Any]) -> str:
        """Send a command before any queued one and return its answer."""
        (found,) = await self._exchange([Command(words)])
        if isinstance(found, Exception):
            raise found
        return str(found)

    def send(self, command: Command) -> None:
        """Send a command with the next batch."""
        self._outbox.append(command)
        if self._sending is None or self._sending.done():
            self._sending = asyncio.get_running_loop().create_task(self._send_all())

    def drop(self) -> None:
        """Close at once; commands without an answer fail."""
        if self._closing is not None:
            return
        if self._sending is not None and self._sending is not asyncio.current_task():
            self._sending.cancel()
        self._closing = asyncio.get_running_loop().create_task(self._disconnect())
        fail(self._outbox)
        self._outbox.clear()

    async def close(self) -> None:
        """Send queued commands, then close."""
        if self._sending is not None:
            await asyncio.wait((self._sending,), timeout=2 * TIMEOUT_SECONDS)
        self.drop()
        if self._closing is not None:
            await asyncio.wait((self._closing,), timeout=TIMEOUT_SECONDS)

    async def _send_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._outbox:
            batch = deque(self._outbox.popleft() for _ in range(min(MAX_TOGETHER, len(self._outbox))))
            late = loop.call_later(
                TIMEOUT_SECONDS - GRACE_SECONDS, loop.call_later, GRACE_SECONDS, self._give_up, batch
            )
            try:
                self._hand_over(batch, await self._exchange(batch))
            except Exception as error:  # noqa: BLE001 - after any error the connection is lost
                self._break(error)
            finally:
                late.cancel()
                fail(batch)

    def _give_up(self, batch: deque[Command]) -> None:
        if batch:
            self._break(UnavailableError(f"no answer within {TIMEOUT_SECONDS} s"))

    def _break(self, error: Exception) -> None:
        if self._closing is None:
            self._broken(error)

    async def _exchange(self, commands: Iterable[Command]) -> list[Any]:
        """Send commands together and return their answers; an error answer is an exception in the list."""
        words = [map(str, command.words) for command in commands]
        await self._redis.send_packed_command(self._redis.pack_commands(words), check_health=False)
        answers: list[Any] = []
        for _ in words:
            try:
                answers.append(await self._redis.read_response())
            except ResponseError as error:
                answers.append(error)
        return answers

    def _hand_over(self, batch: deque[Command], answers: Iterable[Any]) -> None:
        """Pass the answers of a batch on; resend once the commands whose script the server has not loaded."""
        unknown = []
        for found in answers:
            command = batch.popleft()
            if isinstance(found, NoScriptError) and not command.is_repeated:
                command.is_repeated = True
                unknown.append(command)
            elif isinstance(found, Exception):
                refusal = UnavailableError(f"it answered {str(found)[:120]!r}")
                self._break(refusal)
                command.answer(refusal)
            else:
                command.answer(found)
        if self._closing is not None:
            fail(unknown)
        elif unknown:
            self._outbox.extendleft(reversed([*_loading(), *unknown]))

    async def _disconnect(self) -> None:
        with contextlib.suppress(Exception):
            await self._redis.disconnect(nowait=True)


def fail(commands: Iterable[Command]) -> None:
    """Answer commands with an error when the server will not answer them."""
    for command in commands:
        command.answer(UnavailableError("the server cannot be reached"))


def reason(error: Exception) -> str:
    """The error on one line; it contains no credentials."""
    if isinstance(error, TimeoutError) and not str(error):
        return f"no answer within {OPEN_SECONDS} s"
    return " ".join(str(error).split()) or type(error).__name__


def is_refusal(error: Exception) -> bool:
    """Whether the server, or its machine, answered an attempt to connect with a refusal."""
    return isinstance(error, ResponseError | AuthenticationError) or nobody_is_served(error)


def nobody_is_served(error: Exception) -> bool:
    """Whether the error shows that the server serves no other process either."""
    numbers = re.findall(
        r"\[Errno (\d+)\]", str(error.__cause__ or error.__context__)
    )  # one per address tried
    return set(numbers) == {str(ECONNREFUSED)} or isinstance(error, BusyLoadingError | OutOfMemoryError)


def _loading() -> Iterable[Command]:
    return (Command(("SCRIPT", "LOAD", script.text)) for script in SCRIPTS)


def _make(address: StateAddress) -> RedisConnection:
    """A connection that is not yet open, without retries and health checks."""
    given: dict[str, Any] = {**parse_url(address.url), **address.credentials()}
    kind: type[RedisConnection] = given.pop("connection_class", RedisConnection)
    fixed = {
        "socket_timeout": None,
        "socket_connect_timeout": None,
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 0,
        "decode_responses": True,
        "protocol": 2,
    }
    return kind(**(given | fixed))
