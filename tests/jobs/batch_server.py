"""HTTP server on loopback with the batch APIs of OpenAI and Anthropic, which fails on request.

    with BatchServer([Behaviour(order="reversed"), Behaviour(end="expired", rows={3: "expired"})]) as server:
        session.map(frame, "Classify: {text}", model="openai:gpt-5-mini", api_base=server.base_url,
        batch_api=True)
    assert server.rows_submitted_twice() == []

`base_url` has OpenAI's ``/files``, ``/batches`` and ``/chat/completions``; `anthropic_url` has the Messages
protocol's ``/messages/batches`` and ``/messages``. The nth created job follows the nth `Behaviour`, and
the last one is repeated; a function ``(number) -> Behaviour`` chooses by the job's number from 0.

An answer echoes the last message of the request unless `answer` (request body -> text) is given. A token is
four characters. Every answered row of a job is billed once, when the job ends, and every live call when it
is answered: `billed` lists them.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self
from urllib.parse import parse_qs, urlsplit

import orjson

Json = dict[str, Any]
# Outcome of one row: answered ("ok"), refused with an HTTP status, missing from both files, expired, answered
# twice, its line cut, or cancelled before it was processed.
RowOutcome = Literal["ok", "missing", "expired", "twice", "cut", "cancelled"] | int
ENDED = frozenset({"completed", "failed", "expired", "cancelled"})


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """Behaviour of the server for one job.

    Attributes:
        polls: Number of polls before the job has ended.
        seconds: Minimum duration.
        order: Order of the lines in the result files.
        rows: Outcomes by line number from 0; others are "ok". A function gets line number and request body.
        end: The final status; "failed" needs `fault`. "stuck" never ends unless it is cancelled.
        fault: Code, message and line (from 1, or None) of a job that fails as a whole; no row of it is
            processed or billed.
        hidden_polls: Number of polls after creation that are answered 404.
        poll_faults: HTTP statuses of the first polls.
        cancelling_polls: Number of polls between the request to cancel and the end of the job.
        counts: Offset that is added to the reported counts.
        foreign: Whether the custom ids in the result files belong to another job.
        unknown_lines: Number of lines with unknown custom ids in the output.
        create: "lost" creates the job and closes the connection without an answer; "late" creates it and
            answers 500; an HTTP status creates none; "never" creates none and closes the connection.
        upload: The same for the upload of the file.
        result_faults: HTTP statuses of the first downloads of a result file.
        cut_download: Whether the first download of the output file is cut off halfway.
    """

    polls: int = 1
    seconds: float = 0.0
    order: Literal["kept", "reversed", "shuffled"] = "kept"
    rows: Mapping[int, RowOutcome] | Callable[[int, Json], RowOutcome] = field(
        default_factory=dict, hash=False
    )
    end: Literal["completed", "failed", "expired", "cancelled", "stuck"] = "completed"
    fault: tuple[str, str, int | None] = ("invalid_request", "the file cannot be read", None)
    hidden_polls: int = 0
    poll_faults: tuple[int, ...] = ()
    cancelling_polls: int = 0
    counts: int = 0
    foreign: bool = False
    unknown_lines: int = 0
    create: Literal["lost", "late", "never"] | int | None = None
    upload: Literal["lost", "late"] | int | None = None
    result_faults: tuple[int, ...] = ()
    cut_download: bool = False

    def outcome(self, number: int, body: Json) -> RowOutcome:
        return self.rows(number, body) if callable(self.rows) else self.rows.get(number, "ok")


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """One billed answer."""

    custom_id: str | None
    model: str
    input_tokens: int
    output_tokens: int
    batch: bool


@dataclass(kw_only=True)
class ServerJob:
    """The server's state of one job."""

    job_id: str
    protocol: Literal["openai", "anthropic"]
    behaviour: Behaviour
    lines: list[Json]
    created_at: float
    key: str
    metadata: Json = field(default_factory=dict)
    file_id: str | None = None
    endpoint: str = ""
    status: str = "in_progress"
    looks: int = 0
    cancel_looks: int | None = None
    output: bytes | None = None
    errors: bytes | None = None
    answered: int = 0
    failed: int = 0
    downloads: int = 0

    @property
    def lives(self) -> bool:
        return self.status not in ENDED


