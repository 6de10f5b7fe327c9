"""Adapters of other packages, registered as entry points ``ainb.providers`` under the service's name.

The entry point refers to a callable ``(*, clock) -> Provider``; `ainb.contract` tests whether its providers
fulfil the contract.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ainb.errors import AinbError, ConfigError, PermanentProviderError
from ainb.messages import Call, Reply, Request

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

    from ainb.clock import Clock
    from ainb.messages import Provider

GROUP = "ainb.providers"


def _entry_points() -> EntryPoints:
    # Imported here, because a session with a built-in service does not need it.
    from importlib import metadata

    return metadata.entry_points(group=GROUP)


def names() -> list[str]:
    """Services for which installed packages have adapters."""
    return sorted(_entry_points().names)


def packages() -> dict[str, str]:
    """Package of the adapter by service, sorted by service."""
    entries = _entry_points()
    found = {entry.name: entry.dist.name if entry.dist else entry.value for entry in entries}
    return dict(sorted(found.items()))


def make_plugin(service: str, *, clock: Clock) -> Provider:
    """Load the adapter of another package.

    Raises:
        ConfigError: It cannot be loaded, or its callable fails.
    """
    (entry, *_) = _entry_points().select(name=service)
    try:
        made = entry.load()(clock=clock)
    except AinbError:
        raise
    except Exception as error:
        raise ConfigError(
            f"the adapter of {service} ({entry.value}) cannot be loaded ({type(error).__name__}: {error}); "
            "update its package"
        ) from error
    return (ListingPlugin if hasattr(made, "list_models") else PluginProvider)(made, service)


class PluginProvider:
    """Wrapper of another package's adapter: an exception or result of another type becomes a `ProviderError`.

    Args:
        adapter: The other package's adapter.
        name: Service name under which it is registered.
    """

    def __init__(self, adapter: Provider, name: str) -> None:
        self._adapter = adapter
        self.name = name

    @property
    def free(self) -> bool:
        """Whether calls cost nothing."""
        return bool(self._adapter.free)

    def body(self, request: Request) -> dict[str, Any]:
        """The whole outgoing body."""
        return self._adapter.body(request)

    def endpoint(self, request: Request) -> str:
        """Endpoint of a request."""
        return self._adapter.endpoint(request)

    def account(self, request: Request) -> str:
        """Account whose rate limits apply."""
        return self._adapter.account(request)

    async def send(self, call: Call) -> Reply:
        """One attempt.

        Raises:
            ProviderError: It failed, or the adapter broke the contract.
            ConfigError: A key or an option is missing or invalid.
        """
        with self._contained(billed=True):
            reply: Any = await self._adapter.send(call)
        if not isinstance(reply, Reply):
            raise PermanentProviderError(
                f"the adapter of {self.name} returned {type(reply).__name__} in place of a Reply; this is a "
                "fault of its package",
                billed=True,
            )
        return reply

    @contextlib.contextmanager
    def _contained(self, *, billed: bool) -> Iterator[None]:
        """Convert an exception of the adapter to a `ProviderError`."""
        try:
            yield
        except (AinbError, ConnectionError, TimeoutError):
            raise
        except Exception as error:
            raise PermanentProviderError(
                f"the adapter of {self.name} raised {type(error).__name__}: {error}; this is a fault of its "
                "package",
                billed=billed,
            ) from error


class ListingPlugin(PluginProvider):
    """Wrapper of an adapter that can list its models."""

    async def list_models(self) -> list[str]:
        """Names of the models that the service offers now.

        Raises:
            ProviderError: It cannot be reached, or the adapter broke the contract.
        """
        with self._contained(billed=False):
            return [str(name) for name in await self._adapter.list_models()]  # type: ignore[attr-defined]  # checked by make_plugin
