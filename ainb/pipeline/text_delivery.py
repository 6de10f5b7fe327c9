"""Text delivery: passes a streamed reply to ``on_text`` in a thread; its error is the call's error."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
from collections.abc import Awaitable, Callable

from ainb.event_loop import UserThread, carried
from ainb.messages import Call, Handler, Reply

LAST_PIECES_SECONDS = 0.1


class TextDeliveryStage:
    """Delivers streamed text to the user's ``on_text``.

    It stands inside `record`, so that a call whose text could not be delivered is not recorded as answered.
    """

    def __call__(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Run the call; if it is streamed, wait until every piece is delivered.

        Raises:
            Exception: What ``on_text`` raised.
        """
        on_text = call.options.on_text
        return proceed(call) if on_text is None else _delivered(call, proceed, on_text)


async def _delivered(call: Call, proceed: Handler, on_text: Callable[[str], None]) -> Reply:
    delivery = TextDelivery(on_text)
    call.options = dataclasses.replace(call.options, on_text=delivery.put)
    try:
        reply = await proceed(call)
        await delivery.finish()
    except Exception:
        await delivery.end_soon()
        raise
    finally:
        delivery.end()
        call.options = dataclasses.replace(call.options, on_text=on_text)
    return reply


class TextDelivery:
    """Passes the pieces of a streamed reply to the user's ``on_text``, in order, in a thread of the call.

    Args:
        on_text: The user's function.
    """

    def __init__(self, on_text: Callable[[str], None]) -> None:
        self._on_text = on_text
        self._thread = UserThread("ainb-on-text")
        self._error: Exception | None = None
        self._used = False
        self._ended = False

    def put(self, text: str) -> None:
        """Pass a piece on; returns at once.

        Raises:
            Exception: The error that ``on_text`` raised for an earlier piece.
        """
        if self._error is not None:
            raise self._error
        self._used = True
        self._thread.post(functools.partial(self._deliver, text))

    async def finish(self) -> None:
        """Wait until every piece is delivered.

        Raises:
            Exception: What ``on_text`` raised.
        """
        await self._thread.settle()
        if self._error is not None:
            raise self._error

    async def end_soon(self) -> None:
        """Wait briefly for queued pieces, so that they are delivered before the call's error."""
        if self._used:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._thread.settle(), LAST_PIECES_SECONDS)

    def end(self) -> None:
        """Stop delivery and end the thread."""
        self._ended = True
        if self._used:
            self._thread.close()

    def _deliver(self, text: str) -> None:
        if self._ended or self._error is not None:
            return
        try:
            self._on_text(text)
        except BaseException as error:  # noqa: BLE001 - the user's code; raised with the next piece or at the end
            self._error = carried(error)