class BatchServer:
    """The server, which runs in its own threads.

    Args:
        behaviours: Behaviours of the jobs in the order of creation.
        answer: Makes the text of a reply from the body of the request.
        queue_jobs: Most active jobs; a further one is created and fails with ``token_limit_exceeded``. None
            means no limit.
        max_rows: Most lines of a file; a longer file is refused.
        port: Port to listen on; 0 means a free one.
    """

    def __init__(
        self,
        behaviours: Sequence[Behaviour] | Callable[[int], Behaviour] = (),
        *,
        answer: Callable[[Json], str] | None = None,
        queue_jobs: int | None = None,
        max_rows: int = 50_000,
        port: int = 0,
    ) -> None:
        self._behaviours = behaviours
        self._answer = answer or last_words
        self.queue_jobs = queue_jobs
        self.max_rows = max_rows
        self.lock = threading.RLock()
        self.files: dict[str, tuple[str, bytes]] = {}
        self.jobs: list[ServerJob] = []
        self.billed: list[Billed] = []
        self.live_calls = 0
        self.uploads = 0
        self.requests: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.overlaps: list[str] = []
        self.down = False
        self.on_request: Callable[[str], None] | None = None
        server = self

        class Handler(_Handler):
            batch_server = server

        self._http = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    @property
    def anthropic_url(self) -> str:
        return self.base_url.removesuffix("/v1")

    def behaviour(self, number: int) -> Behaviour:
        if callable(self._behaviours):
            return self._behaviours(number)
        return self._behaviours[min(number, len(self._behaviours) - 1)] if self._behaviours else Behaviour()

    def polls(self) -> int:
        """Number of polls of single jobs so far."""
        return sum(job.looks for job in self.jobs)

    def rows_submitted_twice(self) -> list[str]:
        """Request bodies that were part of two active jobs at the same time."""
        return list(self.overlaps)

    def submissions(self) -> Counter[str]:
        """Number of submissions of each request body, by its last message."""
        return Counter(last_words(line_body(line)) for job in self.jobs for line in job.lines)

    def tokens(self, *, batch: bool) -> tuple[int, int]:
        """Billed input and output tokens."""
        items = [item for item in self.billed if item.batch is batch]
        return sum(item.input_tokens for item in items), sum(item.output_tokens for item in items)

    # Jobs

    def create(
        self, protocol: Literal["openai", "anthropic"], lines: list[Json], key: str, **more: Any
    ) -> ServerJob:
        with self.lock:
            behaviour = self.behaviour(len(self.jobs))
            number = len(self.jobs)
            name = f"batch_{number:04d}" if protocol == "openai" else f"msgbatch_{number:04d}"
            job = ServerJob(
                job_id=name,
                protocol=protocol,
                behaviour=behaviour,
                lines=lines,
                created_at=time.time(),
                key=key,
                **more,
            )
            alive = [other for other in self.jobs if other.lives]
            if self.queue_jobs is not None and len(alive) >= self.queue_jobs:
                limit = (
                    "token_limit_exceeded",
                    f"Enqueued token limit reached for {line_body(lines[0])['model']}",
                    None,
                )
                job.behaviour = Behaviour(end="failed", fault=limit, polls=0)
            else:
                under_way = {digest(line) for other in alive for line in other.lines}
                self.overlaps += [last_words(line_body(line)) for line in lines if digest(line) in under_way]
            self.jobs.append(job)
            return job

    def look(self, job: ServerJob) -> int | None:
        """Count a poll and advance the job; returns the HTTP status of a fault, or None."""
        with self.lock:
            behaviour, look = job.behaviour, job.looks
            job.looks += 1
            if look < len(behaviour.poll_faults):
                return behaviour.poll_faults[look]
            if look < behaviour.hidden_polls:
                return 404
            self._advance(job)
            return None

    def cancel(self, job: ServerJob) -> None:
        with self.lock:
            if job.lives and job.cancel_looks is None:
                job.cancel_looks = job.looks + job.behaviour.cancelling_polls
                job.status = "cancelling"

    def _advance(self, job: ServerJob) -> None:
        if not job.lives:
            return
        if job.cancel_looks is not None:
            if job.looks > job.cancel_looks:
                self._finish(job, "cancelled")
            return
        behaviour = job.behaviour
        waited = time.time() - job.created_at >= behaviour.seconds
        if behaviour.end != "stuck" and waited and job.looks > behaviour.polls + behaviour.hidden_polls:
            self._finish(job, behaviour.end)

    def _finish(self, job: ServerJob, end: str) -> None:
        job.status = end
        if end == "failed":
            return
        answered, failed = [], []
        for number, line in enumerate(job.lines):
            outcome = job.behaviour.outcome(number, line_body(line))
            if end == "cancelled" and job.cancel_looks is not None and outcome == "ok" and number % 2:
                outcome = "cancelled"
            self._end_row(job, line, outcome, answered, failed)
        answered += [
            encode(result_of(job, f"unknown-{extra}", self._reply(job, job.lines[0])))
            for extra in range(job.behaviour.unknown_lines)
        ]
        rng = random.Random(job.job_id)
        for lines in (answered, failed):
            if job.behaviour.order == "reversed":
                lines.reverse()
            elif job.behaviour.order == "shuffled":
                rng.shuffle(lines)
        job.output = b"\n".join(answered) + b"\n" if answered else None
        job.errors = b"\n".join(failed) + b"\n" if failed else None

    def _end_row(
        self, job: ServerJob, line: Json, outcome: RowOutcome, answered: list[bytes], failed: list[bytes]
    ) -> None:
        custom_id = f"somebody-else-{line['custom_id'][-8:]}" if job.behaviour.foreign else line["custom_id"]
        if outcome in {"ok", "twice", "cut"}:
            text = encode(result_of(job, custom_id, self._reply(job, line)))
            job.answered += 1
            answered += [text] * (2 if outcome == "twice" else 1)
            if outcome == "cut":
                answered[-1] = text[: len(text) // 2]
            self.bill(line_body(line), custom_id=line["custom_id"], batch=True)
        elif outcome == "missing":
            job.failed += 1
        else:
            job.failed += 1
            failed.append(encode(failure_of(job, custom_id, outcome)))

    def _reply(self, job: ServerJob, line: Json) -> Json:
        body = line_body(line)
        return (
            completion(body, self._answer(body))
            if job.protocol == "openai"
            else message(body, self._answer(body))
        )

    def live(self, body: Json, *, anthropic: bool) -> Json:
        with self.lock:
            self.live_calls += 1
            self.bill(body, custom_id=None, batch=False)
        return (message if anthropic else completion)(body, self._answer(body))

    def bill(self, body: Json, *, custom_id: str | None, batch: bool) -> None:
        self.billed.append(
            Billed(
                custom_id=custom_id,
                model=body["model"],
                input_tokens=prompt_tokens(body),
                output_tokens=tokens_in(self._answer(body)),
                batch=batch,
            )
        )


# Objects of both protocols


def encode(value: Any) -> bytes:
    return orjson.dumps(value)


def digest(line: Json) -> str:
    return hashlib.sha256(orjson.dumps(line_body(line), option=orjson.OPT_SORT_KEYS)).hexdigest()


def line_body(line: Json) -> Json:
    return line["body"] if "body" in line else line["params"]


def last_words(body: Json) -> str:
    content = body["messages"][-1]["content"]
    if isinstance(content, str):
        return content
    return "\n".join(part.get("text", "") for part in content if part.get("type") == "text")


def tokens_in(text: str) -> int:
    return len(text) // 4 + 1


def prompt_tokens(body: Json) -> int:
    return sum(tokens_in(str(item["content"])) for item in body["messages"])


def completion(body: Json, text: str) -> Json:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": body["model"],
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": prompt_tokens(body), "completion_tokens": tokens_in(text)},
    }


