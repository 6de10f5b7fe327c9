"""Cost of the magics in real kernels: loading, the first cell, each later cell, and an interrupt."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from jupyter_client.manager import start_new_kernel

WAIT_SECONDS = 30
ROUNDS = 3
CLOCKED = "import time; _t = time.perf_counter(); {}; print((time.perf_counter() - _t) * 1000)"
LOAD = "get_ipython().run_line_magic('load_ext', 'ainb')"
ASK = "get_ipython().run_cell_magic('ai', 'scripted:echo -o x', 'hello')"
PASS = "get_ipython().run_cell_magic('capture', 'x', 'pass')"
MANY = """
import time, statistics
def many(code, n=200):
    times = []
    for _ in range(n):
        began = time.perf_counter()
        exec(code)
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000
print(many({!r}))
"""


class _Kernel:
    def __init__(self) -> None:
        self.manager, self.client = start_new_kernel(kernel_name="python3")

    def printed(self, code: str) -> float:
        lines: list[str] = []

        def hook(message: dict) -> None:
            if message["msg_type"] == "stream" and message["content"]["name"] == "stdout":
                lines.append(message["content"]["text"])

        self.client.execute_interactive(code, timeout=WAIT_SECONDS, output_hook=hook, allow_stdin=False)
        return float("".join(lines).split()[-1])

    def interrupted(self) -> float:
        """Milliseconds from the interrupt to the kernel's answer."""
        self.client.execute_interactive(
            "from ainb.testing import script, Step\n_ = script('slow', [Step(hang=True)])",
            timeout=WAIT_SECONDS,
        )
        self.client.execute("%%ai scripted:slow\nhi")
        time.sleep(0.7)
        began = time.perf_counter()
        self.manager.interrupt_kernel()
        while self.client.get_shell_msg(timeout=WAIT_SECONDS)["content"]["status"] != "error":
            pass
        return (time.perf_counter() - began) * 1000

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()


def _measure() -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        kernel = _Kernel()
        steps: dict[str, Callable[[], float]] = {
            "load": lambda kernel=kernel: kernel.printed(CLOCKED.format(LOAD)),
            "first": lambda kernel=kernel: kernel.printed(CLOCKED.format(ASK)),
            "later": lambda kernel=kernel: kernel.printed(MANY.format(ASK)),
            "nothing": lambda kernel=kernel: kernel.printed(MANY.format(PASS)),
            "interrupt": kernel.interrupted,
        }
        try:
            for name, step in steps.items():
                found.setdefault(name, []).append(step())
        finally:
            kernel.close()
    return found


def rows() -> list[tuple[str, str, str, str]]:
    """Table rows: name, measured figure, peer or limit in the same run, goal."""
    middle = {name: statistics.median(values) for name, values in _measure().items()}
    return [
        ("%load_ext ainb in a running kernel", f"{middle['load']:.1f} ms", "-", "<= 20 ms"),
        ("first %%ai in a fresh kernel", f"{middle['first']:.0f} ms", "-", "<= 300 ms"),
        (
            "%%ai after that, median",
            f"{middle['later']:.2f} ms",
            f"{middle['nothing']:.2f} ms (%%capture of nothing)",
            "<= 1 ms",
        ),
        ("interrupt of a waiting cell", f"{middle['interrupt']:.0f} ms", "-", "<= 300 ms"),
    ]


if __name__ == "__main__":
    for row in rows():
        print(*row, sep=" | ")
