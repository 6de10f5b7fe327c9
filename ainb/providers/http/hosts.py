"""Checks of hosts and base URLs: loopback addresses, and plain http to another machine."""

from __future__ import annotations

import ipaddress
import re
import socket
from urllib.parse import urlsplit

from ainb.errors import ConfigError

# Characters of a DNS name. With any others, two URL parsers may disagree about the host.
_NAME = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?")
_ODD = re.compile(r"[\x00-\x20\x7f\\]")


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine.

    A name below ``.localhost`` counts if all its addresses are loopback addresses.
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        name = host.lower().removesuffix(".")
    if name == "localhost":
        return True
    return name.endswith(".localhost") and _resolves_here(name)


def is_local_url(url: str) -> bool:
    """Whether a base URL points to this machine; False for an invalid URL."""
    url = url.strip()
    if _ODD.search(url):
        return False
    try:
        return is_loopback(urlsplit(url).hostname or "")
    except ValueError:
        return False


def goes_in_the_clear(url: str) -> bool:
    """Whether a base URL is plain http to another machine, so that its traffic can be read in transit."""
    return url.strip().lower().startswith("http://") and not is_local_url(url)


def refuse_cleartext(url: str, owner: str) -> None:
    """Check that a base URL's traffic cannot be read in transit.

    Args:
        url: The base URL.
        owner: Its service or model, for the message.

    Raises:
        ConfigError: It is plain http to another machine.
    """
    if goes_in_the_clear(url):
        raise ConfigError(
            f"the base URL of {owner} is plain http to another machine: prompts and keys could be read on "
            "the way; use https, or set %config Ainb.allow_insecure_http = True "
            "(AINB_ALLOW_INSECURE_HTTP=1) on a network that you trust"
        )


def _resolves_here(name: str) -> bool:
    """Whether every address of a name is a loopback address.

    A system without a rule of its own for ``.localhost`` looks the name up in the network.
    """
    if not _NAME.fullmatch(name):
        return False
    try:
        found = socket.getaddrinfo(name, None)
        return bool(found) and all(ipaddress.ip_address(str(item[4][0])).is_loopback for item in found)
    except (OSError, ValueError):
        return False
