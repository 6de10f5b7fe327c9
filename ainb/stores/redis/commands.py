"""Commands and scripts to the server, with an awaited answer or without."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from ainb.stores.redis.connection import Connection, Lost, UnavailableError
from ainb.stores.redis.loop import LoopBound
from ainb.stores.redis.script import Script


class CommandClient(LoopBound, ABC):
    """Sends commands over the connection that its subclass provides."""

    _connection: Connection | None

    async def run_script(
        self, script: Script, keys: Sequence[str], args: Sequence[Any], lost: Lost | None = None
    ) -> Any:
        """Run a script and await its result; on the connection's loop only.

        Args:
            script: Script to run.
            keys: Its keys.
            args: Its arguments.
            lost: Called with the result when the caller was cancelled meanwhile.

        Raises:
            UnavailableError: The server is unavailable; local state is to be used.
        """
        return await self.run_command(("EVALSHA", script.sha, len(keys), *keys, *args), script, lost)

    async def run_command(
        self, words: Sequence[Any], script: Script | None = None, lost: Lost | None = None
    ) -> Any:
        """`run_script` for a plain command."""
        connection = self._connection
        if connection is None or not connection.is_open:
            connection = await self._connected()
        answer = connection.request(words, lost)
        try:
            return await answer
        except asyncio.CancelledError:
            if lost is not None and answer.done() and not answer.cancelled() and answer.exception() is None:
                lost(answer.result())
            raise
        except UnavailableError:
            raise
        except Exception as error:  # noqa: BLE001 - an error answer of the server
            if script is not None and str(error).startswith("NOSCRIPT"):
                return await connection.request(("EVAL", script.text, *words[2:]), lost)
            self._fault(error)
            raise UnavailableError(str(error)) from None

    def send_script(
        self, script: Script, keys: Sequence[str], args: Sequence[Any], done: Lost | None = None
    ) -> None:
        """Run a script without waiting, from any thread; dropped while the server is unavailable.

        Args:
            script: Script to run.
            keys: Its keys.
            args: Its arguments.
            done: Called on the connection's loop with the result or an exception.
        """
        self.send(("EVALSHA", script.sha, len(keys), *keys, *args), done)

    @abstractmethod
    def send(self, words: Sequence[Any], done: Lost | None = None) -> None:
        """`send_script` for a plain command."""

    @abstractmethod
    async def _connected(self) -> Connection:
        """The open connection; opened if needed."""

    @abstractmethod
    def _fault(self, error: Exception) -> None:
        """Handle an error answer of the server."""
