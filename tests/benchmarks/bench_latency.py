"""Batches against a server with latency, compared with bare aiohttp at the same concurrency and the ideal.

The first batch has to find the server's concurrency; later batches use the recorded one.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

import ainb
from tests.benchmarks.parts.bare import bare
from tests.benchmarks.server_process import server

# Rows, calls in flight, latency in seconds; the divisor, and the goals of the first batch and of later ones.
CASES = [
    (1_000, 64, 0.3, "ideal", 1.25, 1.10),
    (1_000, 256, 0.3, "bare", 1.6, 1.3),
    (8_000, 1_024, 0.3, "bare", 1.6, 1.3),
    (100, 64, 0.5, "ideal", 1.8, 1.2),
]


def batches(base_url: str, rows: int, at_once: int, home: Path) -> list[float]:
    """Seconds of the first batch in a home and of the next one, with every stage, log and journal."""
    with ainb.Session("ollama:warm", home=home / "warm", api_base=base_url) as session:
        session.map([f"warm {number}" for number in range(50)], "{value}")
    seconds = []
    with ainb.Session("ollama:m", home=home, api_base=base_url) as session:
        for turn in range(2):
            prompts = [f"row {turn} {number}" for number in range(rows)]
            start = time.perf_counter()
            frame = session.map(prompts, "Classify: {value}", concurrency=at_once)
            seconds.append(time.perf_counter() - start)
            assert (frame["status"] == "ok").all()
    return seconds


def rows() -> list[tuple[str, str, str, str]]:
    """Table rows: name, measured figure, peer or limit in the same run, goal."""
    table = []
    for count, at_once, latency, measure, first_goal, later_goal in CASES:
        with tempfile.TemporaryDirectory() as folder, server(latency) as base_url:
            alone = asyncio.run(bare(base_url, count, at_once))
            taken = batches(base_url, count, at_once, Path(folder))
        ideal = -(-count // at_once) * latency
        unit = ideal if measure == "ideal" else alone
        what = f"{count:,} rows of {latency:g} s, {at_once:,} in flight"
        beside = f"bare {alone:.2f} s, ideal {ideal:.2f} s"
        for name, seconds, goal in zip(("first", "later"), taken, (first_goal, later_goal), strict=True):
            measured = f"{seconds:.2f} s, {seconds / unit:.2f} of {measure}"
            table.append((f"{what}: {name} batch", measured, beside, f"<= {goal:.2f}"))
    return table


if __name__ == "__main__":
    for row in rows():
        print(*row, sep=" | ")
