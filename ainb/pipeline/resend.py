"""Resend: sends a request again without a parameter that the model refused (the adapter learns it)."""

from __future__ import annotations

from ainb.errors import PermanentProviderError
from ainb.messages import Call, Handler, Reply

MAX_LEARNT = 3


class ResendStage:
    """Resends requests that were refused because of a parameter.

    It stands inside retry and outside limiter and breaker, so that each request takes its own permit, and
    works with ``retry=None`` too.
    """

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        """Send the call; resend it after refusals that the adapter learnt from (up to three parameters)."""
        learnt = 0
        while True:
            try:
                return await proceed(call)
            except PermanentProviderError as error:
                learnt += error.adapted
                if not error.adapted or learnt > MAX_LEARNT or call.shown:
                    raise