def message(body: Json, text: str) -> Json:
    content: list[Json] = [{"type": "text", "text": text}]
    if body.get("tool_choice", {}).get("type") == "tool":
        with contextlib.suppress(orjson.JSONDecodeError):
            name = body["tool_choice"]["name"]
            content = [{"type": "tool_use", "id": "t1", "name": name, "input": orjson.loads(text)}]
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": content,
        "stop_reason": "end_turn",
        "usage": {"input_tokens": prompt_tokens(body), "output_tokens": tokens_in(text)},
    }


def result_of(job: ServerJob, custom_id: str, reply: Json) -> Json:
    if job.protocol == "anthropic":
        return {"custom_id": custom_id, "result": {"type": "succeeded", "message": reply}}
    response = {"status_code": 200, "request_id": f"req_{custom_id[-6:]}", "body": reply}
    return {"id": f"batch_req_{custom_id[-6:]}", "custom_id": custom_id, "response": response, "error": None}


def failure_of(job: ServerJob, custom_id: str, outcome: RowOutcome) -> Json:
    if job.protocol == "anthropic":
        if isinstance(outcome, str):
            return {
                "custom_id": custom_id,
                "result": {"type": outcome if outcome == "expired" else "canceled"},
            }
        error = {
            "type": "error",
            "error": {"type": "invalid_request_error", "message": f"refused with {outcome}"},
        }
        return {"custom_id": custom_id, "result": {"type": "errored", "error": error}}
    if isinstance(outcome, str):
        words = {"expired": "This request could not be executed before the completion window expired."}
        error = {"code": f"batch_{outcome}", "message": words.get(outcome, "This batch was cancelled.")}
        return {"id": "batch_req_1", "custom_id": custom_id, "response": None, "error": error}
    body = {
        "error": {
            "message": f"refused with {outcome}",
            "type": "invalid_request_error",
            "code": None,
            "param": None,
        }
    }
    response = {"status_code": outcome, "request_id": "req_1", "body": body}
    return {"id": "batch_req_1", "custom_id": custom_id, "response": response, "error": None}


