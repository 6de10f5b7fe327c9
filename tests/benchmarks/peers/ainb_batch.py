"""Session.map with every stage, the cache, the journal and the log on."""

from __future__ import annotations

import sys
import tempfile
import time

import ainb

BASE_URL, ROWS, AT_ONCE = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


def batch(session: ainb.Session, word: str) -> tuple[float, int]:
    started = time.monotonic()
    frame = session.map(range(ROWS), word + " {value}", concurrency=AT_ONCE)
    return time.monotonic() - started, int((frame["status"] == "ok").sum())


with tempfile.TemporaryDirectory() as home, ainb.Session("openai:m", home=home, api_base=BASE_URL) as session:
    (first, _), (second, answered) = batch(session, "Classify"), batch(session, "Label")
    print(ainb.__version__, first, second, answered)
