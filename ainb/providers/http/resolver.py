"""Name resolution of the HTTP client: names below ``.localhost`` resolve to this machine or not at all."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from aiohttp.abc import ResolveResult


class Resolver(aiohttp.ThreadedResolver):
    """The system's resolver, held to what `ainb.providers.http.hosts.is_loopback` has promised.

    A name server may answer the check with one address and the connection with another.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Addresses of a host.

        Raises:
            OSError: There is none, or a name below ``.localhost`` leads to another machine.
        """
        found = await super().resolve(host, port, family)
        if host.lower().rstrip(".").endswith(".localhost"):
            found = [item for item in found if ipaddress.ip_address(item["host"]).is_loopback]
            if not found:
                raise OSError(f"{host} does not resolve to this machine")
        return found
