"""Make a log of very many calls in seconds: SQLite copies the rows of one session to the others.

Rows are in the order in which calls ended, so that some started before the row above them.
"""

from __future__ import annotations

import math
import random
from decimal import Decimal
from pathlib import Path

from ainb.call_ids import CallIds
from ainb.clock import SYSTEM_CLOCK
from ainb.usage.columns import STORED
from ainb.usage.log.rollups import TABLES, add_new
from ainb.usage.log.store import LogStore, local_day, open_log
from ainb.usage.rows import Row, utc

DAYS = 60
SESSIONS = 3 * DAYS
DAY_SECONDS = 86_400
NOTEBOOKS = 10


def fill(path: Path, count: int) -> None:
    """Make a log of `count` calls over the last DAYS days, with three sessions per day and ten notebooks in
    turn.

    Args:
        path: File of the log.
        count: Number of calls.
    """
    store = LogStore(open_log(path))
    rng = random.Random(1)
    ids = CallIds(SYSTEM_CLOCK, rng)
    each = math.ceil(count / SESSIONS)
    start = SYSTEM_CLOCK.unix() - DAYS * DAY_SECONDS
    length = DAYS * DAY_SECONDS / SESSIONS
    ends = [start + place / each * length for place in range(each)]
    store.add([_row(rng, ids(), ended, failed=place % 50 == 1) for place, ended in enumerate(ends)])
    connection = store.connection
    connection.create_function("local_day", 1, local_day, deterministic=True)
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(
        "INSERT OR IGNORE INTO words (word) VALUES (?)",
        [
            *((f"session-{place}",) for place in range(SESSIONS)),
            *((_notebook(place),) for place in range(NOTEBOOKS)),
        ],
    )
    connection.execute(_COPY, (SESSIONS, round(length * 1e6), NOTEBOOKS, each, count - each))
    # The sums of the first session are computed again below, with those of all others.
    for table in TABLES:
        connection.execute(f"DELETE FROM {table}")  # noqa: S608 - names of ours
    add_new(connection, 0)
    connection.execute("COMMIT")
    store.close()


def _notebook(place: int) -> str:
    return f"analysis-{place}.ipynb"


# Columns that differ from session to session; the rest is copied.
_CHANGED = {
    "started_us": "started_us + place * span",
    "session_id": "(SELECT id FROM words WHERE word = 'session-' || place)",
    "notebook": "(SELECT id FROM words WHERE word = 'analysis-' || (place % notebooks) || '.ipynb')",
    "call_id": "printf('%026d', place * each + calls.id)",
    "row_key": "printf('%d', place * each + calls.id)",
}
_COPY = f"""
WITH RECURSIVE
  sizes (sessions, span, notebooks, each) AS (SELECT ?, ?, ?, ?),
  places (place) AS (SELECT 1 UNION ALL SELECT place + 1 FROM places, sizes WHERE place < sessions - 1)
INSERT INTO calls (day, {", ".join(column.stored for column in STORED)})
SELECT local_day(started_us + place * span),
{", ".join(_CHANGED.get(column.stored, column.stored) for column in STORED)}
FROM places CROSS JOIN sizes CROSS JOIN calls ORDER BY place, calls.id LIMIT ?
"""  # noqa: S608 - made of the names above


def _row(rng: random.Random, call_id: str, ended: float, *, failed: bool) -> Row:
    model = f"model-{rng.randrange(12)}"
    hit = rng.random() < 0.2 and not failed
    duration = rng.expovariate(1.0)
    return Row(
        call_id=call_id,
        started_at=utc(ended - duration),
        operation_name="chat",
        provider_name=f"provider-{rng.randrange(4)}",
        request_model=model,
        response_model=None if failed else model,
        input_tokens=None if failed else rng.randrange(5_000),
        output_tokens=None if failed else rng.randrange(800),
        tokens_source="unknown" if failed else "provider",
        cost_usd=None if failed else Decimal(0) if hit else Decimal(rng.randrange(10**7)) / 10**9,
        cost_source="unpriced" if failed else "free" if hit else "table",
        saved_usd=Decimal("0.001") if hit else None,
        duration_s=duration,
        queue_wait_s=rng.random(),
        attempts=0 if hit else 1,
        status="error" if failed else "ok",
        error_type="TransientProviderError" if failed else None,
        http_status=503 if failed else None,
        error_message="openai answered 503 (overloaded)" if failed else None,
        cache_hit=hit,
        request_id=f"req_{rng.getrandbits(96):024x}",
        finish_reason=None if failed else "stop",
        notebook=_notebook(0),
        session_id="session-0",
        row_key=call_id,
        user=f"user-{rng.randrange(30)}",
        prompt_sha256=f"{rng.getrandbits(256):064x}",
    )
