"""ainb: validated, cached, rate-limited, retried, budgeted and logged calls of language models in notebooks.

``%load_ext ainb`` registers ``%%ai`` and ``%ai``; everything else is loaded on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ainb import host

if TYPE_CHECKING:
    from ainb import keys, testing
    from ainb.batch import BatchFailedError, BatchInterrupted
    from ainb.compare import Agreement, Comparison, agreement
    from ainb.config import Config
    from ainb.engine import Job
    from ainb.errors import (
        AinbError,
        BatchPendingError,
        BudgetExceededError,
        CallRejectedError,
        CircuitOpenError,
        ConfigError,
        ContentFilteredError,
        DeadlineExceededError,
        InvalidPromptError,
        InvalidReplyError,
        NotConfirmedError,
        PermanentProviderError,
        ProviderError,
        RateLimitError,
        RefusedError,
        ReplayMissError,
        TransientProviderError,
    )
    from ainb.messages import Message, Reply, Usage
    from ainb.panels import panel
    from ainb.pipeline.budget import Budget
    from ainb.pipeline.cache import Cache, ResponseCache
    from ainb.pipeline.circuit import Circuit, CircuitBreaker
    from ainb.pipeline.deadline import Deadline
    from ainb.pipeline.rate_limit import RateLimit, RateLimiter
    from ainb.pipeline.retry import Retry, retrying
    from ainb.pipeline.validation import Finding, Rule, Validation, Validator, sanitize, validate
    from ainb.pricing import estimate, price
    from ainb.session import Session, current
    from ainb.tokens import count_tokens
    from ainb.version import __version__

_HOMES = {
    "BatchFailedError": "batch",
    "BatchInterrupted": "batch",
    "BatchPendingError": "errors",
    "Agreement": "compare",
    "Comparison": "compare",
    "agreement": "compare",
    "Config": "config",
    "Job": "engine",
    "AinbError": "errors",
    "BudgetExceededError": "errors",
    "NotConfirmedError": "errors",
    "CallRejectedError": "errors",
    "CircuitOpenError": "errors",
    "ConfigError": "errors",
    "ContentFilteredError": "errors",
    "DeadlineExceededError": "errors",
    "InvalidPromptError": "errors",
    "InvalidReplyError": "errors",
    "PermanentProviderError": "errors",
    "ProviderError": "errors",
    "RateLimitError": "errors",
    "RefusedError": "errors",
    "ReplayMissError": "errors",
    "TransientProviderError": "errors",
    "Message": "messages",
    "Reply": "messages",
    "Usage": "messages",
    "Budget": "pipeline.budget.options",
    "Cache": "pipeline.cache.options",
    "CircuitBreaker": "pipeline.circuit.standalone",
    "Circuit": "pipeline.circuit.state_machine",
    "Deadline": "pipeline.deadline.stage",
    "RateLimit": "pipeline.rate_limit.options",
    "RateLimiter": "pipeline.rate_limit.standalone",
    "ResponseCache": "pipeline.cache.standalone",
    "retrying": "pipeline.retry.standalone",
    "Retry": "pipeline.retry.policy",
    "Finding": "pipeline.validation.rules",
    "Rule": "pipeline.validation.rules",
    "sanitize": "pipeline.validation.untrusted",
    "validate": "pipeline.validation.stage",
    "Validation": "pipeline.validation.options",
    "Validator": "pipeline.validation.validator",
    "estimate": "pricing",
    "price": "pricing",
    "Session": "session",
    "current": "session",
    "panel": "panels",
    "count_tokens": "tokens",
    "__version__": "version",
}
_MODULES = ("keys", "testing")

__all__ = [
    "Agreement",
    "AinbError",
    "BatchFailedError",
    "BatchInterrupted",
    "BatchPendingError",
    "Budget",
    "BudgetExceededError",
    "Cache",
    "CallRejectedError",
    "Circuit",
    "CircuitBreaker",
    "CircuitOpenError",
    "Comparison",
    "Config",
    "ConfigError",
    "ContentFilteredError",
    "Deadline",
    "DeadlineExceededError",
    "Finding",
    "InvalidPromptError",
    "InvalidReplyError",
    "Job",
    "Message",
    "NotConfirmedError",
    "PermanentProviderError",
    "ProviderError",
    "RateLimit",
    "RateLimitError",
    "RateLimiter",
    "RefusedError",
    "ReplayMissError",
    "Reply",
    "ResponseCache",
    "Retry",
    "Rule",
    "Session",
    "TransientProviderError",
    "Usage",
    "Validation",
    "Validator",
    "__version__",
    "agreement",
    "count_tokens",
    "current",
    "estimate",
    "keys",
    "panel",
    "price",
    "retrying",
    "sanitize",
    "testing",
    "validate",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"ainb.{name}")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'ainb' has no attribute {name!r}")
    return getattr(importlib.import_module(f"ainb.{home}"), name)


def _show_result(result: Any, /) -> None:
    from ainb.panels.compare import show

    show(result)


host.register_result_display(_show_result)


def __dir__() -> list[str]:
    return sorted(__all__)


def load_ipython_extension(shell: Any) -> None:
    """Register the magics; called by ``%load_ext ainb``."""
    from ainb.magics import load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Unregister the magics; called by ``%unload_ext ainb``."""
    from ainb.magics import unload

    unload(shell)
