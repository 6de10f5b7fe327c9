"""Rules by model family, as data: accepted parameters (`families`), prompt caches (`prompt_caches`)."""

from ainb.model_rules.families import (
    LEVELS,
    THINKING_TOKENS,
    Family,
    asked_effort,
    family_of,
    thinking_tokens,
)
from ainb.model_rules.prompt_caches import REQUESTS_PER_KEY, PromptCache, SharedPrefix, prompt_cache_of

__all__ = [
    "LEVELS", "REQUESTS_PER_KEY", "THINKING_TOKENS", "Family", "PromptCache", "SharedPrefix", "asked_effort",
    "family_of", "prompt_cache_of", "thinking_tokens",
]  # fmt: skip
