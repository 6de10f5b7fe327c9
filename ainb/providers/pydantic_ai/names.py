"""Parser of ``pydantic:PROVIDER:MODEL``: the provider, and the environment variables of its key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SERVICE: Final = "pydantic"
_KINDS: Final = ("-chat", "-responses", "-decisions", "-cloud", "-mantle")
# Providers whose variable is not PROVIDER_API_KEY; the first one that is set is used.
_VARIABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "alibaba": ("ALIBABA_API_KEY", "DASHSCOPE_API_KEY"),
    "azure": ("AZURE_OPENAI_API_KEY",),
    "bedrock": ("AWS_BEARER_TOKEN_BEDROCK",),
    "cohere": ("CO_API_KEY",),
    "gateway": ("PYDANTIC_AI_GATEWAY_API_KEY", "PAIG_API_KEY"),
    "google": ("GOOGLE_API_KEY", "GEMINI_API_KEY"),
    "heroku": ("HEROKU_INFERENCE_KEY",),
    "huggingface": ("HF_TOKEN",),
}
# Providers that may get their key from a profile, a machine's role or a login, or need none.
_WITHOUT_KEY: Final = frozenset({"bedrock", "google-cloud", "ollama", "test", "vllm", "openai-codex"})
# Offered by Tab completion; pydantic-ai's other providers work too.
OFFERED: Final = (
    "anthropic", "bedrock", "cerebras", "cohere", "google", "google-cloud", "groq", "huggingface", "mistral",
    "openai", "xai",
)  # fmt: skip


def split_name(model: str) -> tuple[str, str]:
    """Provider and its own model name; a model of pydantic-ai itself ("test") is its own provider.

    >>> split_name("bedrock:us.amazon.nova-lite-v1:0")
    ('bedrock', 'us.amazon.nova-lite-v1:0')
    >>> split_name("google/gemini-2.5-flash")
    ('google', 'gemini-2.5-flash')
    """
    provider, mark, name = model.partition(":" if ":" in model else "/")
    return provider.strip(), name.strip() if mark else provider.strip()


def key_variables(provider: str) -> tuple[str, ...]:
    """Environment variables that may hold the provider's key, the usual one first."""
    root = provider.partition("/")[0]
    for kind in _KINDS:
        root = root.removesuffix(kind)
    return _VARIABLES.get(root) or (f"{root.upper().replace('-', '_')}_API_KEY",)


def needs_key(provider: str) -> bool:
    """Whether calls fail without one of `key_variables`."""
    return provider not in _WITHOUT_KEY
