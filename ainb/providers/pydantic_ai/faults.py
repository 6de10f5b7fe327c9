"""Maps exceptions of pydantic-ai and its clients to ainb's errors."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Final

import orjson
from pydantic_ai import exceptions as theirs

from ainb.errors import AinbError, ConfigError, PermanentProviderError, ProviderError, TransientProviderError
from ainb.providers.http import (
    Origin,
    Refusal,
    clean,
    rate_limit_headers,
    read_refusal,
    request_id,
    response_fault,
)

_EXTRA = re.compile(r"pydantic-ai-slim\[[\w,-]+\]")
# Errors without an HTTP status (gRPC, boto3), the most specific first.
_STATUS: Final[tuple[tuple[type[theirs.ModelAPIError], int], ...]] = (
    (theirs.ModelQuotaExceededError, 429),
    (theirs.ModelRateLimitError, 429),
    (theirs.ModelOverloadedError, 529),
    (theirs.ModelUnavailableError, 503),
    (theirs.ModelServerError, 500),
    (theirs.ModelContextWindowExceededError, 413),
    (theirs.ModelAuthenticationError, 401),
    (theirs.ModelNotFoundError, 404),
    (theirs.ModelRequestRejectedError, 400),
)
# Names of httpx's and boto3's errors; gRPC has a single error class with different messages.
_UNCONNECTED: Final = ("Connect", "ProxyError", "EndpointConnection")
_UNCONNECTED_WORDS = re.compile(r"errors? resolving|failed to connect|connection refused", re.IGNORECASE)
_TIMEOUTS: Final = (theirs.ModelTimeoutError, theirs.ModelRequestTimeout, TimeoutError)


def fault_of(error: Exception, origin: Origin, model: str, *, shown: bool, unix_now: float) -> AinbError:
    """The error of ainb for an exception of pydantic-ai.

    Args:
        error: The exception.
        origin: Provider and variables for the message.
        model: Model of the request.
        shown: Whether a piece of the answer had arrived.
        unix_now: Wall-clock seconds, for Retry-After dates.
    """
    if isinstance(error, theirs.ModelAPIError):
        return _api_fault(error, origin, model, shown=shown, unix_now=unix_now)
    if isinstance(error, _TIMEOUTS):
        return _timeout(origin)
    if isinstance(error, theirs.ContentFilterError):
        return PermanentProviderError(
            f"{origin.service} withheld the answer ({_said(error, origin)}); change the request",
            code="content_filter",
            billed=True,
        )
    if isinstance(error, theirs.UnexpectedModelBehavior):
        return TransientProviderError(
            f"{origin.service} sent an answer that cannot be read ({_said(error, origin)}); another attempt "
            "may succeed",
            billed=True,
        )
    if isinstance(error, theirs.UserError | ImportError):
        return setup_fault(error, origin)
    return PermanentProviderError(
        f"{origin.service} failed with {type(error).__name__}: {_said(error, origin)}; this is a fault of "
        "pydantic-ai or of the client behind it; update them",
        billed=True,
    )


def setup_fault(error: Exception, origin: Origin) -> ConfigError:
    """Error for a model that cannot be made: the client or the key is missing, or the name is unknown."""
    said = _said(error, origin)
    extra = _EXTRA.search(said)
    if isinstance(error, ImportError):
        what = extra.group() if extra else "pydantic-ai-slim"
        return ConfigError(
            f"{origin.service} needs a client that is not installed; pip install '{what}' beside "
            "'ainb-notebook[pydantic-ai]'"
        )
    if "API_KEY" in said or "api_key" in said:
        return ConfigError(
            f"{origin.service} needs a key and {origin.key_variable} is not set; set it in the environment, "
            "or name another variable with --api-key-name"
        )
    return ConfigError(f"{origin.service} cannot be asked: {said}")


def _api_fault(
    error: theirs.ModelAPIError, origin: Origin, model: str, *, shown: bool, unix_now: float
) -> ProviderError:
    status = _status_of(error)
    if status is None:
        if isinstance(error, _TIMEOUTS):
            return _timeout(origin)
        if isinstance(error, theirs.ModelConnectionError):
            return _connection(error, origin)
        return TransientProviderError(
            f"{origin.service} sent an answer that cannot be read, or none ({_said(error, origin)}); another "
            "attempt may succeed",
            billed=True,
        )
    headers = getattr(error, "headers", None) or {}
    fault = response_fault(
        origin,
        status,
        _refusal(error),
        headers=rate_limit_headers(headers.items()),
        request_id=request_id(headers),
        model=model,
        unix_now=unix_now,
    )
    fault.retry_after = fault.retry_after or error.retry_after
    fault.billed = shown or error.in_stream
    return fault


def _status_of(error: theirs.ModelAPIError) -> int | None:
    if isinstance(error, theirs.ModelHTTPError):
        return error.status_code
    return next((status for kind, status in _STATUS if isinstance(error, kind)), None)


def _refusal(error: theirs.ModelAPIError) -> Refusal:
    body: Any = error.body
    if body is None and not isinstance(error, theirs.ModelHTTPError):
        body = str(error)
    final = isinstance(error, theirs.ModelQuotaExceededError)
    if isinstance(body, bytes | str):
        raw = body.encode("utf-8", "replace") if isinstance(body, str) else body
    else:
        raw = orjson.dumps(body, default=str, option=orjson.OPT_NON_STR_KEYS)
    refusal = read_refusal(raw)
    return dataclasses.replace(
        refusal, code=refusal.code or error.provider_error_code, final=refusal.final or final
    )


def _timeout(origin: Origin) -> ProviderError:
    return TransientProviderError(
        f"{origin.service}: no answer in time; another attempt may succeed", billed=True
    )


def _connection(error: Exception, origin: Origin) -> ProviderError:
    sent = not _never_connected(error)
    what = "closed the connection without an answer" if sent else "cannot be reached; check the network"
    return TransientProviderError(
        f"{origin.service} {what} ({_said(error, origin)}); another attempt may succeed", billed=sent
    )


def _never_connected(error: BaseException | None) -> bool:
    """Whether the chain of causes shows that no connection was made and nothing was sent."""
    for _ in range(10):
        if error is None:
            return False
        if type(error).__name__.startswith(_UNCONNECTED) or _UNCONNECTED_WORDS.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def _said(error: Exception, origin: Origin) -> str:
    return clean(str(error), origin.secrets) or type(error).__name__