def openai_view(job: ServerJob) -> Json:
    ended = not job.lives
    offset = job.behaviour.counts
    errors = None
    if job.status == "failed":
        code, words, line = job.behaviour.fault
        errors = {"object": "list", "data": [{"code": code, "message": words, "line": line, "param": None}]}
    return {
        "id": job.job_id,
        "object": "batch",
        "endpoint": job.endpoint,
        "input_file_id": job.file_id,
        "completion_window": "24h",
        "status": job.status,
        "metadata": job.metadata,
        "created_at": int(job.created_at),
        "expires_at": int(job.created_at) + 86_400,
        "output_file_id": f"out-{job.job_id}" if job.output else None,
        "error_file_id": f"err-{job.job_id}" if job.errors else None,
        "errors": errors,
        "request_counts": {
            "total": len(job.lines),
            "completed": job.answered + offset if ended else 0,
            "failed": job.failed if ended else 0,
        },
    }


def anthropic_view(job: ServerJob, base_url: str) -> Json:
    status = "ended" if not job.lives else "canceling" if job.status == "cancelling" else "in_progress"
    total = len(job.lines)
    ended = status == "ended"
    counts = {
        "processing": 0 if ended else total,
        "succeeded": job.answered + job.behaviour.counts if ended else 0,
        "errored": job.failed if ended else 0,
        "canceled": 0,
        "expired": 0,
    }
    stamp = (
        time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(job.created_at))
        + f"{job.created_at % 1:.6f}"[1:]
        + "Z"
    )
    late = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(job.created_at + 86_400))
    return {
        "id": job.job_id,
        "type": "message_batch",
        "processing_status": status,
        "request_counts": counts,
        "created_at": stamp,
        "expires_at": late,
        "ended_at": stamp if ended else None,
        "cancel_initiated_at": None,
        "results_url": f"{base_url}/messages/batches/{job.job_id}/results" if ended else None,
    }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    batch_server: BatchServer

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def do_GET(self) -> None:
        self._serve(b"")

    def do_DELETE(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        self._serve(self._read())

    def _read(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _serve(self, body: bytes) -> None:
        server = self.batch_server
        parts = urlsplit(self.path)
        with server.lock:
            server.requests.append((self.command, parts.path))
            server.headers.append({name.lower(): value for name, value in self.headers.items()})
        if server.on_request is not None:
            server.on_request(self.path)
        if server.down:
            self._error(503, "down for maintenance")
            return
        path = parts.path.removeprefix("/v1")
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        for method, pattern, work in _ROUTES:
            found = re.fullmatch(pattern, path) if method == self.command else None
            if found:
                work(self, body, query, *found.groups())
                return
        self._error(404, f"no such path: {path}")

    def _json(self, value: Any, status: int = 200) -> None:
        self._send(encode(value), status)

    def _send(self, body: bytes, status: int = 200, *, promised: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body) if promised is None else promised))
        self.end_headers()
        self.wfile.write(body)

    def _error(self, status: int, words: str, code: str | None = None) -> None:
        kind = "invalid_request_error" if status < 500 else "api_error"
        self._json({"type": "error", "error": {"type": kind, "message": words, "code": code}}, status)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.close()

    def _key(self) -> str:
        return (
            self.headers.get("x-api-key")
            or self.headers.get("api-key")
            or self.headers.get("Authorization", "")
        )

    def _answer_as(self, how: Literal["lost", "late"] | int | None, view: Json) -> None:
        if how == "lost":
            self._hang_up()
        elif how == "late":
            self._error(500, "something went wrong")
        else:
            self._json(view)

    # OpenAI

    def upload(self, body: bytes, _query: Json) -> None:
        server = self.batch_server
        how = server.behaviour(len(server.jobs)).upload
        if isinstance(how, int) and server.uploads == 0:
            server.uploads += 1
            self._error(how, "the upload failed")
            return
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        parsed = BytesParser(policy=HTTP).parsebytes(head + body)
        name, content, purpose = "", b"", ""
        for part in parsed.iter_parts():
            if part.get_filename():
                name, content = part.get_filename(), part.get_payload(decode=True)
            else:
                purpose = part.get_content().strip()
        if purpose != "batch":
            self._error(400, f"purpose must be batch, it is {purpose!r}")
            return
        with server.lock:
            server.uploads += 1
            file_id = f"file-{server.uploads:04d}"
            server.files[file_id] = (name, content)
        first = server.uploads == 1
        self._answer_as(how if first and not isinstance(how, int) else None, self._file_view(file_id))

    def _file_view(self, file_id: str) -> Json:
        name, content = self.batch_server.files[file_id]
        return {"id": file_id, "object": "file", "filename": name, "purpose": "batch", "bytes": len(content)}

    def list_files(self, _body: bytes, query: Json) -> None:
        ids = sorted(self.batch_server.files, reverse=True)
        self._page([self._file_view(file_id) for file_id in ids], query)

    def content(self, _body: bytes, _query: Json, file_id: str) -> None:
        kind, _, job_id = file_id.partition("-")
        job = self._find(job_id)
        data = None if job is None else job.output if kind == "out" else job.errors
        if job is None or data is None:
            self._error(404, "no such file")
            return
        self._download(job, data)

    def _download(self, job: ServerJob, data: bytes) -> None:
        number = job.downloads
        job.downloads += 1
        if number < len(job.behaviour.result_faults):
            self._error(job.behaviour.result_faults[number], "the file is not there yet")
        elif job.behaviour.cut_download and number == len(job.behaviour.result_faults):
            self._send(data[: len(data) // 2], promised=len(data))
            self._hang_up()
        else:
            self._send(data)

    def create_batch(self, body: bytes, _query: Json) -> None:
        server, wish = self.batch_server, orjson.loads(body)
        with server.lock:
            stored = server.files.get(wish["input_file_id"])
            lines = [] if stored is None else [orjson.loads(line) for line in stored[1].splitlines()]
            how = server.behaviour(len(server.jobs)).create
            if stored is None:
                self._error(404, "no such file")
            elif isinstance(how, int) or how == "never":
                self._refuse_job(how)
            elif len(lines) > server.max_rows:
                self._error(400, f"{len(lines)} lines are more than {server.max_rows}")
            else:
                job = server.create(
                    "openai",
                    lines,
                    self._key(),
                    metadata=wish.get("metadata") or {},
                    file_id=wish["input_file_id"],
                    endpoint=wish["endpoint"],
                )
                self._answer_as(how, openai_view(job))

    def _refuse_job(self, how: Literal["never"] | int) -> None:
        jobs = self.batch_server.jobs
        jobs.append(_never_made(len(jobs), 0 if how == "never" else how))
        if how == "never":
            self._hang_up()
        else:
            self._error(how, "no batch can be made now")

    def _find(self, job_id: str) -> ServerJob | None:
        return next((job for job in self.batch_server.jobs if job.job_id == job_id), None)

    def _look(self, job_id: str) -> ServerJob | None:
        job = self._find(job_id)
        status = 404 if job is None else self.batch_server.look(job)
        if status is not None:
            self._error(status, "no such batch" if status == 404 else "something went wrong")
            return None
        return job

    def get_batch(self, _body: bytes, _query: Json, job_id: str) -> None:
        job = self._look(job_id)
        if job is not None:
            self._json(openai_view(job))

    def list_batches(self, _body: bytes, query: Json) -> None:
        jobs = [job for job in self.batch_server.jobs if job.protocol == "openai" and job.lines]
        self._page([openai_view(job) for job in reversed(jobs)], query)

    def cancel_batch(self, _body: bytes, _query: Json, job_id: str) -> None:
        job = self._find(job_id)
        if job is None or not job.lives:
            self._error(404 if job is None else 409, "it cannot be cancelled")
            return
        self.batch_server.cancel(job)
        self._json(
            openai_view(job) if job.protocol == "openai" else anthropic_view(job, self.batch_server.base_url)
        )

    def _page(self, items: list[Json], query: Json) -> None:
        after = query.get("after") or query.get("after_id")
        if after:
            ids = [item["id"] for item in items]
            items = items[ids.index(after) + 1 :]
        limit = int(query.get("limit", 20))
        page = items[:limit]
        self._json(
            {
                "object": "list",
                "data": page,
                "has_more": len(items) > limit,
                "first_id": page[0]["id"] if page else None,
                "last_id": page[-1]["id"] if page else None,
            }
        )

    def chat(self, body: bytes, _query: Json) -> None:
        self._json(self.batch_server.live(orjson.loads(body), anthropic=False))

    # Anthropic

    def messages(self, body: bytes, _query: Json) -> None:
        self._json(self.batch_server.live(orjson.loads(body), anthropic=True))

    def create_message_batch(self, body: bytes, _query: Json) -> None:
        server, lines = self.batch_server, orjson.loads(body)["requests"]
        bad = [
            line["custom_id"] for line in lines if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", line["custom_id"])
        ]
        if bad:
            self._error(400, f"custom_id {bad[0]!r} is none")
            return
        with server.lock:
            how = server.behaviour(len(server.jobs)).create
            if isinstance(how, int) or how == "never":
                self._refuse_job(how)
                return
            job = server.create("anthropic", lines, self._key())
        self._answer_as(how, anthropic_view(job, server.base_url))

    def get_message_batch(self, _body: bytes, _query: Json, job_id: str) -> None:
        job = self._look(job_id)
        if job is not None:
            self._json(anthropic_view(job, self.batch_server.base_url))

    def list_message_batches(self, _body: bytes, query: Json) -> None:
        jobs = [job for job in self.batch_server.jobs if job.protocol == "anthropic" and job.lines]
        self._page([anthropic_view(job, self.batch_server.base_url) for job in reversed(jobs)], query)

    def results(self, _body: bytes, _query: Json, job_id: str) -> None:
        job = self._find(job_id)
        if job is None or job.lives:
            self._error(404, "no results")
            return
        self._download(job, (job.output or b"") + (job.errors or b""))


def _never_made(number: int, status: int) -> ServerJob:
    """Placeholder for a refused job, so that the next job gets the next `Behaviour`."""
    return ServerJob(
        job_id=f"refused_{number}_{status}",
        protocol="openai",
        behaviour=Behaviour(),
        lines=[],
        created_at=time.time(),
        key="",
        status="failed",
    )


_ROUTES: Sequence[tuple[str, str, Callable[..., None]]] = (
    ("POST", "/files", _Handler.upload),
    ("GET", "/files", _Handler.list_files),
    ("GET", "/files/([^/]+)/content", _Handler.content),
    ("POST", "/batches", _Handler.create_batch),
    ("GET", "/batches", _Handler.list_batches),
    ("GET", "/batches/([^/]+)", _Handler.get_batch),
    ("POST", "/batches/([^/]+)/cancel", _Handler.cancel_batch),
    ("POST", "/chat/completions", _Handler.chat),
    ("POST", "/messages", _Handler.messages),
    ("POST", "/messages/batches", _Handler.create_message_batch),
    ("GET", "/messages/batches", _Handler.list_message_batches),
    ("GET", "/messages/batches/([^/]+)", _Handler.get_message_batch),
    ("GET", "/messages/batches/([^/]+)/results", _Handler.results),
    ("POST", "/messages/batches/([^/]+)/cancel", _Handler.cancel_batch),
)
