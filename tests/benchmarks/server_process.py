"""Server for benchmarks: the tests' fault server in its own process, with OpenAI's rate headers."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVE = """
import sys
from tests.fault_server import FaultServer
with FaultServer(record=False, delay_seconds={}, rate_headers=True) as server:
    print(server.base_url, flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def server(latency_seconds: float = 0.0) -> Iterator[str]:
    """Base URL of a server of which every answer takes `latency_seconds`."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE.format(latency_seconds)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait(10)
