"""HTTP server on loopback with the OpenAI chat protocol, and Anthropic's under ``/messages``, that fails on
request.

    with FaultServer([503, Fault(status=429, retry_after=0.2), "hello"]) as server:
        session.ask("hi", model="openai:any", api_base=server.base_url)     # OPENAI_API_KEY must be set to
        something
    assert server.hits == 3

`FaultServer(plan)` runs an event loop in its own thread, so both blocking and asynchronous code can call it.

The plan sets the outcome of each chat call (every POST, whatever its path), in the order of arrival:

- ``None``: the reply to every call is the text of its last message (an echo);
- a list of steps, one per call, the last one repeated: an int fails with that status, a str is the reply,
  a `Fault` is anything else;
- a function ``(Seen) -> step``, called on the server's thread; `random_plan(seed, ...)` makes one from
  probabilities.

A step is played for plain and streamed calls alike (``"stream": true`` in the body gives server-sent events,
one per word, and a usage chunk if ``stream_options.include_usage`` is set). ``GET …/models`` lists
`models`, whatever the plan.

`requests_per_minute` (token bucket of `burst`) and `window` (at most N calls in any S seconds) are rate
limits of the server: a call above them is answered 429 with Retry-After and rate-limit headers, and does
not use up a step of the plan.

Counters: `hits` (chat calls, including refused ones), `served` (answered 200), `limited` (refused by the
rate limits), `in_flight` and `peak` (most calls at once), `requests` (each call as `Seen`; switched off with
``record=False``), `wait_for_hits(n)`. With no plan, no limit and ``record=False`` an answer takes a few
microseconds, as the benchmarks need.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal, Self

import orjson

START_SECONDS = 10.0
ROOMY_REQUESTS = 60_000_000
ROOMY_TOKENS = 60_000_000_000
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)

Action = Literal[
    "answer", "reset", "cut", "hang", "garbage", "html", "empty", "no_choices", "wrong_types", "not_http"
]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Outcome of one chat call.

    Attributes:
        action: "answer" (with `status`); "reset" the connection before any byte; "cut" it after half the body
            or the first streamed words; "hang" without a byte until the server stops; "garbage" JSON with
            status 200; an "html" page with `status`; an "empty" body; "no_choices"; "wrong_types" all over
            the body; "not_http" bytes.
        status: HTTP status; anything but 200 gives an error body.
        text: The reply; None repeats the last message.
        body: Replaces the usual body: bytes are sent unchanged, anything else as JSON.
        code: ``error.code`` of the error body.
        message: ``error.message`` of the error body.
        headers: More response headers.
        retry_after: Value of the Retry-After header, or None for no header.
        delay_seconds: Delay before the response starts.
        chunk_seconds: Delay before each streamed event.
        finish_reason: ``finish_reason`` of the choice.
        chunk_bytes: Send the body in pieces of this many bytes, each in its own packet where possible; None
            sends it at once.
    """

    action: Action = "answer"
    status: int = 200
    text: str | None = None
    body: Any = field(default=None, hash=False)
    code: str | None = None
    message: str = "the server was told to fail"
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    retry_after: float | str | None = None
    delay_seconds: float = 0.0
    chunk_seconds: float = 0.0
    finish_reason: str = "stop"
    chunk_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """One received request.

    Attributes:
        method: "GET" or "POST".
        path: Path and query.
        headers: Lower-case names.
        raw: The body as bytes.
        at: Monotonic time of arrival, in seconds.
    """

    method: str
    path: str
    headers: dict[str, str]
    raw: bytes
    at: float

    @property
    def body(self) -> Any:
        """The body, parsed as JSON."""
        return orjson.loads(self.raw)


Step = Fault | int | str
Plan = Callable[[Seen], Step] | Sequence[Step] | None
ANSWER = Fault()


