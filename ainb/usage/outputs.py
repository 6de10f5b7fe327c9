"""Median reply length of a model, from the log, without pandas."""

from __future__ import annotations

import sqlite3
import statistics

LAST_CALLS = 20_000
LAST_REPLIES = 99
FEWEST_REPLIES = 5
_WORD = "(SELECT id FROM words WHERE word = ? AND id > 0)"
_QUERY = f"""
    SELECT output_tokens FROM calls
    WHERE id > (SELECT max(id) FROM calls) - {LAST_CALLS}
    AND provider_name = {_WORD} AND request_model = {_WORD}
    AND output_tokens IS NOT NULL AND NOT (cache_hit OR coalesced OR replayed)
    ORDER BY id DESC LIMIT {LAST_REPLIES}
"""  # noqa: S608 - constants of this module, values are bound


def usual_output_tokens(connection: sqlite3.Connection, provider: str, model: str) -> int | None:
    """Median output tokens of the last 99 replies of a model among the last 20,000 calls.

    Args:
        connection: Connection to the log.
        provider: Service name.
        model: Model name of the request.

    Returns:
        Number of tokens; None when fewer than 5 replies are known.
    """
    found = [tokens for (tokens,) in connection.execute(_QUERY, (provider, model))]
    return round(statistics.median(found)) if len(found) >= FEWEST_REPLIES else None
