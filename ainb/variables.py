"""Environment variables: names of those that hold keys, and a fast look-up; no other import of ainb."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping

KEY_VARIABLES: Mapping[str, str] = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "azure": "AZURE_OPENAI_API_KEY",
    "groq": "GROQ_API_KEY",
    "mistral": "MISTRAL_API_KEY",
    "deepseek": "DEEPSEEK_API_KEY",
    "together": "TOGETHER_API_KEY",
    "openrouter": "OPENROUTER_API_KEY",
    "gemini": "GEMINI_API_KEY",
    "ollama": "OLLAMA_API_KEY",
    "lmstudio": "LMSTUDIO_API_KEY",
    "vllm": "VLLM_API_KEY",
}

# Keys of other services that are often in the environment too.
OTHER_KEY_VARIABLES = (
    "GOOGLE_API_KEY",
    "XAI_API_KEY",
    "COHERE_API_KEY",
    "FIREWORKS_API_KEY",
    "HF_TOKEN",
    "GITHUB_TOKEN",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
)

_encoded = functools.lru_cache(maxsize=256)(getattr(os.environ, "encodekey", str))


def value_of(name: str) -> str | None:
    """The value of an environment variable; None when it is not set.

    ``os.environ.get`` raises and catches two errors for each variable that is not set.
    """
    table = getattr(os.environ, "_data", None)  # None when a test has replaced os.environ by a dict
    return os.environ.get(name) if table is None or _encoded(name) in table else None
