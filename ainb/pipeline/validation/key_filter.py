"""Key filter: removes the values of API keys from replies before they are shown or stored.

A server that echoes request headers would otherwise put the key into notebook, cache and journal.
Of a streamed reply, text that may be the beginning of a key is held back until it is known not to be one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from ainb import redaction
from ainb.messages import Call, Handler, Reply
from ainb.pipeline.validation.rules import replace_places

_TEXTS = tuple(item.name for item in dataclasses.fields(Reply) if str(item.type).partition(" ")[0] == "str")


class KeyFilter:
    """Filter of streamed text that redacts key values, also split over two pieces or encoded.

    Args:
        values: Name of the variable by key value.
        show: Receives the filtered text.
    """

    def __init__(self, values: Mapping[str, str], show: Callable[[str], None]) -> None:
        self._values = dict(values)
        self._show = show
        self._held = ""

    def feed(self, piece: str) -> None:
        """Pass on the text that cannot be part of a key."""
        text = self._held + piece
        places = redaction.find_values(text, self._values)
        if places:
            text = replace_places(text, places, lambda name, _value: f"[redacted {name}]")
        at = redaction.beginning_of_value(text, self._values)
        self._held = text[at:]
        if at:
            self._show(text[:at])

    def end(self) -> None:
        """Pass on the rest at the end of the stream."""
        held, self._held = self._held, ""
        if held:
            self._show(held)


class OwnKeyStage:
    """Innermost stage: removes the values of key variables from replies, whole or streamed."""

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        """Run the call and filter its reply."""
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
            # Another stage may have removed the stream meanwhile; it must not be restored.
            if call.options is filtered:
                call.options = options
        return self._clean(call, reply)

    def _clean(self, call: Call, reply: Reply) -> Reply:
        """Redact key values in every text of a reply: a server may repeat a header in any of them."""
        names: list[str] = []
        values = redaction.secret_values()
        if not values:
            return reply

        def clean(text: str) -> str:
            places = redaction.find_known(text, values)
            names.extend(name for _, _, name in places)
            return replace_places(text, places, lambda name, _value: f"[redacted {name}]") if places else text

        for field in _TEXTS:
            value = getattr(reply, field)
            if value and (cleaned := clean(value)) is not value:
                setattr(reply, field, cleaned)
        if redaction.may_hold_known([*reply.headers, *reply.headers.values()], values):
            reply.headers = {clean(name): clean(value) for name, value in reply.headers.items()}
        if names:
            found = ", ".join(dict.fromkeys(names))
            call.notes.append(f"the reply repeated the value of {found}; it was redacted")
        return reply
