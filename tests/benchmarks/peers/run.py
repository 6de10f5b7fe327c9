"""Compare batches of ainb and other packages against one server with latency: ``make bench-peers``.

Each package runs 1,000 prompts with 64 in flight, in the way that its documentation shows. ainb runs with
this Python, curator with the one of the second argument, other peers with the one of the first. Times depend
on the machine and its load, so compare the ratios.
"""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
HERE = Path(__file__).parent
ROWS, AT_ONCE, LATENCY_SECONDS = 1_000, 64, 0.3
IDEAL_SECONDS = ROWS / AT_ONCE * LATENCY_SECONDS
SERVE = """
import sys
from tests.fault_server import FaultServer
with FaultServer(record=False, delay_seconds={}, rate_headers=True) as server:
    print(server.base_url, flush=True)
    sys.stdin.read()
"""


def measured(python: str, name: str, base_url: str) -> list[str]:
    """Version, seconds of the first and the second batch, answered rows; or one text with the error."""
    done = subprocess.run(
        [python, str(HERE / f"{name}_batch.py"), base_url, str(ROWS), str(AT_ONCE)],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "OPENAI_API_KEY": "made-up", "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode:
        return [done.stderr.strip().rpartition("\n")[2][:80]]
    return done.stdout.split()[-4:]


def main() -> None:
    peers, curator = sys.argv[1:]
    own = sys.executable
    pythons = {"aiohttp": own, "openai": peers, "curator": curator, "litellm": peers, "ainb": own}
    server = subprocess.Popen(
        [sys.executable, "-c", SERVE.format(LATENCY_SECONDS)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        base_url = server.stdout.readline().strip()
        print(
            f"{dt.date.today()}, Python {sys.version.split()[0]}: {ROWS:,} rows, {AT_ONCE} in flight, "  # noqa: DTZ011
            f"{LATENCY_SECONDS * 1000:.0f} ms latency, ideal {IDEAL_SECONDS:.1f} s"
        )
        for name, python in pythons.items():
            began = time.monotonic()
            found = measured(python, name, base_url)
            if len(found) == 1:
                print(f"{name:10s}  {found[0]}  ({time.monotonic() - began:.0f} s)")
                continue
            version, first, second, answered = found
            ratios = [
                f"{float(seconds):6.2f} s ({float(seconds) / IDEAL_SECONDS:.2f})"
                for seconds in (first, second)
            ]
            print(f"{name:10s}  {version:10s}  first {ratios[0]}  second {ratios[1]}  {answered} answered")
    finally:
        server.stdin.close()
        server.wait(10)


if __name__ == "__main__":
    main()
