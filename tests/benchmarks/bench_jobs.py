"""A batch job of 50,000 rows: time spent in ainb, and memory beyond input and output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import textwrap

ROWS = 50_000
SERVE = """
import sys
from tests.jobs.batch_server import BatchServer
with BatchServer() as server:
    print(server.base_url, flush=True)
    sys.stdin.read()
"""
RUN = textwrap.dedent(
    """
    import json, pathlib, resource, sys, time
    import pandas as pd
    import ainb
    from ainb import pricing
    from ainb.config import load_config

    url, home, rows, as_jobs = json.loads(sys.argv[1])
    prices = {"openai:m": {"input_usd_per_million": 2, "output_usd_per_million": 8}}
    config = load_config({"prices": prices, "batch_poll_seconds": 0.05, "home": pathlib.Path(home)})
    session = ainb.Session("openai:m", api_base=url, config=config, cache=None)
    pricing.preload()
    data = pd.DataFrame({"text": [f"row {n} " + "x" * 200 for n in range(rows)]})
    seen, started = {}, time.perf_counter()

    def watch(progress):
        for job in progress.jobs:
            seen.setdefault(job.state, time.perf_counter() - started)

    if as_jobs:
        frame = session.map(data, "Classify: {text}", batch_api=True, watcher=watch)
        assert (frame["status"] == "ok").all() and len(frame) == rows
    else:  # what input and output take, with everything loaded that a run loads
        session.map(data.head(10), "Classify: {text}", batch_api=True)
        frame = pd.DataFrame({"reply": pd.array(["Classify: " + text for text in data["text"]], dtype="string")})
    print(json.dumps([seen, time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
    session.close()
    """
)


def run(url: str, *, as_jobs: bool) -> list:
    """States with their start times in seconds, total seconds, peak MB."""
    with tempfile.TemporaryDirectory() as home:
        words = json.dumps([url, home, ROWS, as_jobs])
        environment = {**os.environ, "OPENAI_API_KEY": "nobody", "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-c", RUN, words], env=environment, check=True, capture_output=True, text=True
        )
    return json.loads(done.stdout)


def rows() -> list[tuple[str, str, str, str]]:
    """Table rows: name, measured figure, peer or limit in the same run, goal."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        url = process.stdout.readline().strip()
        _, _, base = run(url, as_jobs=False)
        seen, total, peak = run(url, as_jobs=True)
    finally:
        process.stdin.close()
        process.wait(60)
    building, upload = seen["planned"], seen["submitted"] - seen["planned"]
    merge = seen["merged"] - seen["fetched"]
    name = f"batch job of {ROWS:,} rows"
    return [
        (f"{name}: building", f"{building:.1f} s", f"{building / ROWS * 1e6:.0f} us a row", "-"),
        (f"{name}: upload and creation", f"{upload:.1f} s", "the server's part included", "-"),
        (f"{name}: merge, log and journal", f"{merge:.1f} s", f"{merge / ROWS * 1e6:.0f} us a row", "-"),
        (f"{name}: in all", f"{total:.1f} s", "-", "-"),
        (f"{name}: memory beyond input and output", f"{peak - base:.0f} MB", f"{base:.0f} MB without", "-"),
    ]
