"""Models of pydantic-ai, each made once per event loop with a client that never retries."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic_ai.models import Model, infer_model
from pydantic_ai.providers import infer_provider_class

from ainb.errors import ConfigError
from ainb.providers.pydantic_ai.names import SERVICE, split_name
from ainb.providers.shutdown import at_close

Make = Callable[..., Model]
MAX_MODELS: Final = 64
FINALIZER_PASSES = 3
_READ_SECONDS: Final = 300
_CONNECT_SECONDS: Final = 10
# Per loop, because the clients are bound to one. Shared by all sessions, so that no connection stays open
# after the last session is closed.
_models: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[Any, ...], Model]] = (
    weakref.WeakKeyDictionary()
)


def preload(provider: str) -> None:
    """Import a provider's client, which takes a second or two; call it in a thread, not on the loop."""
    # An unknown provider or a missing client is reported when the model is made.
    with contextlib.suppress(ValueError, ImportError):
        infer_provider_class(provider)


async def open_model(name: str, *, base_url: str | None, api_key: str | None, key: Any, make: Make) -> Model:
    """The running loop's model of a name, made and entered on first use.

    Args:
        name: Name in pydantic-ai, ``provider:model``.
        base_url: Base URL; None means the provider's own.
        api_key: Key; None means the one in the provider's environment variable.
        key: Distinguishes models of the same name: the keys in use.
        make: Makes the model.

    Raises:
        ConfigError: The provider does not accept a base URL or a key as an argument.
    """
    held = _models.setdefault(asyncio.get_running_loop(), {})
    known = (make, name, base_url, key)
    model = held.get(known)
    if model is None:
        model = held[known] = make(name, base_url=base_url, api_key=api_key)
        await model.__aenter__()
        if len(held) > MAX_MODELS:
            oldest = held.pop(next(iter(held)))
            await oldest.__aexit__(None, None, None)
    return model


async def close_clients() -> None:
    """Close the running loop's models; the next call makes new ones."""
    for model in _models.pop(asyncio.get_running_loop(), {}).values():
        await model.__aexit__(None, None, None)
    # SDKs leave the generator of a stream's bytes open; it must be closed before the loop ends.
    for _ in range(FINALIZER_PASSES):
        await asyncio.sleep(0)


at_close(close_clients)


def make_model(name: str, *, base_url: str | None = None, api_key: str | None = None) -> Model:
    """pydantic-ai's own choice for ``provider:model``; arguments as for `open_model`.

    Raises:
        ConfigError: The provider does not accept a base URL or a key as an argument.
    """
    provider = split_name(name)[0]
    options = {
        option: value for option, value in (("base_url", base_url), ("api_key", api_key)) if value is not None
    }
    if provider in _CLIENTS:
        options = _own_client(provider, **options)
    if not options:
        return infer_model(name)
    try:
        return infer_model(name, provider_factory=lambda provider: infer_provider_class(provider)(**options))
    except (TypeError, ValueError) as error:
        text = f"{SERVICE}:{name} cannot be made with {', '.join(options)} ({error})"
    raise ConfigError(f"{text}; set the provider's own environment variables in their place")


def _own_client(provider: str, **options: str) -> dict[str, Any]:
    """Argument with a client of a single attempt, for providers whose requests cannot disable retries."""
    # Imported first: pydantic-ai's own message names the package to install when the client's library is
    # missing.
    importlib.import_module(f"pydantic_ai.providers.{provider}")
    takes, argument, make = _CLIENTS[provider]
    for option in options.keys() - takes:
        raise ConfigError(
            f"{SERVICE}:{provider} does not accept {option} from here; set the provider's own "
            "environment variables in its place"
        )
    return {argument: make(**options)}


def _bedrock_client(base_url: str | None = None) -> Any:
    import boto3
    from botocore.config import Config

    config = Config(
        retries={"total_max_attempts": 1, "mode": "standard"},
        read_timeout=_READ_SECONDS,
        connect_timeout=_CONNECT_SECONDS,
    )
    return boto3.Session().client("bedrock-runtime", config=config, endpoint_url=base_url)


def _xai_client(api_key: str | None = None) -> Any:
    from xai_sdk import AsyncClient

    return AsyncClient(api_key=api_key, channel_options=[("grpc.enable_retries", 0)])


# Supported options, argument of the provider, and function that makes the client.
_CLIENTS: Mapping[str, tuple[frozenset[str], str, Callable[..., Any]]] = {
    "bedrock": (frozenset({"base_url"}), "bedrock_client", _bedrock_client),
    "xai": (frozenset({"api_key"}), "xai_client", _xai_client),
}
