"""Errors of requests without a response."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import aiohttp

from ainb.errors import PermanentProviderError, ProviderError, TransientProviderError
from ainb.providers.http.faults import Origin

CONNECT_SECONDS: Final = 10.0
_Words = tuple[type[Exception] | tuple[type[Exception], ...], str, bool]

# The first matching row applies. Last column: whether the body was, or may have been, sent.
# fmt: off
_CONNECTION_FAULTS: tuple[_Words, ...] = (
    (aiohttp.ClientSSLError,
     "no secure connection to {host}; behind a company's proxy set SSL_CERT_FILE to its certificates", False),
    ((aiohttp.ClientHttpProxyError, aiohttp.ClientProxyConnectionError),
     "the proxy did not connect to {host}; check HTTPS_PROXY and NO_PROXY", False),
    (aiohttp.ClientConnectorDNSError,
     "no network, or no host named {host}; check the connection and {option}", False),
    (aiohttp.ConnectionTimeoutError,
     f"no connection to {{host}} within {CONNECT_SECONDS:g} s; check the network, a firewall, or HTTPS_PROXY",
     False),
    (aiohttp.ClientConnectorError,
     "nothing answers at {host}; check that the server runs, the network, and {option}", False),
    (aiohttp.ClientResponseError, "what answers at {host} does not speak HTTP; check {option}", True),
    (TimeoutError, "no answer from {host} in time; another attempt may succeed", True),
    (Exception, "{host} closed the connection without an answer; another attempt may succeed", True),
)
# fmt: on


def connection_fault(origin: Origin, error: Exception) -> ProviderError:
    """Error for a request without a response: permanent for an untrusted certificate, otherwise transient."""
    words, sent = next((words, sent) for kinds, words, sent in _CONNECTION_FAULTS if isinstance(error, kinds))
    text = words.format(host=urlsplit(origin.base_url).netloc, option=origin.base_url_option)
    final = isinstance(error, aiohttp.ClientConnectorCertificateError)
    kind = PermanentProviderError if final else TransientProviderError
    return kind(f"{origin.service}: {text}", billed=sent)