def random_plan(seed: int, faults: Mapping[Step, float]) -> Callable[[Seen], Step]:
    """Make a plan that fails with the given probabilities and answers otherwise.

    Args:
        seed: The same seed gives the same order of steps.
        faults: Probability of each step; they sum to at most 1.
    """
    rng = random.Random(seed)
    steps: list[Step] = [*faults, ANSWER]
    weights = [*faults.values(), max(0.0, 1.0 - sum(faults.values()))]
    return lambda _seen: rng.choices(steps, weights)[0]


class FaultServer:
    """The server, a context manager. See the docstring of the module.

    Args:
        plan: Outcomes of the chat calls.
        requests_per_minute: Rate of its token bucket; None means no such limit.
        burst: Size of the bucket; None means max(1, requests_per_minute / 6).
        window: (calls, seconds): no more than `calls` in any `seconds`; None means no such limit.
        delay_seconds: Latency of every answer.
        models: Names that ``GET /models`` lists.
        api_key: The key that requests must carry (else 401); None accepts any.
        refuse_stream_options: Answer 400 to calls with ``stream_options``, as old servers do.
        record: Keep the received requests in `requests`.
        rate_headers: Send OpenAI's six rate headers with every answer, with limits too high to delay calls.
    """

    def __init__(
        self,
        plan: Plan = None,
        *,
        requests_per_minute: float | None = None,
        burst: float | None = None,
        window: tuple[int, float] | None = None,
        delay_seconds: float = 0.0,
        models: Iterable[str] = ("fault-1", "fault-2"),
        api_key: str | None = None,
        refuse_stream_options: bool = False,
        record: bool = True,
        rate_headers: bool = False,
    ) -> None:
        self.plan = plan
        self.delay_seconds = delay_seconds
        self.models = list(models)
        self.api_key = api_key
        self.refuse_stream_options = refuse_stream_options
        self.record = record
        self.rate_headers = rate_headers
        self.requests: list[Seen] = []
        self.hits = self.served = self.limited = self.in_flight = self.peak = self.played = 0
        self.port = 0
        self.base_url = ""
        self._bucket = None if requests_per_minute is None else _Bucket(requests_per_minute, burst)
        self._window = None if window is None else _Window(*window)
        self._connections: set[_Connection] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="fault-server", daemon=True)
        self._ready = threading.Event()

    @property
    def fast(self) -> bool:
        """Whether the answer depends on nothing but the prompt."""
        limits = self._bucket or self._window or self.api_key or self.refuse_stream_options
        return self.plan is None and not limits and not self.record and not self.delay_seconds

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(START_SECONDS):
            raise RuntimeError("the fault server did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop)
        self._thread.join(START_SECONDS)

    def wait_for_hits(self, count: int, seconds: float = 10.0) -> bool:
        """Wait until `count` chat calls have arrived; False if that takes longer than `seconds`."""
        end = time.monotonic() + seconds
        while self.hits < count and time.monotonic() < end:
            time.sleep(0.002)
        return self.hits >= count

    def next_step(self, seen: Seen) -> Fault:
        """The outcome of a call; rate limits come before the plan."""
        refusal = self._refuse(seen)
        if refusal is not None:
            return refusal
        if self.plan is None:
            return ANSWER
        at = self.played
        self.played += 1
        step = self.plan(seen) if callable(self.plan) else self.plan[min(at, len(self.plan) - 1)]
        if isinstance(step, str):
            return Fault(text=step)
        return Fault(status=step) if isinstance(step, int) else step

    def roomy_headers(self) -> dict[str, str]:
        """The six rate headers, with numbers that change from answer to answer; empty without
        `rate_headers`."""
        if not self.rate_headers:
            return {}
        used, wait = self.hits % 1_000, f"{self.hits % 500}ms"
        return {
            "x-ratelimit-limit-requests": f"{ROOMY_REQUESTS}",
            "x-ratelimit-limit-tokens": f"{ROOMY_TOKENS}",
            "x-ratelimit-remaining-requests": f"{ROOMY_REQUESTS - used}",
            "x-ratelimit-remaining-tokens": f"{ROOMY_TOKENS - 20 * used}",
            "x-ratelimit-reset-requests": wait,
            "x-ratelimit-reset-tokens": wait,
        }

    def knows(self, seen: Seen) -> bool:
        """Whether the request carries the expected key."""
        shown = seen.headers.get("x-api-key") or seen.headers.get("authorization", "").removeprefix("Bearer ")
        return self.api_key is None or shown == self.api_key

    def _refuse(self, seen: Seen) -> Fault | None:
        if not self.knows(seen):
            return Fault(status=401, code="invalid_api_key", message="Incorrect API key provided")
        if self.refuse_stream_options and b'"stream_options"' in seen.raw:
            return Fault(status=400, code="unknown_parameter", message="Unknown parameter: 'stream_options'.")
        waits = [limit.wait(seen.at) for limit in (self._bucket, self._window) if limit is not None]
        wait = max(waits, default=0.0)
        if wait <= 0:
            for limit in (self._bucket, self._window):
                if limit is not None:
                    limit.take(seen.at)
            return None
        self.limited += 1
        headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": f"{wait:.3f}s"}
        return Fault(status=429, code="rate_limit_exceeded", retry_after=round(wait, 3), headers=headers)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = listener.getsockname()[1]
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        serving = self._loop.create_server(lambda: _Connection(self), sock=listener)
        server = self._loop.run_until_complete(serving)
        self._loop.call_soon(self._ready.set)
        self._loop.run_forever()
        server.close()
        for connection in list(self._connections):
            connection.abort()
        self._loop.run_until_complete(self._drain())
        self._loop.close()

    def _stop(self) -> None:
        self._loop.stop()

    async def _drain(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)


class _Bucket:
    """Token bucket of the server, full at the start."""

    def __init__(self, per_minute: float, burst: float | None) -> None:
        self._rate = per_minute / 60.0
        self._size = max(1.0, per_minute / 6.0) if burst is None else burst
        self._level = self._size
        self._at: float | None = None

    def wait(self, now: float) -> float:
        """Seconds until another call is allowed."""
        if self._at is not None:
            self._level = min(self._size, self._level + (now - self._at) * self._rate)
        self._at = now
        return max(0.0, (1.0 - self._level) / self._rate)

    def take(self, _now: float) -> None:
        """Count one call."""
        self._level -= 1.0


class _Window:
    """At most `calls` in any `seconds`."""

    def __init__(self, calls: int, seconds: float) -> None:
        self._calls = calls
        self._seconds = seconds
        self._seen: deque[float] = deque()

    def wait(self, now: float) -> float:
        """Seconds until another call is allowed."""
        while self._seen and self._seen[0] <= now - self._seconds:
            self._seen.popleft()
        return 0.0 if len(self._seen) < self._calls else self._seen[0] + self._seconds - now

    def take(self, now: float) -> None:
        """Count one call."""
        self._seen.append(now)


class _Connection(asyncio.Protocol):
    """One client connection; its calls are answered one after another."""

    def __init__(self, server: FaultServer) -> None:
        self._server = server
        self._buffer = bytearray()
        self._busy: asyncio.Task[None] | None = None
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        # asyncio sets TCP_NODELAY only for sockets with a protocol number, and accepted sockets have none.
        # Without it a stream waits 40 ms for a delayed acknowledgement.
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._server._connections.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        self._server._connections.discard(self)
        if self._busy is not None:
            self._busy.cancel()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._pump()

    def abort(self, *, reset: bool = False) -> None:
        """Drop the connection; `reset` makes the peer see ECONNRESET."""
        sock = self._transport.get_extra_info("socket")
        if reset and sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _pump(self) -> None:
        while self._busy is None:
            request = self._next_request()
            if request is None:
                return
            head, body = request
            if self._server.fast and head.startswith(b"POST"):
                self._answer_fast(body, _speaker(head.split(b" ", 2)[1].decode("latin-1")))
            else:
                self._busy = asyncio.get_running_loop().create_task(self._handle(_read(head, body)))
                self._busy.add_done_callback(self._done)

    def _next_request(self) -> tuple[bytes, bytes] | None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = bytes(self._buffer[:end])
        match = _LENGTH.search(head)
        stop = end + 4 + (int(match.group(1)) if match else 0)
        if len(self._buffer) < stop:
            return None
        body = bytes(self._buffer[end + 4 : stop])
        del self._buffer[:stop]
        return head, body

    def _done(self, task: asyncio.Task[None]) -> None:
        self._busy = None
        if not task.cancelled() and task.exception() is None:
            self._pump()

    def _answer_fast(self, raw: bytes, speaker: Any) -> None:
        server = self._server
        server.hits += 1
        server.served += 1
        body = orjson.loads(raw)
        if body.get("stream"):
            self._send_head(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"})
            self._transport.write(
                b"".join(_chunk(event) for event in speaker.events(ANSWER, body)) + b"0\r\n\r\n"
            )
            return
        answer = orjson.dumps(speaker.whole(ANSWER, body))
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%b\r\n"
        limits = "".join(f"{name}: {value}\r\n" for name, value in server.roomy_headers().items())
        self._transport.write(head % (len(answer), limits.encode()) + answer)

    async def _handle(self, seen: Seen) -> None:
        server = self._server
        if server.record:
            server.requests.append(seen)
        if seen.method == "GET" and not server.knows(seen):
            refusal = server.next_step(seen)
            self._send(refusal.status, _speaker(seen.path).fault(refusal))
            return
        if seen.method == "GET":
            self._send(
                200, orjson.dumps({"object": "list", "data": [{"id": name} for name in server.models]})
            )
            return
        server.hits += 1
        server.in_flight += 1
        server.peak = max(server.peak, server.in_flight)
        try:
            step = server.next_step(seen)
            if delay := step.delay_seconds or server.delay_seconds:
                await asyncio.sleep(delay)
            await self._play(step, seen)
        finally:
            server.in_flight -= 1

    async def _play(self, step: Fault, seen: Seen) -> None:
        if step.action == "hang":
            await asyncio.Event().wait()
        elif step.action == "reset":
            self.abort(reset=True)
        elif step.action == "not_http":
            self._transport.write(b"220 mail.example.org ESMTP ready\r\n")
            self._transport.close()
        elif step.status == HTTPStatus.OK and step.action in {"answer", "cut"} and step.body is None:
            await self._play_answer(step, seen.body, _speaker(seen.path))
        else:
            await self._send_body(step, _speaker(seen.path).fault(step))

    async def _play_answer(self, step: Fault, request: Any, speaker: Any) -> None:
        if not request.get("stream"):
            await self._send_body(step, orjson.dumps(speaker.whole(step, request)))
            return
        events = speaker.events(step, request)
        self._send_head(200, _headers(step, "text/event-stream") | {"transfer-encoding": "chunked"})
        for event in events[: max(1, len(events) // 2)] if step.action == "cut" else events:
            if step.chunk_seconds:
                await asyncio.sleep(step.chunk_seconds)
            for piece in _pieces(event, step.chunk_bytes):
                self._transport.write(_chunk(piece))
                await asyncio.sleep(0)
        if step.action == "cut":
            self._transport.close()
            return
        self._transport.write(b"0\r\n\r\n")
        self._server.served += 1

    async def _send_body(self, step: Fault, body: bytes) -> None:
        kind = "text/html; charset=utf-8" if step.action == "html" else "application/json"
        headers = _headers(step, kind)
        self._send_head(step.status, headers | {"content-length": str(len(body))})
        if step.action == "cut":
            self._transport.write(body[: len(body) // 2])
            self._transport.close()
            return
        for piece in _pieces(body, step.chunk_bytes):
            self._transport.write(piece)
            await asyncio.sleep(0)
        self._server.served += step.status == HTTPStatus.OK

    def _send(self, status: int, body: bytes) -> None:
        self._send_head(status, {"content-type": "application/json", "content-length": str(len(body))})
        self._transport.write(body)

    def _send_head(self, status: int, headers: Mapping[str, str]) -> None:
        headers = {**self._server.roomy_headers(), **headers}
        lines = [
            f"HTTP/1.1 {status} {_reason(status)}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        self._transport.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))


def _speaker(path: str) -> Any:
    """The protocol module that writes the answers under a path."""
    if path.partition("?")[0].endswith("/messages"):
        from tests import anthropic_speaker

        return anthropic_speaker
    return _OpenAISpeaker


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def _read(head: bytes, body: bytes) -> Seen:
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return Seen(method, path, headers, body, time.monotonic())


def _headers(step: Fault, kind: str) -> dict[str, str]:
    headers = {"content-type": kind, "x-request-id": "req_fault", **step.headers}
    if step.retry_after is not None:
        headers["retry-after"] = str(step.retry_after)
    return headers


def _pieces(data: bytes, size: int | None) -> list[bytes]:
    return [data] if size is None else [data[at : at + size] for at in range(0, len(data), size)]


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _fault_body(step: Fault) -> bytes:
    if step.body is not None:
        return step.body if isinstance(step.body, bytes) else json.dumps(step.body).encode()
    usual: dict[str, bytes] = {
        "garbage": b'{"choices": [{"message": {"content": "hal',
        "html": b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body><h1>Bad "
        b"Gateway</h1></body></html>",
        "empty": b"",
        "no_choices": b'{"id": "x", "model": "fault-1", "choices": []}',
        "wrong_types": b'{"id": 7, "model": {}, "choices": [{"message": ["x"], "finish_reason": 3}], '
        b'"usage": "many"}',
    }
    if step.action in usual:
        return usual[step.action]
    kind = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}.get(
        step.status, "invalid_request_error" if step.status < 500 else "server_error"
    )
    error = {"message": step.message, "type": kind, "param": None, "code": step.code}
    return json.dumps({"error": error}).encode()


def _echo(request: Any) -> str:
    # Some clients send a request without messages to get the headers.
    content = request["messages"][-1]["content"] if request["messages"] else ""
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if part.get("type") == "text")


def _usage(request: Any, text: str) -> dict[str, int]:
    prompt = sum(len(str(message["content"]).split()) for message in request["messages"])
    return {
        "prompt_tokens": prompt,
        "completion_tokens": len(text.split()),
        "total_tokens": prompt + len(text.split()),
    }


def _completion(step: Fault, request: Any) -> dict[str, Any]:
    text = _echo(request) if step.text is None else step.text
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": step.finish_reason,
    }
    return {
        "id": "chatcmpl-fault",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": request.get("model", ""),
        "choices": [choice],
        "usage": _usage(request, text),
    }


def _events(step: Fault, request: Any) -> list[bytes]:
    text = _echo(request) if step.text is None else step.text
    frame = {"id": "chatcmpl-fault", "object": "chat.completion.chunk", "model": request.get("model", "")}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": piece} for piece in re.findall(r"\s*\S+\s*?|\s+", text)]
    payloads: list[dict[str, Any]] = [
        {**frame, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
    ]
    payloads.append({**frame, "choices": [{"index": 0, "delta": {}, "finish_reason": step.finish_reason}]})
    if (request.get("stream_options") or {}).get("include_usage"):
        payloads.append({**frame, "choices": [], "usage": _usage(request, text)})
    return [b"data: " + orjson.dumps(payload) + b"\n\n" for payload in payloads] + [b"data: [DONE]\n\n"]


class _OpenAISpeaker:
    whole = staticmethod(_completion)
    events = staticmethod(_events)
    fault = staticmethod(_fault_body)
