"""HTTP requests to the Hugging Face hub: URLs are checked, and no other host receives the token."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from ainb import keys
from ainb.errors import AinbError, ConfigError

ENDPOINT: Final = "https://huggingface.co"
SECONDS: Final = 30.0
MAX_REDIRECTS: Final = 5
MAX_ANSWER_BYTES: Final = 20_000_000
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
Answer = http.client.HTTPResponse  # or an HTTPError, which has the same attributes
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def endpoint() -> str:
    """URL of the hub: ``HF_ENDPOINT``, else the public one.

    Raises:
        ConfigError: It is neither https nor on this machine.
    """
    given = os.environ.get("HF_ENDPOINT", "").rstrip("/") or ENDPOINT
    _check_address(given)
    return given


def _check_address(address: str) -> None:
    """Check that a URL is https, or on this machine.

    Raises:
        ConfigError: It is neither.
    """
    parts = urlsplit(address)
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    if not is_safe or not parts.hostname:
        raise ConfigError(
            "a model is fetched over https (http is for this machine alone); "
            f"the address begins {address[:60]!r}; correct HF_ENDPOINT"
        )


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """None: `opened` follows redirects itself, so that only the hub receives the token."""


_OPENER = urllib.request.build_opener(_NoRedirects)


@contextlib.contextmanager
def opened(
    address: str, *, method: str = "GET", start: int = 0, follow_storage: bool = True
) -> Iterator[Answer]:
    """The response after redirects; without `follow_storage` the one that redirects to a storage host.

    Raises:
        AinbError: The hub cannot be reached.
        ConfigError: A redirect leads to a URL that is neither https nor on this machine.
    """
    hub, token = urlsplit(address).netloc, keys.get("HF_TOKEN")
    for _ in range(MAX_REDIRECTS + 1):
        _check_address(address)
        request = urllib.request.Request(address, method=method)  # noqa: S310 - the scheme is checked above
        request.add_header("User-Agent", "ainb")
        request.add_header("Accept-Encoding", "identity")
        if token is not None and urlsplit(address).netloc == hub:
            request.add_unredirected_header("Authorization", f"Bearer {token}")
        if start:
            request.add_header("Range", f"bytes={start}-")
        with contextlib.closing(_open(request)) as answer:
            place = answer.headers.get("Location")
            following = None if place is None else urljoin(address, place)
            leaves = following is not None and urlsplit(following).netloc != hub
            if answer.status not in _REDIRECTS or following is None or (leaves and not follow_storage):
                yield answer
                return
        address = following
    raise AinbError("the hub redirected too often; try again later, or check HF_ENDPOINT")


def _open(request: urllib.request.Request) -> Any:
    try:
        return _OPENER.open(request, timeout=SECONDS)
    except urllib.error.HTTPError as error:
        return error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise AinbError(
            f"the hub cannot be reached at {request.host} ({reason}); check the network, or set HF_ENDPOINT"
        ) from error


def check(answer: Answer, repository: str) -> None:
    """Raise for the status of an error.

    Raises:
        ConfigError: There is no such repository.
        AinbError: The hub requires a token, or failed.
    """
    if answer.status in {http.client.UNAUTHORIZED, http.client.FORBIDDEN}:
        raise AinbError(
            f"{repository} does not exist or is restricted; accept its terms on the "
            "hub and set HF_TOKEN (%ai login HF_TOKEN)"
        )
    if answer.status == http.client.NOT_FOUND:
        raise ConfigError(f"there is no repository {repository} on the hub; check the spelling")
    if answer.status >= 400:  # noqa: PLR2004 - errors
        raise AinbError(f"the hub answered with status {answer.status} for {repository}; try again later")


def asked(path: str, repository: str) -> Any:
    """JSON of the hub's API for a path of a repository.

    Raises:
        ConfigError: There is no such repository.
        AinbError: The hub cannot be reached, its response is not JSON, or it requires a token.
    """
    with opened(f"{endpoint()}/api/models/{repository}{path}") as answer:
        check(answer, repository)
        try:
            return json.loads(answer.read(MAX_ANSWER_BYTES))
        except (ValueError, OSError, http.client.HTTPException) as error:
            raise AinbError(
                f"the hub's answer for {repository} cannot be read ({type(error).__name__})"
            ) from error
