"""Rules by model family for providers' prompt caches: kind, minimum size and lifetime.

Source: OpenAI's and Anthropic's pages on prompt caching, as of November 2026.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["mark", "breakpoint", "key"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptCache:
    """The prompt cache of one family of models.

    Attributes:
        kind: What a request must contain: "mark" means Anthropic's ``cache_control`` on a block, "breakpoint"
            OpenAI's explicit mode, "key" a stable ``prompt_cache_key`` for models that cache automatically.
        minimum_tokens: Shorter prefixes are not cached.
        life_seconds: Time after the last use until a prefix expires.
    """

    kind: Kind
    minimum_tokens: int
    life_seconds: float

    @property
    def is_marked(self) -> bool:
        """Whether the end of the shared prefix is marked in the request."""
        return self.kind != "key"


@dataclass(frozen=True, slots=True)
class SharedPrefix:
    """Prefix shared by all rows of a batch: the messages before the row's own, and the start of that one.

    Attributes:
        text: The start of the row's message that is the same in every row; may be empty.
        at: Index of the row's message.
        tokens: Tokens of everything up to the end of `text`, tools and system message included.
    """

    text: str = field(repr=False)
    at: int
    tokens: int


OPENAI_MINIMUM = 1_024
# Requests per key and minute above which OpenAI routes requests of one key to several machines.
REQUESTS_PER_KEY = 15
_BREAKPOINT = PromptCache(kind="breakpoint", minimum_tokens=OPENAI_MINIMUM, life_seconds=1_800.0)
_KEY = PromptCache(kind="key", minimum_tokens=OPENAI_MINIMUM, life_seconds=300.0)


_mark = functools.partial(PromptCache, kind="mark", life_seconds=300.0)
# First match counts, as in `families`.
_OPENAI: tuple[tuple[str, PromptCache], ...] = (
    (r"gpt-5\.[6-9](?!\d)|gpt-5\.\d\d|gpt-[6-9](?!\d)|gpt-\d\d", _BREAKPOINT),
    (r"gpt-5(?!\d)|gpt-4o|gpt-4\.[15](?!\d)|chatgpt-4o|o[134](?!\d)", _KEY),
)
_ANTHROPIC: tuple[tuple[str, PromptCache], ...] = (
    (r"claude-3-haiku|claude-3[-.]5-haiku", _mark(minimum_tokens=2_048)),
    (r"claude-3|claude-(opus|sonnet)-4(?=$|-0|-2|-latest|@)", _mark(minimum_tokens=1_024)),
    (r"claude-(\d|instant)", _mark(minimum_tokens=1_024)),
    (r"claude-opus-4[-.][56](?!\d)|claude-haiku-4[-.]5(?!\d)", _mark(minimum_tokens=4_096)),
    (r"claude-opus-4[-.]7(?!\d)", _mark(minimum_tokens=2_048)),
    (
        r"claude-[a-z]+-5[-.]5(?!\d)|claude-opus-5(?![-.]?\d)|claude-(fable|mythos)-5(?!\d)",
        _mark(minimum_tokens=512),
    ),
)
_OTHER_CLAUDE = _mark(minimum_tokens=1_024)


@functools.lru_cache(maxsize=512)
def prompt_cache_of(service: str, model: str) -> PromptCache | None:
    """The prompt cache of a model's provider; None if it has none that a request can use.

    Args:
        service: Service name, such as "openai"; Azure deployments are looked up as OpenAI models.
        model: The service's own model name, a fine-tune's included.
    """
    name = model.lower().removeprefix("ft:")
    if service in {"openai", "azure"}:
        return next((cache for pattern, cache in _OPENAI if re.match(pattern, name)), None)
    if service == "anthropic":
        name = name.rpartition("/")[2].rpartition("anthropic.")[2]
        other = _OTHER_CLAUDE if name.startswith("claude") else None
        return next((cache for pattern, cache in _ANTHROPIC if re.match(pattern, name)), other)
    return None
