"""Which hosts are this machine, and which base URLs send what they carry in the clear."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine; a name that only looks like an address is not."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_local_url(url: str) -> bool:
    """Whether a base URL points to this machine; one that makes no sense does not."""
    try:
        return is_loopback(urlsplit(url.strip()).hostname or "")
    except ValueError:
        return False


def goes_in_the_clear(url: str) -> bool:
    """Whether what is sent to a base URL can be read on the way: plain http to another machine."""
    return url.strip().lower().startswith("http://") and not is_local_url(url)
