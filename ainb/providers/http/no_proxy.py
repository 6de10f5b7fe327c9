"""Hosts that ``NO_PROXY`` excludes from the proxy."""

from __future__ import annotations

import ipaddress
from typing import Final

DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def is_excluded(no_proxy: str, scheme: str, host: str, port: int | None) -> bool:
    """Whether a ``NO_PROXY`` list names a host.

    Items are separated by commas or spaces: ``*`` (every host), ``example.com`` and ``.example.com`` and
    ``*.example.com`` (the name and everything below it), an address, a network such as ``10.0.0.0/8`` or
    ``fd00::/8``; each may end in ``:port`` (an IPv6 address then needs brackets).

    Source: curl and requests; where they differ, the rule that excludes more hosts.
    """
    port = port or DEFAULT_PORTS.get(scheme)
    name = host.strip("[]").rstrip(".").lower()
    return any(_names(item, name, port) for item in no_proxy.replace(",", " ").split())


def _names(item: str, host: str, port: int | None) -> bool:
    pattern, wanted_port = _split_port(item.lower())
    if wanted_port is not None and wanted_port != port:
        return False
    if pattern == "*":
        return True
    address = _address(host)
    if address is not None:
        return _holds(pattern, address)
    suffix = pattern.removeprefix("*").strip(".")
    return bool(suffix) and (host == suffix or host.endswith("." + suffix))


def _split_port(item: str) -> tuple[str, int | None]:
    """Host pattern and port; an IPv6 address without brackets has no port."""
    if item.startswith("["):
        inner, _, rest = item[1:].partition("]")
        tail = rest.removeprefix(":")
        if rest.startswith("/"):
            return inner + rest, None
        return inner, int(tail) if tail.isdecimal() else None
    if item.count(":") == 1:
        name, _, tail = item.partition(":")
        return (name, int(tail)) if tail.isdecimal() else (item, None)
    return item, None


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None


def _holds(pattern: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    try:
        return address in ipaddress.ip_network(pattern, strict=False)
    except ValueError:
        return False
