"""CPU time of the first ``%%ai`` in a new process, compared with import and first call of the openai SDK.

CPU seconds of the process include the import of every module, and are independent of other load.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from importlib.util import find_spec

from tests.fault_server import FaultServer

ROUNDS = 3
OURS = """
import contextlib, io, time
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_cell("1 + 1;")
times = [time.process_time()]
shell.run_line_magic("load_ext", "ainb")
times.append(time.process_time())
with contextlib.redirect_stdout(io.StringIO()):
    shell.run_cell_magic("ai", "openai:gpt-4o-mini", "hello there")
    times.append(time.process_time())
    for number in range(20):
        shell.run_cell_magic("ai", "openai:gpt-4o-mini", f"hello {number}")
    times.append(time.process_time())
print(times[1] - times[0], times[2] - times[1], (times[3] - times[2]) / 20)
"""
PEER = """
import time
start = time.process_time()
import openai
client = openai.OpenAI()
client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "hello there"}])
print(time.process_time() - start)
"""


def numbers(code: str, base_url: str) -> list[float]:
    """The numbers that a new process prints."""
    with tempfile.TemporaryDirectory() as home:
        environment = {
            **os.environ,
            "OPENAI_API_KEY": "made-up-for-the-benchmark",
            "OPENAI_BASE_URL": base_url,
            "AINB_API_BASE": base_url,
            "AINB_HOME": home,
            "IPYTHONDIR": home,
        }
        printed = subprocess.run(
            [sys.executable, "-c", code, home], env=environment, capture_output=True, text=True, check=True
        ).stdout
    return [float(word) for word in printed.splitlines()[-1].split()]


def rows() -> list[tuple[str, str, str, str]]:
    """Table rows: name, measured figure, peer or limit in the same run, goal."""
    with FaultServer(record=False) as server:
        found, peers = [], []
        for _ in range(ROUNDS):
            found.append(numbers(OURS, server.base_url))
            if find_spec("openai") is not None:
                peers += numbers(PEER, server.base_url)
    load, first, later = (statistics.median(values) * 1e3 for values in zip(*found, strict=True))
    peer = statistics.median(peers) * 1e3 if peers else None
    beside = "the openai SDK is not installed" if peer is None else f"openai SDK {peer:.0f} ms"
    ratio = "" if peer is None else f" ({first / peer:.2f} of the SDK)"
    return [
        ("%load_ext, CPU", f"{load:.1f} ms", "-", "<= 20 ms"),
        ("first %%ai over HTTP in a fresh process, CPU", f"{first:.0f} ms{ratio}", beside, "< the SDK"),
        ("later %%ai over HTTP, CPU", f"{later:.2f} ms", "-", "-"),
    ]


if __name__ == "__main__":
    for row in rows():
        print(*row, sep=" | ")
