"""A million calls: reports of the usage log, the board, and memory of a batch from file to file.

``AINB_BENCH_ROWS`` sets a lower number of calls; the goals are for 1,000,000. Reports are compared with
reading the same stored columns with sqlite3 and pandas.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from ainb.usage.columns import COLUMNS, DEFAULT_COLUMNS
from ainb.usage.frames import calls as frames
from ainb.usage.frames import totals
from ainb.usage.frames.summary import summary
from ainb.usage.log import Log, UsageLog
from tests.usage.log.large_log import fill

ROOT = Path(__file__).parents[2]
ROWS = int(os.environ.get("AINB_BENCH_ROWS", "1000000"))
ROUNDS = 3
TEN = (
    "call_id",
    "started_at",
    "request_model",
    "provider_name",
    "input_tokens",
    "output_tokens",
    "cost_usd",
    "duration_s",
    "status",
    "cache_hit",
)
BOARD = """
import json, sys, time
import ainb, pandas
session = ainb.Session("scripted:echo", home=sys.argv[1])
times = []
for charts in (False, True, True):
    start, started = time.perf_counter(), time.process_time()
    ainb.panel(session=session).view(charts=charts).bundle()
    times.append((time.perf_counter() - start, time.process_time() - started))
print(json.dumps(times))
"""
BATCH = """
import json, resource, sys
import ainb, pandas
source, out, home = sys.argv[1:]
with ainb.Session("scripted:echo", home=home) as session:
    session.map(["a", "b"], "Label: {value}")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    session.map(source, "Label: {text}", out=out, concurrency=64)
print(json.dumps([before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""
Line = tuple[str, str, str, str]
Seconds = tuple[float, float]


def timed(work: Callable[[], object]) -> Seconds:
    """Wall and CPU seconds of the best of ROUNDS runs."""
    found = []
    for _ in range(ROUNDS):
        start, started = time.perf_counter(), time.process_time()
        work()
        found.append((time.perf_counter() - start, time.process_time() - started))
    return min(wall for wall, _ in found), min(cpu for _, cpu in found)


def shown(seconds: Seconds) -> str:
    return f"{seconds[0]:.2f} s ({seconds[1]:.2f} CPU)"


def plain(path: Path, names: tuple[str, ...]) -> Callable[[], object]:
    """Read stored columns into a frame with sqlite3 and pandas alone."""
    stored = ", ".join(COLUMNS[name].stored for name in names)

    def read() -> pd.DataFrame:
        connection = sqlite3.connect(path)
        try:
            return pd.read_sql_query(f"SELECT {stored} FROM calls", connection)  # noqa: S608 - fixed names
        finally:
            connection.close()

    return read


def scan(path: Path) -> Callable[[], object]:
    """One sum over all calls, which reads every page of the table."""

    def read() -> object:
        connection = sqlite3.connect(path)
        try:
            return connection.execute("SELECT sum(input_tokens) FROM calls").fetchone()
        finally:
            connection.close()

    return read


def reports(path: Path) -> list[Line]:
    """Table rows for frames and sums of a log."""
    log = UsageLog(path, options=Log(max_rows=None))
    size = f"of {ROWS:,} calls"
    ten, all_of_them = timed(plain(path, TEN)), timed(plain(path, DEFAULT_COLUMNS))
    one_scan = f"one sum over all calls {shown(timed(scan(path)))}"
    found = [
        ("usage() with 10 columns", timed(lambda: frames.usage(log, columns=TEN)), ten, 2.0),
        ("usage() with all", timed(lambda: frames.usage(log)), all_of_them, 6.0),
    ]
    table = [
        (
            f"{name} {size}",
            f"{shown(taken)}, {taken[1] / peer[1]:.2f} of",
            f"read_sql_query {shown(peer)}",
            f"<= {goal:g} s",
        )
        for name, taken, peer, goal in found
    ]
    sums = [
        ("costs() by model and day", lambda: totals.costs(log, ["request_model", "day"]), "<= 0.05 s"),
        ("costs() by user", lambda: totals.costs(log, "user"), "<= 0.5 s"),
        ("costs() by finish_reason and user", lambda: totals.costs(log, ["finish_reason", "user"]), "-"),
        ("errors() by type", lambda: totals.errors(log, "error_type"), "-"),
        ("summary() of 61 days", lambda: summary(log, days=61), "-"),
    ]
    table += [(f"{name} {size}", shown(timed(work)), one_scan, goal) for name, work, goal in sums]
    log.close()
    return table


def printed(code: str, *arguments: str, seconds: float) -> list[list[float]]:
    """Last line that code prints in its own process, parsed as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    return json.loads(done.stdout.splitlines()[-1])


def board(home: Path) -> Line:
    """Table row for the board in a new process."""
    first, chart, again = printed(BOARD, str(home), seconds=300)
    return (
        f"board over {ROWS:,} calls: numbers; first chart",
        f"{shown(first)}; {shown(chart)}",
        f"all of it again {shown(again)}",
        "<= 0.5 s",
    )


def memory(folder: Path) -> Line:
    """Table row for the peak memory of a batch from one CSV file to another."""
    source = folder / "in.csv"
    with source.open("w") as file:
        file.write("id,text\n")
        file.writelines(f"{number},This is review number {number} of the shop\n" for number in range(ROWS))
    places = (str(source), str(folder / "out.csv"), str(folder / "batch"))
    before, peak = printed(BATCH, *places, seconds=7_200)
    return (
        f"batch of {ROWS:,} rows, file to file: memory beyond",
        f"{peak - before:.0f} MB",
        f"a session with two calls {before:.0f} MB",
        "<= 150 MB",
    )


def rows() -> list[Line]:
    """Table rows: name, measured figure, peer or limit in the same run, goal."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name) / "home"
        home.mkdir()
        fill(home / "usage.sqlite3", ROWS)
        return [*reports(home / "usage.sqlite3"), board(home), memory(Path(name))]


if __name__ == "__main__":
    for line in rows():
        print(" | ".join(line))
