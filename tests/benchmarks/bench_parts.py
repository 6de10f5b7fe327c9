"""CPU microseconds of a row by part, optionally compared with another source tree.

The cost of a part is the difference of two batches that differ only in this part, each the best of several
rounds. If ``AINB_BEFORE`` names the folder of an older checkout, both trees are measured in alternation.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.server_process import server

ROOT = Path(__file__).resolve().parents[2]
WORKER = Path(__file__).parent / "parts" / "worker.py"
ROUNDS = 20  # many short ones, so that the best is hardly disturbed by other load
MEASURED = (
    "bare", "chain", "base", "validation", "attempt", "rate limit", "tokens", "price", "budget",
    "memory", "disk", "journal", "http", "http headers", "all", "all http",
    "all http, key",
)  # fmt: skip
# Printed name, and the measured figures that it sums; "log" is the CPU of the log's thread in `base`.
PARTS: tuple[tuple[str, dict[str, int]], ...] = (
    ("record and chain", {"chain": 1, "log": -1}),
    ("runner, outcome, frame", {"base": 1, "chain": -1}),
    ("log", {"log": 1}),
    ("validation", {"validation": 1, "base": -1}),
    ("deadline, retry, circuit", {"attempt": 1, "base": -1}),
    ("rate limit", {"rate limit": 1, "base": -1}),
    ("rate limit, tokens limited, beyond that", {"tokens": 1, "rate limit": -1}),
    ("price", {"price": 1, "base": -1}),
    ("hard budget, beyond the price", {"budget": 1, "price": -1}),
    ("cache in memory", {"memory": 1, "base": -1}),
    ("cache on disk, beyond that", {"disk": 1, "memory": -1}),
    ("journal", {"journal": 1, "base": -1}),
    ("HTTP", {"http": 1, "base": -1}),
    ("six rate headers over HTTP, tokens limited", {"http headers": 1, "http": -1, "rate limit": -1, "base": 1}),
    ("all but HTTP", {"all": 1}),
    ("all, over HTTP", {"all http": 1}),
    ("a key in the environment, beyond that", {"all http, key": 1, "all http": -1}),
    ("bare aiohttp", {"bare": 1}),
)  # fmt: skip


class Worker:
    """A process that measures one tree."""

    def __init__(self, tree: Path, base_url: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(WORKER), base_url],
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.best: dict[str, float] = {}

    def measure(self, name: str) -> None:
        """Run one round of one batch; the best of all rounds is kept."""
        self._process.stdin.write(f"{name}\n")
        self._process.stdin.flush()
        figures = json.loads(self._process.stdout.readline())
        self._keep(name, figures["cpu"])
        if name == "base":
            self._keep("log", figures["log"])

    def part(self, terms: dict[str, int]) -> float:
        """Microseconds per row of a part."""
        return sum(sign * self.best[name] for name, sign in terms.items())

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait(60)

    def _keep(self, name: str, value: float) -> None:
        self.best[name] = min(value, self.best.get(name, value))


def rows() -> list[tuple[str, str, str, str]]:
    """Table rows: name, measured figure, figure of the older tree in the same run, goal."""
    before = os.environ.get("AINB_BEFORE")
    trees = [ROOT, *([Path(before).resolve()] if before else [])]
    with server() as base_url:
        workers = [Worker(tree, base_url) for tree in trees]
        try:
            for _ in range(ROUNDS):
                for name in MEASURED:
                    for worker in workers:
                        worker.measure(name)
        finally:
            for worker in workers:
                worker.close()
    table = []
    for what, terms in PARTS:
        here, *older = [worker.part(terms) for worker in workers]
        table.append(
            (f"CPU a row: {what}", f"{here:.0f} us", f"before {older[0]:.0f} us" if older else "-", "-")
        )
    alone = min(worker.best["bare"] for worker in workers)  # the same code in both
    shares = [alone / worker.best["all http"] for worker in workers]
    beside = f"before {shares[1]:.2f}" if before else "-"
    table.append(("CPU of bare aiohttp over CPU of a row", f"{shares[0]:.2f}", beside, ">= 0.43"))
    return table


if __name__ == "__main__":
    for row in rows():
        print(" | ".join(row))
