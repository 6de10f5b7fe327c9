"""Endpoints: URL and headers, checked once; proxy and certificates from the environment."""

from __future__ import annotations

import functools
import os
import re
import ssl
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from multidict import CIMultiDict
from yarl import URL

from ainb.errors import ConfigError
from ainb.keys import Key
from ainb.providers.http.faults import Origin
from ainb.providers.http.hosts import is_loopback
from ainb.providers.http.no_proxy import is_excluded

_VERSION = re.compile(r"(?:api[-_]?)?version=[\w.-]{1,40}", re.ASCII | re.IGNORECASE)
MIN_SECRET_CHARS: Final = 4
CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
PROXY_VARIABLES = tuple(
    spelling
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    for spelling in (name, name.upper())
)


@dataclass(frozen=True, slots=True)
class Target:
    """An endpoint with everything that is the same in every call.

    Attributes:
        origin: Service and variables for error messages.
        url: Base URL without trailing slash.
        chat_url: URL of chat requests.
        headers: Sent with every request; the repr of a secret value is ``'***'``.
        loopback: Whether it is on this machine and never reached through a proxy.
        query: Query of every URL, such as ``?api-version=…``; "" without one.
    """

    origin: Origin
    url: str
    chat_url: URL
    headers: CIMultiDict[str]
    loopback: bool
    query: str = ""

    def with_headers(self, more: Mapping[str, str]) -> Target:
        """The same endpoint with more headers, which override its own; their values appear in no message.

        Raises:
            ConfigError: A value is not a valid header value.
        """
        headers = CIMultiDict(self.headers)
        for name, value in more.items():
            _check_header(value, name)
            headers[name] = Key(value)
        hidden = tuple(value for value in more.values() if len(value) >= MIN_SECRET_CHARS)
        origin = replace(self.origin, secrets=(*self.origin.secrets, *hidden))
        return replace(self, headers=headers, origin=origin)


def make_target(
    service: str,
    base_url: str,
    *,
    headers: Mapping[str, str] | None = None,
    key: str | None = None,
    key_header: str = "Authorization",
    key_variable: str | None = None,
    base_url_variable: str | None = None,
    path: str = "/chat/completions",
) -> Target:
    """Check an endpoint's URL, key and headers once, so that calls need not.

    Args:
        service: Service name, for messages.
        base_url: With or without a trailing slash, the path of chat requests, and ``?api-version=…``.
        headers: More headers, such as an organisation.
        key: Sent in `key_header`, after "Bearer" if that is Authorization; None sends no key.
        key_header: Header for the key.
        key_variable: Environment variable of the key, for messages.
        base_url_variable: Environment variable of the base URL, for messages.
        path: Path of chat requests under the base URL.

    Raises:
        ConfigError: The URL, the key or a header is invalid.
    """
    url, host, query = _check_url(service, base_url, base_url_variable)
    url = without_path(url, path)
    lines: CIMultiDict[str] = CIMultiDict({"Content-Type": "application/json", "User-Agent": "ainb"})
    for name, value in (headers or {}).items():
        lines[name] = _check_header(value, name)
    if key is not None:
        _check_header(key, key_variable or key_header)
        lines[key_header] = Key(f"Bearer {key}" if key_header == "Authorization" else key)
    origin = Origin(
        service=service,
        base_url=url,
        key_variable=key_variable,
        base_url_variable=base_url_variable,
        secrets=(key,) if key and len(key) >= MIN_SECRET_CHARS else (),
    )
    return Target(origin, url, URL(url + path + query), lines, is_loopback(host), query)


def without_path(url: str, path: str) -> str:
    """A base URL without the path of chat requests, which is often copied with it; its query stays.

    >>> without_path("https://host/v1/chat/completions/?api-version=1", "/chat/completions")
    'https://host/v1?api-version=1'
    """
    base, mark, query = url.strip().partition("?")
    return base.rstrip("/").removesuffix(path).rstrip("/") + mark + query


def _check_url(service: str, text: str, variable: str | None) -> tuple[str, str, str]:
    # Messages do not repeat the URL: the problem may be that it holds a password.
    place = f"the base URL of {service} (from --api-base or {variable or 'the configuration'})"
    text = text.strip()
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
        (URL(text).raw_host or "").encode("idna")  # otherwise the resolver would fail at this step
    except ValueError:
        raise ConfigError(f"{place} is not a URL; write https://HOST/v1") from None
    if parts.scheme not in {"http", "https"} or not host or not text.isprintable() or " " in text:
        raise ConfigError(f"{place} is not an http or https URL; write https://HOST/v1")
    if (
        parts.fragment
        or parts.username is not None
        or parts.password is not None
        or not _is_plain(parts.query)
    ):
        raise ConfigError(
            f"{place} holds a password, a query other than api-version, or a fragment; keys belong in a key "
            "variable"
        )
    query = f"?{parts.query}" if parts.query else ""
    return text.partition("?")[0].rstrip("/"), host, query


def _is_plain(query: str) -> bool:
    """Whether a query holds only versions: any other parameter may be a key."""
    return all(_VERSION.fullmatch(part) for part in query.split("&")) if query else True


def _check_header(value: str, name: str) -> str:
    if value.isascii() and value.isprintable():
        return value
    raise ConfigError(
        f"the value of {name} holds a line break or a character that is not ASCII; copy it again without the "
        "text around it"
    )


def proxy_for(url: URL) -> str | None:
    """The environment's proxy for this URL, read anew each time; None without one.

    Raises:
        ConfigError: Proxies of its kind are not supported, such as socks.
    """
    values = tuple(os.environ.get(name) for name in PROXY_VARIABLES)
    return _find_proxy(url.scheme, url.host or "", url.port, values)


@functools.lru_cache(maxsize=64)
def _find_proxy(scheme: str, host: str, port: int | None, _variables: tuple[str | None, ...]) -> str | None:
    # The variables are part of the cache's key, so that a proxy set in a cell applies from the next call on.
    proxies = urllib.request.getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    if (
        not proxy
        or is_excluded(proxies.get("no", ""), scheme, host, port)
        or urllib.request.proxy_bypass(host)
    ):
        return None
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    if URL(proxy).scheme not in {"http", "https"}:
        raise ConfigError(
            f"the proxy variables name a proxy for {host} that is not an http proxy; set "
            f"{scheme.upper()}_PROXY to one, or NO_PROXY={host}"
        )
    return proxy


def certificates() -> ssl.SSLContext | bool:
    """The environment's certificates, read anew each time; True means those of the system.

    Raises:
        ConfigError: The variable names no readable file.
    """
    for name in CA_VARIABLES:
        path = os.environ.get(name)
        if path:
            return _load_certificates(name, path)
    return True


@functools.lru_cache(maxsize=8)
def _load_certificates(name: str, path: str) -> ssl.SSLContext:
    try:
        if Path(path).is_dir():
            return ssl.create_default_context(capath=path)
        return ssl.create_default_context(cafile=path)
    except OSError:  # ssl.SSLError is one too
        raise ConfigError(
            f"{name} names no readable file of certificates: {path!r}; correct or unset it"
        ) from None
