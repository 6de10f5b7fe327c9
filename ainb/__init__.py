"""ainb: prompts from a notebook to a language model, each one validated, cached, limited, retried, budgeted and recorded.

``%load_ext ainb`` registers ``%%ai`` and ``%ai``; everything else is loaded when it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ainb.config import Config
    from ainb.engine import Job
    from ainb.errors import (
        AinbError,
        BudgetExceededError,
        CallRejectedError,
        CircuitOpenError,
        ConfigError,
        DeadlineExceededError,
        InvalidPromptError,
        InvalidReplyError,
        PermanentProviderError,
        ProviderError,
        RateLimitError,
        ReplayMissError,
        TransientProviderError,
    )
    from ainb.messages import Message, Reply, Usage
    from ainb.panels import panel
    from ainb.pipeline.deadline import Deadline
    from ainb.session import Session, current

__version__ = "0.1.0"

_HOMES = {
    "Config": "config",
    "Job": "engine",
    "AinbError": "errors",
    "BudgetExceededError": "errors",
    "CallRejectedError": "errors",
    "CircuitOpenError": "errors",
    "ConfigError": "errors",
    "DeadlineExceededError": "errors",
    "InvalidPromptError": "errors",
    "InvalidReplyError": "errors",
    "PermanentProviderError": "errors",
    "ProviderError": "errors",
    "RateLimitError": "errors",
    "ReplayMissError": "errors",
    "TransientProviderError": "errors",
    "Message": "messages",
    "Reply": "messages",
    "Usage": "messages",
    "Deadline": "pipeline.deadline",
    "Session": "session",
    "current": "session",
    "panel": "panels",
}

__all__ = [
    "AinbError",
    "BudgetExceededError",
    "CallRejectedError",
    "CircuitOpenError",
    "Config",
    "ConfigError",
    "Deadline",
    "DeadlineExceededError",
    "InvalidPromptError",
    "InvalidReplyError",
    "Job",
    "Message",
    "PermanentProviderError",
    "ProviderError",
    "RateLimitError",
    "ReplayMissError",
    "Reply",
    "Session",
    "TransientProviderError",
    "Usage",
    "__version__",
    "current",
    "panel",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'ainb' has no attribute {name!r}")
    return getattr(importlib.import_module(f"ainb.{home}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)


def load_ipython_extension(shell: Any) -> None:
    """Register the magics; called by ``%load_ext ainb``."""
    from ainb.magics import load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Take the magics away again; called by ``%unload_ext ainb``."""
    from ainb.magics import unload

    unload(shell)
