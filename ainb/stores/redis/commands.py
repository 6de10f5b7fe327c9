"""Running scripts on the server: with an answer that is waited for, or without."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from ainb.stores.redis.connection import Connection, Lost, UnavailableError
from ainb.stores.redis.loop import LoopBound
from ainb.stores.redis.script import Script


class CommandClient(LoopBound, ABC):
    """What asks a server; whoever derives from it knows the connection."""

    _connection: Connection | None

    async def run_script(
        self, script: Script, keys: Sequence[str], args: Sequence[Any], lost: Lost | None = None
    ) -> Any:
        """Run a script and wait for what it returns; on the home loop only.

        Args:
            script: What to run.
            keys: Its keys.
            args: Its arguments.
            lost: Called with what it returned when the caller was cancelled meanwhile.

        Raises:
            UnavailableError: The server is out of reach; local state is to be used.
        """
        return await self.run_command(("EVALSHA", script.sha, len(keys), *keys, *args), script, lost)

    async def run_command(
        self, words: Sequence[Any], script: Script | None = None, lost: Lost | None = None
    ) -> Any:
        """`run` for a plain command."""
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
        except Exception as error:  # noqa: BLE001 - an error that the server answered with
            if script is not None and str(error).startswith("NOSCRIPT"):
                return await connection.request(("EVAL", script.text, *words[2:]), lost)
            self._fault(error)
            raise UnavailableError(str(error)) from None

    def send_script(
        self, script: Script, keys: Sequence[str], args: Sequence[Any], done: Lost | None = None
    ) -> None:
        """Run a script and wait for nothing; from any thread. While the server is out of reach it is dropped.

        Args:
            script: What to run.
            keys: Its keys.
            args: Its arguments.
            done: Called on the home loop with what it returned, or with an exception.
        """
        self.send(("EVALSHA", script.sha, len(keys), *keys, *args), done)

    @abstractmethod
    def send(self, words: Sequence[Any], done: Lost | None = None) -> None:
        """`report` for a plain command."""

    @abstractmethod
    async def _connected(self) -> Connection:
        """The open connection, made where there is none."""

    @abstractmethod
    def _fault(self, error: Exception) -> None:
        """The server answered with an error."""
