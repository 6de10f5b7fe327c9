"""HTTP client of batch APIs, shared by all protocols: JSON calls, uploads from files, downloads to files."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from yarl import URL

from ainb.errors import TransientProviderError
from ainb.providers.http.client import Body, Response, request
from ainb.providers.http.faults import clean, response_fault
from ainb.providers.http.target import Target

CALL_SECONDS = 60.0
TRANSFER_SECONDS = 1_800.0
PIECE_BYTES = 1 << 20
MAX_PAGES = 20
SKEW_SECONDS = 120.0


class BatchHttp:
    """Calls to one endpoint's batch API.

    Args:
        target: Endpoint and key.
        unix: Returns the wall-clock time in seconds since 1970.
    """

    def __init__(self, target: Target, unix: Any) -> None:
        self.target = target
        self._unix = unix

    async def get(self, path: str, **query: str) -> Any:
        """JSON of a GET.

        Raises:
            ProviderError: It failed.
        """
        return await self._json(path, None, query=query)

    async def post(
        self,
        path: str,
        body: Body,
        *,
        own_type: bool = False,
        length: int | None = None,
        seconds: float = CALL_SECONDS,
    ) -> Any:
        """JSON of a POST.

        Raises:
            ProviderError: It failed.
        """
        return await self._json(path, body, own_type=own_type, length=length, seconds=seconds)

    async def download(self, path: str, to: Path) -> None:
        """Write a body to a file, which gets its name only once it is complete and on disk.

        Raises:
            ProviderError: It failed.
            OSError: The file cannot be written.
        """
        part = to.with_name(f"{to.name}.part")
        async with _limit(TRANSFER_SECONDS, self.target):
            response = await self._send(path, None)
            try:
                with _private(part) as file:
                    async for piece in response.pieces(bounded=False):
                        await asyncio.to_thread(file.write, piece)
                    await asyncio.to_thread(_sync, file)
            finally:
                response.release()
        part.replace(to)

    def id_of(self, data: Mapping[str, Any]) -> str:
        """The id in a response.

        Raises:
            TransientProviderError: There is none; the request may have taken effect all the same.
        """
        found = data.get("id")
        if isinstance(found, str) and found:
            return found
        raise TransientProviderError(
            f"{self.target.origin.service} answered without an id; another attempt may succeed", billed=True
        )

    def words(self, value: Any) -> str:
        """A provider's text on one line, shortened, without secrets."""
        return clean(value, self.target.origin.secrets) if isinstance(value, str) else ""

    async def _json(
        self,
        path: str,
        body: Body,
        *,
        query: dict[str, str] | None = None,
        own_type: bool = False,
        length: int | None = None,
        seconds: float = CALL_SECONDS,
    ) -> Any:
        async with _limit(seconds, self.target):
            response = await self._send(path, body, query=query, own_type=own_type, length=length)
            try:
                data = orjson.loads(await response.read())
            except orjson.JSONDecodeError:
                raise response.unreadable("a body that is not JSON") from None
            finally:
                response.release()
        if not isinstance(data, dict):
            raise response.unreadable("JSON that is not an object")
        return data

    async def _send(
        self,
        path: str,
        body: Body,
        *,
        query: dict[str, str] | None = None,
        own_type: bool = False,
        length: int | None = None,
    ) -> Response:
        url = URL(self.target.url + path)
        response = await request(
            self.target, url.with_query(query) if query else url, body=body, own_type=own_type, length=length
        )
        if 200 <= response.status < 300:  # noqa: PLR2004 - success
            return response
        try:
            refused = await response.read()
        finally:
            response.release()
        raise response_fault(
            self.target.origin,
            response.status,
            refused,
            headers=response.headers,
            request_id=response.request_id,
            location=response.location,
            unix_now=self._unix(),
        )


def form(path: Path, *, name: str, **fields: str) -> aiohttp.FormData:
    """A multipart form whose file is read while it is sent."""
    data = aiohttp.FormData()
    for field, value in fields.items():
        data.add_field(field, value)
    data.add_field("file", path.open("rb"), filename=name, content_type="application/jsonl")
    return data


async def joined_lines(path: Path, *, before: bytes, between: bytes, after: bytes) -> AsyncIterator[bytes]:
    """The lines of a file as the items of one JSON list, read while they are sent."""
    with path.open("rb") as file:
        yield before
        first = True
        while lines := await asyncio.to_thread(file.readlines, PIECE_BYTES):
            piece = between.join(line.rstrip(b"\n") for line in lines)
            yield piece if first else between + piece
            first = False
        yield after


def joined_length(path: Path, *, before: bytes, after: bytes) -> int:
    """Length in bytes of `joined_lines` with a separator of one byte."""
    return len(before) + path.stat().st_size - 1 + len(after)


def count_or_none(value: Any) -> int | None:
    """The value if it is an integer of at least 0, otherwise None."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _private(path: Path) -> Any:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


def _sync(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


@contextlib.asynccontextmanager
async def _limit(seconds: float, target: Target) -> AsyncIterator[None]:
    """A time limit that raises a transient error; the request may have taken effect."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise TransientProviderError(
            f"{target.origin.service} did not answer within {seconds:g} s; another attempt may succeed",
            billed=True,
        ) from None
