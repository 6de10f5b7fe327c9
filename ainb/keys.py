"""Where keys come from: the environment, read when a call is made; and never into any text.

A key is a `Key`: a text that shows itself as ``'***'``, so that neither a cell's echo nor a verbose traceback prints it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from ainb.errors import ConfigError

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


class Key(str):
    """A secret text; its repr is ``'***'``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def variable(name: str) -> str:
    """The environment variable behind `name`: a service's key variable, else `name` itself."""
    return KEY_VARIABLES.get(name, name)


def get(name: str) -> str | None:
    """The key of a service (``"openai"``) or the value of a variable (``"DATABASE_URL"``).

    Returns:
        The value with outer white space stripped, shown as ``'***'``; None when it is not set or empty.
    """
    value = os.environ.get(KEY_VARIABLES.get(name, name))
    value = value and value.strip()
    return Key(value) if value else None


def require(*names: str) -> dict[str, str]:
    """All of these keys and variables at once.

    Args:
        names: Services or variable names.

    Returns:
        Name as given to value; values are shown as ``'***'``.

    Raises:
        ConfigError: Some are not set; the message names all of them.
    """
    found = {name: get(name) for name in names}
    missing = [variable(name) for name, value in found.items() if value is None]
    if missing:
        raise ConfigError(
            f"not set: {', '.join(missing)}; set {'it' if len(missing) == 1 else 'them'} in the environment "
            "(before Jupyter starts, or with os.environ[…] = … in a cell that is not kept)"
        )
    return {name: value for name, value in found.items() if value is not None}


def found() -> list[str]:
    """Names of the providers' key variables that are set, in the order of the table."""
    return [name for name in KEY_VARIABLES.values() if os.environ.get(name, "").strip()]
