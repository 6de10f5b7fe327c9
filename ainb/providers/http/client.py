"""HTTP client: a connection pool per event loop, size limits, proxies and certificates of the environment.

Certificates are always checked. Redirects are never followed, so a key never reaches another host. Every
connection error becomes a `ProviderError`; aiohttp's own exceptions hold the request's headers and are not
kept, not even as a cause.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import weakref
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from typing import TYPE_CHECKING, Final, TypeVar

import aiohttp

from ainb.errors import ConfigError, PermanentProviderError, ProviderError, TransientProviderError
from ainb.providers.http.connection_faults import CONNECT_SECONDS, connection_fault
from ainb.providers.http.faults import clean, response_fault
from ainb.providers.http.headers import rate_limit_headers, request_id
from ainb.providers.http.refusal import Refusal
from ainb.providers.http.target import Target, certificates, proxy_for
from ainb.providers.shutdown import at_close

if TYPE_CHECKING:
    from aiohttp.abc import ResolveResult
    from yarl import URL

MAX_BODY_BYTES: Final = 64 * 1024 * 1024
DRAIN_SECONDS: Final = 0.25
DNS_CACHE_SECONDS: Final = 60

_clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, aiohttp.ClientSession] = (
    weakref.WeakKeyDictionary()
)

Body = bytes | AsyncIterable[bytes] | aiohttp.FormData | None
_Fault = TypeVar("_Fault", bound=ProviderError)


class Response:
    """A response with a size limit for its body; its errors are `ProviderError`."""

    __slots__ = ("_raw", "headers", "on_refusal", "request_id", "status", "target")

    def __init__(self, raw: aiohttp.ClientResponse, target: Target) -> None:
        self._raw = raw
        self.target = target
        self.status = raw.status
        self.headers = rate_limit_headers(raw.headers.items())
        self.request_id = request_id(raw.headers)
        # Called with the parsed error of a body, also of one with status 200.
        self.on_refusal: Callable[[Refusal], None] | None = None

    @property
    def ok(self) -> bool:
        """Whether the status is a success (2xx)."""
        return 200 <= self.status < 300  # noqa: PLR2004 - success

    @property
    def is_event_stream(self) -> bool:
        """Whether the body is server-sent events."""
        return "event-stream" in self._raw.headers.get("Content-Type", "").lower()

    @property
    def location(self) -> str | None:
        """Target of a redirect without its query; None without a redirect."""
        text = self._raw.headers.get("Location")
        return text.partition("?")[0] if text else None

    async def read(self) -> bytes:
        """The whole body.

        Raises:
            ProviderError: The body was cut off, or it is larger than 64 MB.
        """
        pieces = []
        size = 0
        while not self._raw.content.at_eof() and (piece := await self._next(size)):
            pieces.append(piece)
            size += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def pieces(self, *, bounded: bool = True) -> AsyncGenerator[bytes]:
        """The body as it arrives.

        Args:
            bounded: Whether a body above 64 MB is an error; one that is written to a file may be larger.

        Raises:
            ProviderError: The body was cut off, or it is too large.
        """
        size = 0
        while piece := await self._next(size):
            size += len(piece) if bounded else 0
            yield piece

    async def _next(self, size: int) -> bytes:
        # Raised outside the handler: aiohttp's error holds the request's headers, and must not stay as
        # context.
        try:
            piece = await self._raw.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            fault = self.cut(error)
        else:
            if size + len(piece) <= MAX_BODY_BYTES:
                return piece
            fault = self.unreadable(
                f"a body larger than {MAX_BODY_BYTES // 2**20} MB", PermanentProviderError
            )
        raise fault

    async def drain(self) -> None:
        """Wait briefly for the end of a body, so that its connection can be reused."""
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while await self._raw.content.readany():
                    pass
        except (aiohttp.ClientError, OSError, TimeoutError):
            return

    def release(self) -> None:
        """Return the connection to the pool, or close it when the body was not read to its end."""
        self._raw.release()

    def unreadable(self, what: str, kind: type[ProviderError] = TransientProviderError) -> ProviderError:
        """Error for a reply that arrived and cannot be parsed; it was probably billed."""
        origin = self.target.origin
        return self.billed_fault(
            kind,
            f"{origin.service} answered {self.status} with {clean(what, origin.secrets)}; "
            f"try again; if it stays so, check {origin.base_url_option} ({origin.base_url})",
        )

    def cut(self, error: Exception | None = None) -> ProviderError:
        """Error for a reply that began and did not end."""
        late = isinstance(error, TimeoutError)
        what = "sent no more of its reply in time" if late else "broke off in the middle of its reply"
        text = f"{self.target.origin.service} {what}; another attempt may succeed"
        return self.billed_fault(TransientProviderError, text)

    def billed_fault(self, kind: type[_Fault], text: str) -> _Fault:
        """Error for a reply of which at least a part has arrived."""
        return kind(
            text, status_code=self.status, request_id=self.request_id, billed=True, headers=self.headers
        )

    def fault(
        self, body: bytes | Refusal, *, unix_now: float, status: int | None = None, model: str = ""
    ) -> ProviderError:
        """The exception for this response by `response_fault`; `status` replaces its own status, if given."""
        return response_fault(
            self.target.origin,
            status or self.status,
            body,
            headers=self.headers,
            request_id=self.request_id,
            location=self.location,
            model=model,
            unix_now=unix_now,
        )


class StoredResponse(Response):
    """A response from a result file of a batch job instead of a connection."""

    __slots__ = ("body",)

    def __init__(self, target: Target, *, status: int, body: bytes, request_id: str | None) -> None:
        self.target = target
        self.status = status
        self.body = body
        self.headers = {}
        self.request_id = request_id
        self.on_refusal = None

    @property
    def location(self) -> str | None:
        """None, because a result file holds no redirects."""
        return None


async def request(
    target: Target, url: URL, *, body: Body, own_type: bool = False, length: int | None = None
) -> Response:
    """Send a request and wait for the response's status and headers; the caller must `release` the response.

    Args:
        target: The endpoint.
        url: A URL under the target's base URL.
        body: Body of a POST, bytes or an iterator of pieces; None sends a GET.
        own_type: Whether the body sets its own Content-Type, as a form does.
        length: Size in bytes of a body in pieces; None sends it chunked.

    Raises:
        ProviderError: The connection failed, or the server does not speak HTTP.
        ConfigError: The environment's proxy or certificates are invalid.
    """
    proxy = None if target.loopback else proxy_for(url)
    tls = certificates() if url.scheme == "https" else True
    headers = target.headers
    if own_type or length is not None:
        headers = headers.copy()
    if own_type:
        headers.pop("Content-Type", None)
    if length is not None:
        headers["Content-Length"] = str(length)
    try:
        raw = await client().request(
            "GET" if body is None else "POST",
            url,
            data=body,
            headers=headers,
            allow_redirects=False,
            proxy=proxy,
            ssl=tls,
        )
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError):
        raise ConfigError(
            f"no request can be made to {target.url}: check the URL and the proxy variables of the "
            "environment"
        ) from None
    except (aiohttp.ClientError, OSError) as error:
        fault = connection_fault(target.origin, error)
    else:
        return Response(raw, target)
    raise fault


class Resolver(aiohttp.ThreadedResolver):
    """The system's resolver; checks again that names below ``.localhost`` resolve to this machine.

    A name server may return one address to the check in `ainb.providers.http.hosts.is_loopback` and another
    one to the connection.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Addresses of a host.

        Raises:
            OSError: The host has none, or a name below ``.localhost`` resolves to another machine.
        """
        found = await super().resolve(host, port, family)
        if host.lower().rstrip(".").endswith(".localhost"):
            found = [item for item in found if ipaddress.ip_address(item["host"]).is_loopback]
            if not found:
                raise OSError(f"{host} does not resolve to this machine")
        return found


def client() -> aiohttp.ClientSession:
    """The running loop's client, made on first use."""
    loop = asyncio.get_running_loop()
    session = _clients.get(loop)
    if session is None or session.closed:
        # trust_env would switch threads twice per request and read ~/.netrc; the proxy is passed with each
        # request instead.
        session = _clients[loop] = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=DNS_CACHE_SECONDS, resolver=Resolver()),
            timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )
    return session


async def close_clients() -> None:
    """Close the running loop's client; the next call makes a new one."""
    session = _clients.pop(asyncio.get_running_loop(), None)
    if session is not None:
        await session.close()


at_close(close_clients)
