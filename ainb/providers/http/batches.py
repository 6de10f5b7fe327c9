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
from ainb.providers.http.faults import clean
from ainb.providers.http.target import Target

CALL_SECONDS = 60.0
TRANSFER_SECONDS = 1_800.0


class BatchHttp:
    """Calls to one endpoint's batch API.

    Args:
        target: Endpoint and key.
        unix: Returns the wall-clock time in seconds since 1970.
    """

    def __init__(self, target: Target, unix: Any) -> None:
        self.target = target
        self._unix = unix

    async def call(
        self,
        path: str,
        body: Body = None,
        *,
        query: Mapping[str, str] | None = None,
        seconds: float = CALL_SECONDS,
        **how: Any,
    ) -> Any:
        """JSON of a GET, or of a POST if there is a body.

        Args:
            path: Under the endpoint's base URL.
            body: What is sent.
            query: Of the URL.
            seconds: Time limit.
            how: Further arguments of `request`.

        Raises:
            ProviderError: It failed.
        """
        async with self._answered(seconds, path, body, query=query, **how) as response:
            try:
                data = orjson.loads(await response.read())
            except orjson.JSONDecodeError:
                raise response.unreadable("a body that is not JSON") from None
        if not isinstance(data, dict):
            raise response.unreadable("JSON that is not an object")
        return data

    async def download(self, path: str, to: Path) -> None:
        """Write a body to a file, which gets its name only once it is complete and on disk.

        Raises:
            ProviderError: It failed.
            OSError: The file cannot be written.
        """
        part = to.with_name(f"{to.name}.part")
        async with self._answered(TRANSFER_SECONDS, path) as response:
            with _private(part) as file:
                async with contextlib.aclosing(response.pieces(bounded=False)) as pieces:
                    async for piece in pieces:
                        await asyncio.to_thread(file.write, piece)
                await asyncio.to_thread(_sync, file)
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

    @contextlib.asynccontextmanager
    async def _answered(
        self,
        seconds: float,
        path: str,
        body: Body = None,
        *,
        query: Mapping[str, str] | None = None,
        **how: Any,
    ) -> AsyncIterator[Response]:
        """A successful response; after a timeout the request may have taken effect at the provider."""
        url = URL(self.target.url + path)
        try:
            async with asyncio.timeout(seconds):
                response = await request(
                    self.target, url.with_query(query) if query else url, body=body, **how
                )
                try:
                    if not response.ok:
                        raise response.fault(await response.read(), unix_now=self._unix())
                    yield response
                finally:
                    response.release()
        except TimeoutError:
            raise TransientProviderError(
                f"{self.target.origin.service} did not answer within {seconds:g} s; another attempt may "
                "succeed",
                billed=True,
            ) from None


def form(path: Path, *, name: str, **fields: str) -> aiohttp.FormData:
    """A multipart form whose file is read while it is sent."""
    data = aiohttp.FormData()
    for field, value in fields.items():
        data.add_field(field, value)
    data.add_field("file", path.open("rb"), filename=name, content_type="application/jsonl")
    return data


def _private(path: Path) -> Any:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


def _sync(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())
