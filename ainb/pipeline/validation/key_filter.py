"""Own keys taken out of what a provider sends back, before anything shows or keeps it.

A server that repeats the headers of a request would put the key into the notebook, the cache and the journal. Of a reply that
comes in pieces, what may be the beginning of a key is held back until it is known to be none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping

from ainb.messages import Call, Handler, Reply
from ainb.pipeline.validation.rules import replace_places
from ainb.redaction import filter as redaction


class KeyFilter:
    """Hands pieces on without the values of keys, also where one is cut between two pieces.

    Args:
        values: Value to name.
        show: Takes what may be shown.
    """

    def __init__(self, values: Mapping[str, str], show: Callable[[str], None]) -> None:
        self._values = dict(values)
        self._longest = max(map(len, self._values), default=0)
        self._show = show
        self._held = ""

    def feed(self, piece: str) -> None:
        """Show what of the text so far can be no part of a key."""
        text = self._held + piece
        for value, name in self._values.items():
            text = text.replace(value, f"[redacted {name}]")
        at = len(text) - self._unsure(text, self._values)
        self._held = text[at:]
        if at:
            self._show(text[:at])

    def end(self) -> None:
        """Show what was held back; no more pieces come."""
        held, self._held = self._held, ""
        if held:
            self._show(held)

    def _unsure(self, text: str, values: Iterable[str]) -> int:
        """Length of the longest end of the text that begins a value."""
        tail = text[-(self._longest - 1) :] if self._longest > 1 else ""
        return max(
            (
                len(tail) - at
                for at, letter in enumerate(tail)
                for value in values
                if value[0] == letter and value.startswith(tail[at:])
            ),
            default=0,
        )


class OwnKeyStage:
    """Next to the provider: replies without the values of key variables, whole or streamed."""

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        """Let the call proceed and look at what comes back."""
        options = call.options
        if options.on_text is None:
            return self._clean(call, await proceed(call))
        values = redaction.secret_values()
        if not values:
            return await proceed(call)
        pieces = KeyFilter(values, options.on_text)
        filtered = call.options = dataclasses.replace(options, on_text=pieces.feed)
        try:
            reply = await proceed(call)
            pieces.end()
        finally:
            # Whoever took the stream away meanwhile is not to get it back.
            if call.options is filtered:
                call.options = options
        return self._clean(call, reply)

    def _clean(self, call: Call, reply: Reply) -> Reply:
        places = redaction.find_known(reply.text)
        if places:
            reply.text = replace_places(reply.text, places, lambda name, _value: f"[redacted {name}]")
            names = ", ".join(dict.fromkeys(name for _, _, name in places))
            call.notes.append(f"the reply repeated the value of {names}; it was redacted")
        return reply
