"""Pipelined connection to Redis: many callers write at once; answers come in the order of the commands.

redis-py opens it (URL, TLS, password, database) and parses the protocol. Its pool, its retries and a task and
timer per command are left out: a command takes a third of the time of its client, and the commands of one
tick of the loop are sent together.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from redis.asyncio import Connection as RedisConnection
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError

from ainb.stores.redis.address import StateAddress

TIMEOUT_SECONDS = 0.25
GRACE_SECONDS = 0.02  # a loop that was blocked reads pending answers before it declares the server late

Answer = asyncio.Future[Any]
Lost = Callable[[Any], object]


class UnavailableError(Exception):
    """The server does not answer, or with an error that makes it unusable."""


class Connection:
    """A connection of one event loop; all methods must be called on that loop.

    Args:
        address: Address of the server.
        broken: Called once, with the reason, when the connection fails.

    Attributes:
        is_open: Whether commands may be sent.
    """

    def __init__(self, address: StateAddress, broken: Callable[[Exception], None]) -> None:
        self._address = address
        self._broken = broken
        self._connection: Any = None
        self._pending: deque[tuple[Answer | None, Lost | None, float]] = deque()
        self._outbox: list[bytes] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._look_at = 0.0
        self.is_open = False

    async def open(self, timeout_seconds: float) -> None:
        """Connect.

        Args:
            timeout_seconds: For connection, handshake and password together.

        Raises:
            UnavailableError: It took too long, or the server refused.
        """
        make = _maker(self._address)
        self._loop = asyncio.get_running_loop()
        self._connection = make()
        try:
            await asyncio.wait_for(self._connection.connect(), timeout_seconds)
        except Exception as error:  # noqa: BLE001 - whatever it is, there is no connection
            await self._disconnect()
            raise UnavailableError(_reason(error)) from None
        self._more: asyncio.Future[None] = self._loop.create_future()
        self._tasks = [self._loop.create_task(self._write_on()), self._loop.create_task(self._read_on())]
        self.is_open = True

    def request(self, command: Sequence[Any], lost: Lost | None = None) -> Answer:
        """Send a command.

        Args:
            command: Words of the command.
            lost: Called with the answer when the waiting caller was cancelled.

        Returns:
            A future of the answer; fails with UnavailableError when the server is late or gone.
        """
        answer: Answer = self._loop.create_future()
        self._send(command, answer, lost)
        return answer

    def send(self, command: Sequence[Any], done: Lost | None = None) -> None:
        """Send a command without waiting; `done` receives the answer."""
        self._send(command, None, done)

    async def close(self) -> None:
        """Wait a moment for pending answers, then close; commands still waiting fail."""
        if self.is_open and self._pending:
            with contextlib.suppress(Exception):
                await self.request(("PING",))
        self._fail(None)
        await self._disconnect()

    def _send(self, command: Sequence[Any], answer: Answer | None, lost: Lost | None) -> None:
        if not self.is_open:
            raise UnavailableError("the connection is closed")
        self._outbox.append(pack(command))
        self._pending.append((answer, lost, self._loop.time() + TIMEOUT_SECONDS))
        if not self._more.done():
            self._more.set_result(None)
        if self._timer is None:
            self._look_in(TIMEOUT_SECONDS - GRACE_SECONDS)

    async def _write_on(self) -> None:
        try:
            while True:
                await self._more
                self._more = self._loop.create_future()
                chunk, self._outbox = b"".join(self._outbox), []
                await self._connection.send_packed_command(chunk, check_health=False)
        except Exception as error:  # noqa: BLE001 - whatever it is, the connection is gone
            self._fail(error)

    async def _read_on(self) -> None:
        read, pending = self._connection.read_response, self._pending
        try:
            while True:
                try:
                    found = await read(disconnect_on_error=False)
                except ResponseError as error:
                    found = error
                answer, lost, _ = pending.popleft()
                if answer is None or answer.done():
                    if lost is not None:
                        lost(found)
                elif isinstance(found, Exception):
                    answer.set_exception(found)
                else:
                    answer.set_result(found)
        except Exception as error:  # noqa: BLE001 - whatever it is, the connection is gone
            self._fail(error)

    def _look(self) -> None:
        """The only timer: fail when the oldest command is late, else set the timer again."""
        self._timer = None
        if not self._pending:
            return
        now = self._loop.time()
        left = self._pending[0][2] - now
        if left <= 0:
            # A loop that was blocked has not read pending answers: give it time before the server counts as
            # late.
            if now - self._look_at > GRACE_SECONDS and left > -TIMEOUT_SECONDS:
                self._look_in(GRACE_SECONDS)
            else:
                self._fail(TimeoutError(f"no answer within {TIMEOUT_SECONDS} s"))
        elif left <= GRACE_SECONDS:
            self._look_in(max(left, GRACE_SECONDS / 2))
        else:
            self._look_in(left - GRACE_SECONDS)

    def _look_in(self, seconds: float) -> None:
        self._look_at = self._loop.time() + seconds
        self._timer = self._loop.call_later(seconds, self._look)

    def _fail(self, error: Exception | None) -> None:
        """Close and fail all pending commands; None means a normal close."""
        if not self.is_open:
            return
        self.is_open = False
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
        gone = UnavailableError("closed" if error is None else _reason(error))
        if error is not None:
            self._broken(gone)
            self._tasks.append(self._loop.create_task(self._disconnect()))
        while self._pending:
            answer, lost, _ = self._pending.popleft()
            _drop(answer, lost, gone)

    async def _disconnect(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(Exception):
                await self._connection.disconnect(nowait=True)


def pack(command: Sequence[Any]) -> bytes:
    """Encode a command in the protocol; redis-py takes five times as long for the same bytes."""
    parts = [f"*{len(command)}\r\n"]
    for word in command:
        text = word if type(word) is str else str(word)
        size_bytes = len(text) if text.isascii() else len(text.encode())
        parts.append(f"${size_bytes}\r\n{text}\r\n")
    return "".join(parts).encode()


def _drop(answer: Answer | None, lost: Lost | None, gone: UnavailableError) -> None:
    """Fail a pending command; callers that were cancelled need no answer."""
    if answer is None:
        if lost is not None:
            lost(gone)
    elif not answer.done():
        answer.set_exception(gone)


def _maker(address: StateAddress) -> Callable[[], Any]:
    """Factory of redis-py connections, without retries and health checks."""
    given: dict[str, Any] = {**parse_url(address.url), **address.credentials()}
    kind: Any = given.pop("connection_class", RedisConnection)
    fixed = {
        "socket_timeout": None,
        "socket_connect_timeout": None,
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 0,
        "decode_responses": True,
        "protocol": 2,
    }
    return lambda: kind(**(given | fixed))


def _reason(error: BaseException) -> str:
    """The error on one line; it contains no credentials."""
    if isinstance(error, TimeoutError) and not str(error):
        return f"no answer within {TIMEOUT_SECONDS} s"
    return " ".join(str(error).split()) or type(error).__name__
