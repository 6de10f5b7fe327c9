"""Script of the child process: serves one GGUF file on a loopback port, and ends with its parent.

`ainb.providers.local.child` starts it by its path. It imports nothing of ainb, so that it needs only the
interpreter and xllamacpp. It reads one line of JSON from stdin (with the API key, which a command line would
show in the process list) and writes one line with the server's URL to stdout; its log goes to stderr.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from typing import Any

PARENT_CHECK_SECONDS = 1.0
ERRORS_ONLY = 1


def main() -> None:
    """Serve until stdin is closed or the parent has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupted cell cancels its call, not the server
    out = os.dup(1)
    os.dup2(2, 1)  # output of the library goes to the log
    setup = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    sys.path.append(setup["library"])
    try:
        server = start(setup)
    except Exception as error:  # noqa: BLE001 - any exception becomes the last line of the log
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
        os._exit(1)  # a normal exit takes a second
    os.write(out, json.dumps({"url": server.listening_address}).encode() + b"\n")
    os.close(out)
    # stdin stays open while a fork of the parent holds its other end: the parent's process id is checked too.
    tick = threading.Event()
    while os.getppid() == setup["parent"]:
        tick.wait(PARENT_CHECK_SECONDS)
    os._exit(0)


def start(setup: dict[str, Any]) -> Any:
    """Start the server on a port that the system chooses."""
    import xllamacpp

    options = xllamacpp.CommonParams()
    options.model.path = setup["weights"]
    options.hostnames = ["127.0.0.1"]
    options.port = 0
    options.api_keys = [setup["key"]]
    options.n_parallel = setup["slots"]
    options.n_ctx = setup["slots"] * setup["context_tokens"]
    # A cache shared by all slots is a little faster, but makes an answer depend on the other slots: of 32
    # greedy answers 16-23 differed between two runs; with one cache per slot none did.
    options.kv_unified = False
    options.cache_ram_mib = 0  # otherwise up to 8 GB of old prompts are kept
    options.cpuparams.n_threads = setup["threads"]
    options.cpuparams_batch.n_threads = setup["threads"]
    options.ui = False
    options.verbosity = ERRORS_ONLY
    return xllamacpp.Server(options)


def _end_with_stdin() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main()
