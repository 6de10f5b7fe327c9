"""Cost of a panel that shows a running batch."""

from __future__ import annotations

import json
import os
import statistics
from pathlib import Path

from jupyter_client.manager import KernelManager

ROOT = Path(__file__).parents[2]
KERNEL_SECONDS = 60
Line = tuple[str, str, str, str]

BATCH = """
import json, os, tempfile, time
os.environ["AINB_HOME"] = tempfile.mkdtemp()
import ainb
from ainb.panels.batch import BatchPanel
from ainb.testing import Step, script
script("model", [Step(text="positive", delay_seconds={seconds})])
session = ainb.Session("scripted:model", cache=None)
times = {{"without": [], "with": []}}
for turn in range(2 * {pairs} + 2):
    # The order alternates, so that neither variant always runs second.
    watched = (turn + turn // 2) % 2
    watcher = BatchPanel.open(state=session.state) if watched else (lambda progress: None)
    start = time.perf_counter()
    session.map([f"row {{turn}} {{number}}" for number in range({rows})], "Label: {{value}}", concurrency=8, watcher=watcher)
    if turn >= 2:
        times["with" if watched else "without"].append(time.perf_counter() - start)
print(json.dumps(times))
"""


def in_kernel(code: str) -> dict[str, list[float]]:
    """Run code in a kernel whose output a client reads; returns the printed JSON."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(env={**os.environ, "PYTHONPATH": str(ROOT), "AINB_DISPLAY": "auto"})
    client = manager.client()
    client.start_channels()
    printed: list[str] = []

    def hear(message: dict) -> None:
        if message["msg_type"] == "stream" and message["content"]["name"] == "stdout":
            printed.append(message["content"]["text"])

    try:
        client.wait_for_ready(timeout=KERNEL_SECONDS)
        client.execute_interactive(code, allow_stdin=True, output_hook=hear, timeout=KERNEL_SECONDS)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    return json.loads("".join(printed))


def watched(seconds: float, rows: int, pairs: int) -> Line:
    times = in_kernel(BATCH.format(seconds=seconds, rows=rows, pairs=pairs))
    longer = [seen / alone - 1 for seen, alone in zip(times["with"], times["without"], strict=True)]
    return (
        f"batch with a live panel, {rows} rows of {seconds * 1e3:g} ms",
        f"{statistics.median(times['with']):.2f} s, {statistics.median(longer):+.1%}",
        f"without {statistics.median(times['without']):.2f} s; {pairs} pairs",
        "<= +2 %",
    )


def rows() -> list[Line]:
    """Table rows: name, measured figure, peer or limit in the same run, goal."""
    return [watched(0.05, 150, 7), watched(0.0, 1500, 5)]


if __name__ == "__main__":
    for line in rows():
        print(" | ".join(line))
