"""Helpers of the Redis tests: a real server to start, stop and freeze, and sessions in child processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

PATIENCE_SECONDS = 60
ROOT = Path(__file__).parents[3]
# Read before a fixture removes every option from the environment.
REQUIRED = "redis" in os.environ.get("AINB_TEST_REQUIRE", "")


def require_server() -> str:
    """Path of redis-server. Without it the test is skipped, or fails if the environment requires Redis."""
    program = shutil.which("redis-server")
    if program is None:
        reason = "redis-server is not installed; apt-get install redis-server"
        if REQUIRED:
            pytest.fail(reason)
        pytest.skip(reason)
    return program


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A server without persistence: a restart loses all data."""

    def __init__(self, folder: Path, *, password: str | None = None):
        self.program = require_server()
        self.folder = folder
        self.password = password
        self.port = free_port()
        self.process = None
        self.children = []
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self):
        words = [
            self.program,
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            str(self.folder),
        ]
        if self.password:
            words += ["--requirepass", self.password]
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        give_up = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < give_up:
            assert self.process.poll() is None, f"redis-server ended; port {self.port} may be in use"
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as line:
                    line.sendall(b"PING\r\n")
                    if line.recv(64):
                        return
            except OSError:
                time.sleep(0.02)
        raise AssertionError("redis-server did not start")

    def freeze(self):
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self):
        os.kill(self.process.pid, signal.SIGCONT)

    def stop(self):
        if self.process.poll() is None:
            self.thaw()
            self.process.kill()
            self.process.wait(PATIENCE_SECONDS)

    def close(self):
        """End the server and every remaining child process."""
        self.stop()
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.wait(PATIENCE_SECONDS)
            child.stdout.close()
            child.stdin.close()

    def restart(self):
        self.stop()
        self.start()

    def ask(self, *words):
        """Run a command with a plain client."""
        import redis

        with redis.Redis(
            port=self.port, password=self.password, decode_responses=True, socket_timeout=PATIENCE_SECONDS
        ) as client:
            return client.execute_command(*words)


HEAD = """
import asyncio, json, os, sys, time
from decimal import Decimal
import ainb
from ainb.config import Config
from ainb.session import Session
from ainb.runtime import Runtime
from ainb.stores.redis.address import parse_state
said = []
def session(**options):
    options.setdefault("circuit", None)
    made = Session("openai:gpt-4o", state=sys.argv[1], home=sys.argv[2], runtime=Runtime(sink=said.append), **options)
    return made
def report(**found):
    print(json.dumps(found, default=str), flush=True)
"""  # noqa: E501


def state(session):
    """The status row of the shared state."""
    return next(row for row in session.state() if row["part"] == "state")


def until(condition):
    """Wait for a condition, at most `PATIENCE_SECONDS`."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < give_up, "the condition was not met in time"
        time.sleep(0.02)


def spawn(server: Server, home: Path, body: str, *more: object) -> subprocess.Popen:
    """Start a process that runs `body` with a new session and prints JSON lines."""
    text = textwrap.dedent(HEAD) + textwrap.dedent(body)
    words = [sys.executable, "-c", text, server.url, str(home), *map(str, more)]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ)
    server.children.append(child)
    return child


def last_words(process: subprocess.Popen) -> dict:
    out, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0
    return json.loads(out.strip().splitlines()[-1])


# A process that pays for an answer; its arguments are the seconds this takes, and its name.
HOLDER = """
s = session(rate_limit=None)
@s.guard(model="shared")
async def answer(prompt):
    print("paying", flush=True)
    await asyncio.sleep(float(sys.argv[3]))
    return "done by " + sys.argv[4]
report(text=asyncio.run(answer("the same")))
s.close()
"""
