"""Name resolution of the HTTP client: names below ``.localhost`` resolve to this machine or not at all."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from aiohttp.abc import ResolveResult


class Resolver(aiohttp.ThreadedResolver):
    """The system's resolver; checks again that names below ``.localhost`` resolve to this machine.

    A name server may return one address to the check in `ainb.providers.http.hosts.is_loopback` and another
    one to the connection.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Addresses of a host.

        Raises:
            OSError: The host has none, or a name below ``.localhost`` resolves to another machine.
        """
        found = await super().resolve(host, port, family)
        if host.lower().rstrip(".").endswith(".localhost"):
            found = [item for item in found if ipaddress.ip_address(item["host"]).is_loopback]
            if not found:
                raise OSError(f"{host} does not resolve to this machine")
        return found
