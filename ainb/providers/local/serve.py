"""The child process: serves one GGUF file on a loopback port, and ends with its parent.

Started by `llama_child`, by path.

It imports nothing of ainb, so that it runs wherever the interpreter and xllamacpp are. One line of JSON comes
in on stdin (the API key with it, so that no process list shows it), one line with the server's URL goes out;
everything else goes to stderr.
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
    """Serve until stdin ends or the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # stopping a cell stops a call, not the server
    out = os.dup(1)
    os.dup2(2, 1)  # whatever the library prints is log
    setup = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    sys.path.append(setup["library"])
    try:
        server = start(setup)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the last line of the log
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
        os._exit(1)  # an orderly end takes a second
    os.write(out, json.dumps({"url": server.listening_address}).encode() + b"\n")
    os.close(out)
    # stdin does not end while a fork of the parent still holds its other end; the parent's number tells then.
    tick = threading.Event()
    while os.getppid() == setup["parent"]:
        tick.wait(PARENT_CHECK_SECONDS)
    os._exit(0)


def start(setup: dict[str, Any]) -> Any:
    """The running server, on a port that the system chose."""
    import xllamacpp

    options = xllamacpp.CommonParams()
    options.model.path = setup["weights"]
    options.hostnames = ["127.0.0.1"]
    options.port = 0
    options.api_keys = [setup["key"]]
    options.n_parallel = setup["slots"]
    options.n_ctx = setup["slots"] * setup["context_tokens"]
    # A cache that all slots share is a little faster, but then what a slot answers depends on its neighbours:
    # of 32 greedy answers 16-23 differed between two runs; with a cache of its own for each slot none did.
    options.kv_unified = False
    options.cache_ram_mib = 0  # else up to 8 GB of old prompts are kept
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
