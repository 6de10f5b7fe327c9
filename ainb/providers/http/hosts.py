"""Hosts of this machine, and base URLs whose traffic can be read on the way."""

from __future__ import annotations

import ipaddress
import re
import socket
from urllib.parse import urlsplit

# As a name server takes it; with anything else in it, two readers of a URL may disagree about its host.
_NAME = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?")
_ODD = re.compile(r"[\x00-\x20\x7f\\]")


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine.

    A name below ``.localhost`` is, where it resolves so.
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        name = host.lower().removesuffix(".")
    if name == "localhost":
        return True
    return name.endswith(".localhost") and _resolves_here(name)


def is_local_url(url: str) -> bool:
    """Whether a base URL points to this machine; one that makes no sense does not."""
    url = url.strip()
    if _ODD.search(url):
        return False
    try:
        return is_loopback(urlsplit(url).hostname or "")
    except ValueError:
        return False


def goes_in_the_clear(url: str) -> bool:
    """Whether what is sent to a base URL can be read on the way: plain http to another machine."""
    return url.strip().lower().startswith("http://") and not is_local_url(url)


def _resolves_here(name: str) -> bool:
    """Whether every address of a name is this machine's.

    Without a resolver of its own, the system asks the network.
    """
    if not _NAME.fullmatch(name):
        return False
    try:
        found = socket.getaddrinfo(name, None)
        return bool(found) and all(ipaddress.ip_address(str(item[4][0])).is_loopback for item in found)
    except (OSError, ValueError):
        return False
