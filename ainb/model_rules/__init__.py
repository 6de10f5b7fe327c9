"""Rules by model family, as data: accepted parameters (`families`), prompt caches (`prompt_caches`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ainb.lazy import lazy_exports

if TYPE_CHECKING:
    from ainb.model_rules.families import (
        LEVELS,
        THINKING_TOKENS,
        Family,
        asked_effort,
        family_of,
        thinking_tokens,
    )
    from ainb.model_rules.prompt_caches import REQUESTS_PER_KEY, PromptCache, SharedPrefix, prompt_cache_of
else:
    __getattr__ = lazy_exports(
        __name__,
        families="LEVELS THINKING_TOKENS Family asked_effort family_of thinking_tokens",
        prompt_caches="REQUESTS_PER_KEY PromptCache SharedPrefix prompt_cache_of",
    )

__all__ = [
    "LEVELS", "REQUESTS_PER_KEY", "THINKING_TOKENS", "Family", "PromptCache", "SharedPrefix", "asked_effort",
    "family_of", "prompt_cache_of", "thinking_tokens",
]  # fmt: skip
