"""ainb: validated, cached, rate-limited, retried, budgeted and logged calls of language models in notebooks.

``%load_ext ainb`` registers ``%%ai`` and ``%ai``; everything else is loaded on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ainb import host
from ainb.lazy import lazy_exports

if TYPE_CHECKING:
    from ainb import keys, testing
    from ainb.batch import BatchFailedError, BatchInterrupted
    from ainb.compare import Agreement, Comparison, agreement
    from ainb.config import Config
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
    from ainb.job import Job
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

# Public names, with blanks between them, by the module that defines them.
_HOMES = {
    "batch": "BatchFailedError BatchInterrupted",
    "compare": "Agreement Comparison agreement",
    "config": "Config",
    "errors": (
        "AinbError BatchPendingError BudgetExceededError CallRejectedError CircuitOpenError ConfigError "
        "ContentFilteredError DeadlineExceededError InvalidPromptError InvalidReplyError "
        "NotConfirmedError PermanentProviderError ProviderError RateLimitError RefusedError "
        "ReplayMissError TransientProviderError"
    ),
    "job": "Job",
    "messages": "Message Reply Usage",
    "panels": "panel",
    "pipeline.budget.options": "Budget",
    "pipeline.cache.options": "Cache",
    "pipeline.cache.standalone": "ResponseCache",
    "pipeline.circuit.standalone": "CircuitBreaker",
    "pipeline.circuit.state_machine": "Circuit",
    "pipeline.deadline.stage": "Deadline",
    "pipeline.rate_limit.options": "RateLimit",
    "pipeline.rate_limit.standalone": "RateLimiter",
    "pipeline.retry.policy": "Retry",
    "pipeline.retry.standalone": "retrying",
    "pipeline.validation.options": "Validation",
    "pipeline.validation.rules": "Finding Rule",
    "pipeline.validation.stage": "validate",
    "pipeline.validation.untrusted": "sanitize",
    "pipeline.validation.validator": "Validator",
    "pricing": "estimate price",
    "session": "Session current",
    "tokens": "count_tokens",
    "version": "__version__",
}
_MODULES = ("keys", "testing")

__all__ = [
    "Agreement", "AinbError", "BatchFailedError", "BatchInterrupted", "BatchPendingError", "Budget",
    "BudgetExceededError", "Cache", "CallRejectedError", "Circuit", "CircuitBreaker", "CircuitOpenError",
    "Comparison", "Config", "ConfigError", "ContentFilteredError", "Deadline", "DeadlineExceededError",
    "Finding", "InvalidPromptError", "InvalidReplyError", "Job", "Message", "NotConfirmedError",
    "PermanentProviderError", "ProviderError", "RateLimit", "RateLimitError", "RateLimiter", "RefusedError",
    "ReplayMissError", "Reply", "ResponseCache", "Retry", "Rule", "Session", "TransientProviderError",
    "Usage", "Validation", "Validator", "__version__", "agreement", "count_tokens", "current", "estimate",
    "keys", "panel", "price", "retrying", "sanitize", "testing", "validate",
]  # fmt: skip


_find = lazy_exports("ainb", **_HOMES)


def __getattr__(name: str) -> Any:
    return importlib.import_module(f"ainb.{name}") if name in _MODULES else _find(name)


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
