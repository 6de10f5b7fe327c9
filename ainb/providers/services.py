"""The named services as one table.

Protocol, base URL, and the environment variables that hold key and URL.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ainb.keys import KEY_VARIABLES

Protocol = Literal["openai", "anthropic", "local", "scripted", "pydantic"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A place that answers prompts.

    Attributes:
        name: As in ``provider:model``.
        protocol: Which adapter speaks to it.
        base_url: Where it lives; None when only the environment can tell.
        base_url_variable: Environment variable that overrides `base_url`.
        key_variable: Environment variable that holds the key.
        key_needed: Whether it refuses calls without a key.
        free: Whether calls cost nothing, because they run on the person's own machine.
        json_mode: Whether it takes ``response_format={"type": "json_object"}``.
        batch_api: Whether it has a batch API that `ainb.jobs` can use.
    """

    name: str
    protocol: Protocol = "openai"
    base_url: str | None = None
    base_url_variable: str | None = None
    key_variable: str | None = None
    key_needed: bool = True
    free: bool = False
    json_mode: bool = False
    batch_api: bool = False


def _service(name: str, base_url: str | None, *, variable: str = "", **more: Any) -> Service:
    named = {"base_url_variable": variable or f"{name.upper()}_BASE_URL", "key_variable": KEY_VARIABLES[name]}
    return Service(name=name, base_url=base_url, **{"json_mode": True, **named, **more})


OLLAMA_PORT = "11434"

SERVICES: Mapping[str, Service] = {
    service.name: service
    for service in (
        Service(name="local", protocol="local", key_needed=False, free=True, json_mode=True),
        _service("openai", "https://api.openai.com/v1", batch_api=True),
        _service(
            "anthropic",
            "https://api.anthropic.com/v1",
            protocol="anthropic",
            json_mode=False,
            batch_api=True,
        ),
        _service("azure", None, variable="AZURE_OPENAI_ENDPOINT", batch_api=True),
        _service("ollama", "http://127.0.0.1:11434/v1", key_needed=False, free=True),
        _service("lmstudio", "http://127.0.0.1:1234/v1", key_needed=False, free=True, json_mode=False),
        _service("vllm", "http://127.0.0.1:8000/v1", key_needed=False, free=True),
        _service("groq", "https://api.groq.com/openai/v1", batch_api=True),
        _service("mistral", "https://api.mistral.ai/v1"),
        _service("deepseek", "https://api.deepseek.com/v1"),
        _service("together", "https://api.together.xyz/v1"),
        _service("openrouter", "https://openrouter.ai/api/v1"),
        _service("gemini", "https://generativelanguage.googleapis.com/v1beta/openai"),
        Service(name="pydantic", protocol="pydantic"),
        Service(name="scripted", protocol="scripted", key_needed=False, free=True),
    )
}

# What jupyter-ai calls these models without an alias having been made.
NICKNAMES: Mapping[str, str] = {"chatgpt": "openai:gpt-3.5-turbo", "gpt4": "openai:gpt-4"}

# Model names that belong to one service alone, so that the service may be left out.
OWN_NAMES: tuple[tuple[str, str], ...] = (
    (r"gpt-\d|chatgpt-|o[134](-|$)", "openai"),
    (r"claude-", "anthropic"),
    (r"gemini-", "gemini"),
    (r"(mi|mini|magi|code|pix)stral-|pixtral-", "mistral"),
    (r"deepseek-(chat|reasoner)$", "deepseek"),
)

# Names of jupyter-ai and LiteLLM for services that are reached through pydantic-ai, and what that calls them.
THROUGH_PYDANTIC: Mapping[str, str] = {
    "bedrock": "bedrock",
    "bedrock-chat": "bedrock",
    "bedrock_converse": "bedrock",
    "cerebras": "cerebras",
    "cohere": "cohere",
    "cohere_chat": "cohere",
    "fireworks_ai": "fireworks",
    "huggingface": "huggingface",
    "huggingface_hub": "huggingface",
    "moonshot": "moonshotai",
    "sambanova": "sambanova",
    "vertex_ai": "google-cloud",
    "xai": "xai",
}

SYNONYMS: Mapping[str, str] = {
    "anthropic-chat": "anthropic",
    "azure-chat-openai": "azure",
    "azure-openai": "azure",
    "azure-openai-chat": "azure",
    "google": "gemini",
    "hosted_vllm": "vllm",
    "lm_studio": "lmstudio",
    "mistralai": "mistral",
    "ollama_chat": "ollama",
    "openai-chat": "openai",
    "openai-chat-custom": "openai",
    "openai-chat-new": "openai",
    "together_ai": "together",
    "togetherai": "together",
}


def base_url_of(variable: str) -> str | None:
    """The base URL in an environment variable, or in the one that other tools use for the same.

    None where neither is set.

    Sources: ``OPENAI_API_BASE`` of openai before 1.0 and of LangChain; ``OLLAMA_HOST`` as ``ollama serve``
    reads it, which may lack scheme and port and name all addresses of the machine.
    """
    if found := os.environ.get(variable):
        return found
    if variable == "OPENAI_BASE_URL":
        return os.environ.get("OPENAI_API_BASE") or None
    host = os.environ.get("OLLAMA_HOST", "").strip() if variable == "OLLAMA_BASE_URL" else ""
    if not host:
        return None
    scheme, _, rest = host.rpartition("://")
    name, colon, port = rest.strip("/").rpartition(":") if not rest.endswith("]") else (rest, "", "")
    if not colon or not port.isdigit():
        name, port = rest.strip("/"), {"http": "80", "https": "443"}.get(scheme, OLLAMA_PORT)
    if name in {"", "0.0.0.0", "[::]", "::"}:  # noqa: S104 - what a server listens on is no address to ask
        name = "127.0.0.1"
    return f"{scheme or 'http'}://{name}:{port}/v1"
