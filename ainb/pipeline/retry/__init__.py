"""Retry: repeats transient failures with full jitter, within the deadline and a retry budget.

`policy` decides (options, backoff, retry budget) without waiting; `stage` applies it to calls, `standalone`
to any function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ainb.lazy import lazy_exports

if TYPE_CHECKING:
    from ainb.pipeline.retry.policy import Retry, backoff_seconds, is_retryable
    from ainb.pipeline.retry.stage import RetryStage
    from ainb.pipeline.retry.standalone import retrying
else:
    __getattr__ = lazy_exports(
        __name__,
        policy="Retry backoff_seconds is_retryable",
        stage="RetryStage",
        standalone="retrying",
    )

__all__ = ["Retry", "RetryStage", "backoff_seconds", "is_retryable", "retrying"]
