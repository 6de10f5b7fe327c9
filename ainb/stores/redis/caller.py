"""Running scripts on the server: with an answer that is waited for, or without."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from ainb.stores.redis.connection import Link, LinkError, Lost
from ainb.stores.redis.home import Home
from ainb.stores.redis.script import Script


class Caller(Home, ABC):
    """What asks a server; whoever derives from it knows the connection."""

    _link: Link | None

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

    @abstractmethod
    def tell(self, words: Sequence[Any], done: Lost | None = None) -> None:
        """`report` for a plain command."""

    @abstractmethod
    async def _connected(self) -> Link:
        """The open connection, made where there is none."""

    @abstractmethod
    def _fault(self, error: Exception) -> None:
        """The server answered with an error."""
