"""Environment variables: names of those that hold keys, and a fast look-up; no other import of ainb."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from typing import Any

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

_ENVIRON = os.environ
# The mapping under os.environ, and the key of a variable in it: os.environ itself raises and catches two
# errors for each variable that is not set, which was a third of the time of checking a text for keys.
TABLE: Mapping[Any, Any] = getattr(os.environ, "_data", os.environ)
table_key: Callable[[str], Any] = functools.lru_cache(maxsize=256)(getattr(os.environ, "encodekey", str))


def value_of(name: str) -> str | None:
    """The value of an environment variable; None when it is not set. Faster than ``os.environ.get``."""
    was_replaced = os.environ is not _ENVIRON  # by a test
    return os.environ.get(name) if was_replaced or table_key(name) in TABLE else None
