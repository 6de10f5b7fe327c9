"""An endpoint: its URL and headers checked once, and the proxy and certificates of the environment."""

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
    """A place to talk to, with everything about it that is the same from call to call.

    Attributes:
        origin: Whom errors are about.
        url: Base URL, no trailing slash.
        chat_url: Where conversations go.
        headers: Sent with every request; secret values show themselves as ``'***'``.
        loopback: Whether it is on this machine, and so never behind a proxy.
        query: What every URL of it ends with, such as ``?api-version=…``; "" for nothing.
    """

    origin: Origin
    url: str
    chat_url: URL
    headers: CIMultiDict[str]
    loopback: bool
    query: str = ""

    def with_headers(self, more: Mapping[str, str]) -> Target:
        """The same place with more headers, which win over those it has; their values appear in no message.

        Raises:
            ConfigError: A value cannot be sent.
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
    """Check a place once, so that a call does not have to.

    Args:
        service: Service name, for messages.
        base_url: With or without a trailing slash, the path of conversations, and ``?api-version=…``.
        headers: More headers, such as an organisation.
        key: Sent in `key_header`, behind "Bearer" where that is Authorization; None sends none.
        key_header: Header that carries the key.
        key_variable: Environment variable that the key came from or is missing from, for messages.
        base_url_variable: Environment variable that may hold the base URL, for messages.
        path: Where conversations go, under the base URL.

    Raises:
        ConfigError: The URL, the key or a header cannot be sent.
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
    """A base URL without the path of conversations, which people copy along; its query stays.

    >>> without_path("https://host/v1/chat/completions/?api-version=1", "/chat/completions")
    'https://host/v1?api-version=1'
    """
    base, mark, query = url.strip().partition("?")
    return base.rstrip("/").removesuffix(path).rstrip("/") + mark + query


def _check_url(service: str, text: str, variable: str | None) -> tuple[str, str, str]:
    # The text itself is not repeated: what is wrong with it may be that it holds a password.
    place = f"the base URL of {service} (from --api-base or {variable or 'the configuration'})"
    text = text.strip()
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
        (URL(text).raw_host or "").encode("idna")  # what the resolver will do, and fail at, otherwise
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
    """Whether a query holds versions and nothing else: what else stands there may be a key."""
    return all(_VERSION.fullmatch(part) for part in query.split("&")) if query else True


def _check_header(value: str, name: str) -> str:
    if value.isascii() and value.isprintable():
        return value
    raise ConfigError(
        f"the value of {name} holds a line break or a character that is not ASCII; copy it again without "
        "what surrounds it"
    )


def proxy_for(url: URL) -> str | None:
    """The proxy that the environment names for this URL, read anew each time; None means none.

    Raises:
        ConfigError: It is of a kind that cannot be used, such as socks.
    """
    values = tuple(os.environ.get(name) for name in PROXY_VARIABLES)
    return _find_proxy(url.scheme, url.host or "", url.port, values)


@functools.lru_cache(maxsize=64)
def _find_proxy(scheme: str, host: str, port: int | None, _variables: tuple[str | None, ...]) -> str | None:
    # The variables are there so that a proxy set in a cell counts from the next call on.
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
    """The certificates that the environment names, read anew each time; True means the system's own.

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
