"""Measures the parts of a row: reads one part name per line from stdin, writes figures as JSON to stdout.

Runs as a separate process, so that two trees can be measured in turn; PYTHONPATH selects the tree.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bare import bare

import ainb
from ainb.engine import ENGINE

ROWS = 500
WARM_ROWS = 300
AT_ONCE = 64
OFF = {
    "cache": None,
    "rate_limit": None,
    "retry": None,
    "circuit": None,
    "deadline": None,
    "validation": None,
}
ROOMY = {"requests_per_minute": 6e7, "tokens_per_minute": 6e10}
PRICES = {
    name: {"input_usd_per_million": 1, "output_usd_per_million": 1} for name in ("scripted:echo", "vllm:m")
}
LOG_THREAD = "ainb-usage"

# Options of each part; the runner, the record of the call and its row in the log are always on.
PARTS: dict[str, dict[str, object]] = {
    "base": {},
    "validation": {"validation": ainb.Validation()},
    "attempt": {"retry": ainb.Retry(), "circuit": ainb.Circuit(), "deadline": ainb.Deadline()},
    "rate limit": {"rate_limit": ainb.RateLimit()},
    "tokens": {"rate_limit": ainb.RateLimit(**ROOMY)},
    "price": {"prices": PRICES},
    "budget": {"prices": PRICES, "budget": ainb.Budget(usd=1_000_000)},
    "memory": {"cache": ainb.Cache(where="memory")},
    "disk": {"cache": ainb.Cache(where="disk")},
    "journal": {},
    "http": {},
    "http headers": {"rate_limit": ainb.RateLimit(**ROOMY)},
    "all": {},
    "all http": {},
    "all http, key": {},
}
# As nearly every user has one; then each reply is searched for it.
KEY = "sk-proj-Ab3dE6gH9jK2mN5pQ8rS1tU4vW7xY0z"


class Batches:
    """One session per part, each with its own temporary home."""

    def __init__(self, folder: Path, base_url: str) -> None:
        self._folder = folder
        self._base_url = base_url
        self._sessions: dict[str, ainb.Session] = {}
        self._turns = itertools.count()

    def run(self, part: str) -> None:
        """Send `ROWS` new rows with the options of a part."""
        session = self._sessions.get(part)
        if session is None:
            session = self._sessions[part] = self._open(part)
            self._map(session, part, WARM_ROWS)
        self._map(session, part, ROWS)

    def _map(self, session: ainb.Session, part: str, rows: int) -> None:
        turn = next(self._turns)
        journal = part == "journal" or part.startswith("all")
        limits = {"max_tokens": 50} if part == "budget" else {}
        frame = session.map(
            [f"row {turn} {row}" for row in range(rows)], "Classify: {value}", journal=journal, **limits
        )
        assert (frame["status"] == "ok").all()
        session.core.log.flush()  # include the log's remaining work for these rows

    def _open(self, part: str) -> ainb.Session:
        over_http = "http" in part
        options = PARTS[part] if part.startswith("all") else {**OFF, **PARTS[part]}
        config = ainb.Config(**options, home=self._folder / part.replace(" ", "-"))
        return ainb.Session(
            "vllm:m" if over_http else "scripted:echo",
            config=config,
            **({"api_base": self._base_url} if over_http else {}),
        )


class Chain:
    """Calls through the pipeline with all options off, one after another and without a batch."""

    def __init__(self, folder: Path) -> None:
        self._session = ainb.Session("scripted:echo", config=ainb.Config(**OFF, home=folder / "chain"))

    def run(self) -> None:
        """Send `ROWS` calls."""
        core = self._session.core
        calls = [core.make_call(f"Classify: row {row}") for row in range(ROWS)]
        self.began = time.process_time()

        async def send() -> None:
            for call in calls:
                await core.handle(call)

        ENGINE.run(send())
        core.log.flush()


def log_seconds() -> dict[int, float]:
    """CPU seconds of each thread that writes a usage log; an idle thread ends after a while."""
    idents = [thread.ident for thread in threading.enumerate() if thread.name == LOG_THREAD]
    return {
        ident: time.clock_gettime(time.pthread_getcpuclockid(ident)) for ident in idents if ident is not None
    }


def main() -> None:
    base_url = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        batches, chain = Batches(Path(folder), base_url), Chain(Path(folder))
        work: dict[str, Callable[[], object]] = {
            "bare": lambda: asyncio.run(bare(base_url, ROWS, AT_ONCE)),
            "chain": chain.run,
        }
        for line in sys.stdin:
            part = line.strip()
            os.environ["OPENAI_API_KEY"] = KEY if part.endswith("key") else ""
            run = work.get(part, lambda part=part: batches.run(part))
            logged, wall, start = log_seconds(), time.perf_counter(), time.process_time()
            run()
            if part == "chain":
                start = chain.began
            figures = {
                "cpu": (time.process_time() - start) / ROWS * 1e6,
                "log": sum(now - logged.get(ident, 0.0) for ident, now in log_seconds().items()) / ROWS * 1e6,
                "wall": (time.perf_counter() - wall) / ROWS * 1e6,
            }
            print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
