"""Longest blocking of the session's event loop by ainb, by kind of call.

The server runs in its own process; figures are CPU time, the best of CALLS calls of each kind.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile

from bench_latency import server

CODE = """
import asyncio, base64, json, os, random, sys, threading, time
import ainb
from ainb.engine import ENGINE

CALLS = 3
longest = 0.0
run = asyncio.events.Handle._run

def timed(self):
    global longest
    start = time.thread_time()
    run(self)
    if threading.current_thread() is ENGINE._thread:
        longest = max(longest, time.thread_time() - start)

def picture(size):
    url = "data:image/png;base64," + base64.b64encode(random.Random(1).randbytes(size)).decode()
    return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]

def long(text):
    return lambda number: f"{number} " + (text * 120_000)[:120_000]

fields = {f"field_{number}": {"type": "string", "description": "what it holds"} for number in range(300)}
schema = {"type": "object", "properties": fields}
tool = {"type": "function", "function": {"name": "look", "description": "looks up " * 20, "parameters": schema}}
rate = {"rate_limit": ainb.RateLimit(tokens_per_minute=10**9)}
prose = long("the quick brown fox, 1 + 1 = 2. ")
keys = long("api_key=sk-abc123def456ghi789jkl012mno345 ")
cases = [
    ("a short prompt", lambda number: f"hello {number}", {}, rate),
    ("120,000 characters", prose, {}, rate),
    ("120,000 characters, Anthropic", prose, {"model": "anthropic:claude-haiku-4-5"}, rate),
    ("120,000 characters under a budget", prose, {}, {"budget": ainb.Budget(usd=10)}),
    ("120,000 Chinese characters", long("你好世界"), {"model": "openai:gpt-4.1-mini"}, rate),
    ("120,000 characters of combining marks", long("e\\u0301\\u0327"), {"model": "openai:gpt-4.1-mini"}, rate),
    ("120,000 characters of keys", keys, {"model": "openai:gpt-4.1-mini"}, rate),
    ("a picture of 1 MB", lambda number: picture(1_000_000 + number), {}, rate),
    ("20 tools of 300 parameters", lambda number: f"use {number}", {"tools": [tool] * 20}, rate),
    ("a schema of 300 fields", lambda number: f"fill {number}", {"schema": schema}, rate),
    ("a streamed reply of 1,000 words at once", lambda number: f"{number} " + "word " * 1_000,
        {"on_text": lambda text: None}, rate),
]
asyncio.events.Handle._run = timed
table = []
for name, prompt, options, limits in cases:
    best = []
    with ainb.Session("openai:gpt-4o-mini", home=sys.argv[1], **limits) as session:
        for number in range(-1, CALLS):
            longest = 0.0
            try:
                session.ask(prompt(number), **options)
            except ainb.InvalidReplyError:
                pass  # the server repeats the prompt
            best.append(longest)
    table.append([name, min(best[1:])])
print(json.dumps(table))
"""


def rows() -> list[tuple[str, str, str, str]]:
    """Table rows: name, measured figure, peer or limit in the same run, goal."""
    with tempfile.TemporaryDirectory() as home, server(0.0) as base_url:
        environment = {
            **os.environ,
            "OPENAI_API_KEY": "made-up-for-the-benchmark",
            "ANTHROPIC_API_KEY": "made-up-for-the-benchmark",
            "AINB_API_BASE": base_url,
            "AINB_HOME": home,
        }
        done = subprocess.run(
            [sys.executable, "-c", CODE, home], env=environment, capture_output=True, text=True, check=True
        )
    (_, short), *found = json.loads(done.stdout.splitlines()[-1])
    beside = f"a short prompt {short * 1e3:.1f} ms"
    return [
        (f"longest callback: {name}", f"{seconds * 1e3:.1f} ms", beside, "<= 2 ms") for name, seconds in found
    ]


if __name__ == "__main__":
    for row in rows():
        print(*row, sep=" | ")
