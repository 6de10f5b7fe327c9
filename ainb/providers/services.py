"""Table of the services: protocol, base URL, environment variables of key and base URL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ainb.variables import KEY_VARIABLES, value_of

Protocol = Literal["openai", "anthropic", "local", "scripted", "pydantic"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service.

    Attributes:
        name: As in ``provider:model``.
        protocol: Protocol, which selects the adapter.
        base_url: Base URL; None when only the environment has it.
        base_url_variable: Environment variable that overrides `base_url`.
        key_variable: Environment variable that holds the key.
        key_needed: Whether calls require a key.
        free: Whether calls cost nothing, because they run on the user's own machine.
        json_mode: Whether it accepts ``response_format={"type": "json_object"}``.
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
            "anthropic", "https://api.anthropic.com/v1", protocol="anthropic", json_mode=False, batch_api=True
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

# Built-in aliases of jupyter-ai.
NICKNAMES: Mapping[str, str] = {"chatgpt": "openai:gpt-3.5-turbo", "gpt4": "openai:gpt-4"}

# Patterns of model names that only one service has, so that the service may be left out.
OWN_NAMES: tuple[tuple[str, str], ...] = (
    (r"gpt-\d|chatgpt-|o[134](-|$)", "openai"),
    (r"claude-", "anthropic"),
    (r"gemini-", "gemini"),
    (r"(mi|mini|magi|code|pix)stral-|pixtral-", "mistral"),
    (r"deepseek-(chat|reasoner)$", "deepseek"),
)

# Services reached through pydantic-ai: name in jupyter-ai and LiteLLM, and name in pydantic-ai.
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
    """The base URL in an environment variable, or in the variable that other tools use; None without either.

    Sources: ``OPENAI_API_BASE`` of openai before 1.0 and of LangChain; ``OLLAMA_HOST`` as read by ``ollama
    serve``: scheme and port may be missing, and the host may stand for all addresses of the machine.
    """
    if found := value_of(variable):
        return found
    if variable == "OPENAI_BASE_URL":
        return value_of("OPENAI_API_BASE") or None
    host = (value_of("OLLAMA_HOST") or "").strip() if variable == "OLLAMA_BASE_URL" else ""
    if not host:
        return None
    scheme, _, rest = host.rpartition("://")
    name, colon, port = rest.strip("/").rpartition(":") if not rest.endswith("]") else (rest, "", "")
    if not colon or not port.isdigit():
        name, port = rest.strip("/"), {"http": "80", "https": "443"}.get(scheme, OLLAMA_PORT)
    if name in {"", "0.0.0.0", "[::]", "::"}:  # noqa: S104 - a listening address is not one to connect to
        name = "127.0.0.1"
    return f"{scheme or 'http'}://{name}:{port}/v1"
