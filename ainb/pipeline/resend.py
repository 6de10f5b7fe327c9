"""Sends a request once more, without what the model refused, when the adapter has learnt that from the refusal."""

from __future__ import annotations

from ainb.errors import PermanentProviderError
from ainb.messages import Call, Handler, Reply

MAX_LEARNT = 3


class ResendStage:
    """Inside retry and outside limiter and breaker: each request takes its own permit, and it works without retry too."""

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        """Send, and after a refusal that taught something send again; at most three parameters are learnt."""
        learnt = 0
        while True:
            try:
                return await proceed(call)
            except PermanentProviderError as error:
                learnt += error.adapted
                if not error.adapted or learnt > MAX_LEARNT or call.shown:
                    raise
