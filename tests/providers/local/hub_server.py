"""HTTP servers on loopback in place of the Hugging Face hub and its storage host."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import unquote

OWNER = "Own-er/Small-GGUF"


class Hub:
    """Two servers: the hub itself, which redirects large files, and the host that stores them.

    Attributes:
        files: Content by path.
        seen: Server ("hub" or "storage"), method, path, ``Authorization`` and ``Range`` of every request.
        break_after: Bytes after which the storage host ends a connection, one entry per request.
        token: Token that requests to the hub must carry; None accepts any request.
    """

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.seen: list[tuple[str, str, str, str | None, str | None]] = []
        self.break_after: list[int] = []
        self.token: str | None = None
        self.card: dict[str, Any] | None = {"license": "apache-2.0"}
        self.sends: dict[str, bytes] = {}
        self.ranges = True
        self.redirect_to: str | None = None
        self.moved = False
        self.digests = True
        self._servers = [self._serve("hub"), self._serve("storage")]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._servers[0].server_port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def _serve(self, name: str) -> ThreadingHTTPServer:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_HEAD(self) -> None:
                self._answer()

            def do_GET(self) -> None:
                self._answer()

            def _answer(self) -> None:
                heads = self.headers
                hub.seen.append((name, self.command, self.path, heads["Authorization"], heads["Range"]))
                hub.answer_storage(self) if name == "storage" else hub.answer(self)

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return server

    def answer(self, request: Any) -> None:
        path = unquote(request.path)
        if self.token is not None and request.headers["Authorization"] != f"Bearer {self.token}":
            return _send(request, 401, {}, b"no")
        if self.moved and "/Small-GGUF" in path:
            return _send(
                request, 307, {"Location": request.path.replace("/Small-GGUF", "/Renamed-GGUF")}, b""
            )
        path = path.replace("/Renamed-GGUF", "/Small-GGUF")
        if path == f"/api/models/{OWNER}":
            return _send(request, 200, {}, json.dumps({"id": OWNER, "cardData": self.card}).encode())
        if path.startswith(f"/api/models/{OWNER}/tree/main"):
            items = [{"type": "file", "path": name, "size": len(body)} for name, body in self.files.items()]
            return _send(request, 200, {}, json.dumps(items).encode())
        found = re.fullmatch(rf"/{OWNER}/resolve/[\w.-]+/(.+)", path)
        body = self.files.get(found.group(1)) if found else None
        if body is None:
            return _send(request, 404, {}, b"Entry not found")
        place = self.redirect_to or f"http://127.0.0.1:{self._servers[1].server_port}"
        heads = {
            "X-Repo-Commit": "0123abc",
            "X-Linked-Size": str(len(body)),
            "Location": f"{place}/{found.group(1)}?signed=1",
        }
        if self.digests:
            heads["X-Linked-ETag"] = f'"{hashlib.sha256(body).hexdigest()}"'
        return _send(request, 302, heads, b"Found. Redirecting")

    def answer_storage(self, request: Any) -> None:
        name = unquote(request.path.partition("?")[0].lstrip("/"))
        body = self.sends.get(name, self.files[name])
        start, status, heads = 0, 200, {}
        if self.ranges and (asked := request.headers["Range"]):
            start, status = int(re.findall(r"\d+", asked)[0]), 206
            heads["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        stop = self.break_after.pop(0) if self.break_after else None
        _send(request, status, heads, body[start:], stop=stop)


def _send(request: Any, status: int, heads: dict[str, str], body: bytes, stop: int | None = None) -> None:
    request.send_response(status)
    for name, value in heads.items():
        request.send_header(name, value)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(body if stop is None else body[:stop])
    if stop is not None:
        request.close_connection = True
