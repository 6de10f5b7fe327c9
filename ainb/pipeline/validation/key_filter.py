"""Own keys taken out of what a provider sends back, before anything shows or keeps it.

A server that repeats the headers of a request would put the key into the notebook, the cache and the journal. Of a reply that
comes in pieces, what may be the beginning of a key is held back until it is known to be none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from ainb.messages import Call, Handler, Reply
from ainb.pipeline.validation.rules import replace_places
from ainb.redaction import filter as redaction

_TEXTS = tuple(item.name for item in dataclasses.fields(Reply) if str(item.type).partition(" ")[0] == "str")


class KeyFilter:
    """Hands pieces on without the values of keys, also where one is cut between two pieces, split or encoded.

    Args:
        values: Value to name.
        show: Takes what may be shown.
    """

    def __init__(self, values: Mapping[str, str], show: Callable[[str], None]) -> None:
        self._values = dict(values)
        self._show = show
        self._held = ""

    def feed(self, piece: str) -> None:
        """Show what of the text so far can be no part of a key."""
        text = self._held + piece
        places = redaction.find_values(text, self._values)
        if places:
            text = replace_places(text, places, lambda name, _value: f"[redacted {name}]")
        at = redaction.beginning_of_value(text, self._values)
        self._held = text[at:]
        if at:
            self._show(text[:at])

    def end(self) -> None:
        """Show what was held back; no more pieces come."""
        held, self._held = self._held, ""
        if held:
            self._show(held)


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
        """Take the values of keys out of every text of a reply: a server may repeat a header in any of them."""
        names: list[str] = []

        def clean(text: str) -> str:
            places = redaction.find_known(text)
            names.extend(name for _, _, name in places)
            return replace_places(text, places, lambda name, _value: f"[redacted {name}]") if places else text

        for field in _TEXTS:
            value = getattr(reply, field)
            if value:
                setattr(reply, field, clean(value))
        if reply.headers:
            reply.headers = {clean(name): clean(value) for name, value in reply.headers.items()}
        if names:
            found = ", ".join(dict.fromkeys(names))
            call.notes.append(f"the reply repeated the value of {found}; it was redacted")
        return reply
