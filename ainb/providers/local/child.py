"""Child process of one llama.cpp server: options, start, log and shutdown."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
from collections import deque
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path

from ainb.errors import ConfigError, PermanentProviderError
from ainb.fork import new_event

LIBRARY = "xllamacpp"
LOG_LINES = 50
# Threads that spin while they wait for each other starve when other processes use the cores: on 2 cores with
# 6 busy processes an answer took 10-20 times as long as with threads that sleep.
SLEEPING_THREADS = {"OMP_WAIT_POLICY": "passive"}
GONE_SECONDS = 1.0
_STAMP = re.compile(r"^\d+\.\d+\.\d+\.\d+ ([A-Z]) ")
_LOG_PREFIX = re.compile(r"^(?:\S+: |(?:cmn|srv|slot|que) +\S+: )+(?:error loading model: )?")


@dataclass(frozen=True, kw_only=True)
class Local:
    """How llama.cpp serves the models of this machine.

    Attributes:
        slots: Calls answered at the same time; 1 to 64.
        context_tokens: Context of each slot, prompt and reply together; at least 256. Memory grows with it.
        threads: 1 to 1024; None means one per core.
        start_seconds: Time limit for loading a model; above 0.

    Raises:
        ConfigError: A value is out of its range.
    """

    slots: int = 4
    context_tokens: int = 4096
    threads: int | None = None
    start_seconds: float = 60.0

    def __post_init__(self) -> None:
        _check_whole("slots", self.slots, 1, 64)
        _check_whole("context_tokens", self.context_tokens, 256, 1 << 20)
        if self.threads is not None:
            _check_whole("threads", self.threads, 1, 1024)
        _check_seconds("start_seconds", self.start_seconds)


def _check_seconds(name: str, value: object) -> None:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 < value <= threading.TIMEOUT_MAX
    ):
        raise ConfigError(f"{name} must be a number of seconds above 0; it is {value!r}")


def _check_whole(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ConfigError(f"{name} must be a whole number from {low} to {high}; it is {value!r}")


class Process:
    """A child process that serves a model, or that has ended.

    Attributes:
        key: API key, known to this process and the child only.
        url: Base URL, such as "http://127.0.0.1:40123"; empty until it is ready.
        answered: Whether it has answered a call.
        counted: Whether its death was counted.
        gone: Future that is done when the child has ended.
    """

    def __init__(self, weights: Path, options: Local) -> None:
        self.key = secrets.token_urlsafe(32)
        self.url = ""
        self.answered = False
        self.counted = False
        self.gone: Future[None] = Future()
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        setup = {
            "weights": str(weights),
            "key": self.key,
            "slots": options.slots,
            "context_tokens": options.context_tokens,
            "threads": options.threads or _cores(),
            "parent": os.getpid(),
            "library": _library_folder(),
        }
        self._child = subprocess.Popen(  # noqa: S603 - our own interpreter, our own file
            [sys.executable, "-P", str(Path(__file__).with_name("serve.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**SLEEPING_THREADS, **os.environ},
            bufsize=0,  # buffered pipes have locks, which a fork could inherit locked
            start_new_session=True,  # an interrupt of a cell is sent to the kernel's whole process group
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        threading.Thread(target=self._listen, name="ainb-llama-log", daemon=True).start()
        self._load(setup, options.start_seconds)

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._child.pid

    @property
    def last_log_line(self) -> str:
        """Last line of its log, or how it ended."""
        code = self._child.poll()
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                return f"it was ended by {signal.Signals(-code).name}"
        return _readable(self._log[-1]) if self._log else f"it ended with code {code} and logged nothing"

    def end(self) -> None:
        """Request shutdown; `gone` is done once the child has ended."""
        assert self._child.stdin is not None  # noqa: S101 - a pipe was asked for
        with contextlib.suppress(OSError):
            self._child.stdin.close()

    def kill(self) -> None:
        """Kill it."""
        self._child.kill()

    def _load(self, setup: dict[str, object], seconds: float) -> None:
        assert self._child.stdin is not None  # noqa: S101 - a pipe was asked for
        assert self._child.stdout is not None  # noqa: S101 - a pipe was asked for
        overdue = new_event()

        def give_up() -> None:
            overdue.set()
            self.kill()

        timer = threading.Timer(seconds, give_up)
        timer.daemon = True
        timer.start()
        line = b""
        with contextlib.suppress(OSError):
            self._child.stdin.write(json.dumps(setup).encode() + b"\n")
            line = self._child.stdout.readline()
        timer.cancel()
        self._child.stdout.close()
        if line:
            self.url = json.loads(line)["url"]
            return
        self.kill()
        wait([self.gone], GONE_SECONDS)
        name = Path(str(setup["weights"])).name
        if overdue.is_set():
            raise PermanentProviderError(
                f"local: llama.cpp did not load {name} within {seconds:g} s; use a smaller model or raise "
                "start_seconds"
            )
        raise PermanentProviderError(
            f"local: llama.cpp cannot load {name}: {self._cause()}; give another GGUF file, or pull the "
            "model again"
        )

    def _cause(self) -> str:
        """The first error in the log; later ones only repeat it."""
        errors = [line for line in self._log if (stamp := _STAMP.match(line)) and stamp.group(1) == "E"]
        return _readable(errors[0]) if errors else self.last_log_line

    def _listen(self) -> None:
        assert self._child.stderr is not None  # noqa: S101 - a pipe was asked for
        with self._child.stderr as pipe, contextlib.suppress(OSError, ValueError):
            for line in iter(pipe.readline, b""):
                if text := line.decode("utf-8", "replace").strip():
                    self._log.append(text)
        self._child.wait()
        self.end()
        self.gone.set_result(None)


def _library_folder() -> str:
    spec = importlib.util.find_spec(LIBRARY)
    if spec is None or spec.origin is None:
        raise ConfigError(
            "local models need llama.cpp, which is not installed; pip install 'ainb-notebook[local]'"
        )
    return str(Path(spec.origin).parent.parent)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _readable(line: str) -> str:
    """A line of llama.cpp's log without time stamp and function names."""
    return _LOG_PREFIX.sub("", _STAMP.sub("", line)) or line
