"""Prompt cache layout: marks the end of the prefix that all rows of a batch share.

The text of the messages stays the same byte for byte; a message is only split into two parts at the end of
the shared prefix.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from ainb.messages import Request
from ainb.model_rules import REQUESTS_PER_KEY, PromptCache, prompt_cache_of

WINDOW_SECONDS: Final = 60.0
MAX_PREFIXES: Final = 256
# Each key starts with an empty cache, so more keys would cost more than they save.
MAX_KEYS: Final = 32
# A request or ``extra_body`` with one of these parameters has a layout of the user's own.
OWN_LAYOUT: Final = frozenset(
    {"cache_control", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"}
)


def layout_for(service: str, request: Request) -> PromptCache | None:
    """The prompt cache to lay a request out for.

    None without a shared prefix, with a prefix below the model's minimum, for a model whose cache is not
    known, and for a request with a layout of the user's own.
    """
    if request.shared is None:
        return None
    cache = prompt_cache_of(service, request.model)
    if cache is None or request.shared.tokens < cache.minimum_tokens:
        return None
    extra = request.parameters.get("extra_body")
    given = request.parameters.keys() | (extra.keys() if isinstance(extra, Mapping) else set())
    return None if OWN_LAYOUT & given else cache


def shared_length(request: Request) -> int:
    """Characters of the row's message that belong to the shared prefix; 0 when there is nothing to mark.

    Validation may have replaced text in the prefix, the same in every row; the text before it is still
    shared.
    """
    shared = request.shared
    if shared is None or shared.at >= len(request.messages):
        return 0
    content = request.messages[shared.at].content
    if not isinstance(content, str):
        return 0
    length = _common_length(shared.text, content)
    # Providers refuse blocks without text.
    return length if content[:length].strip() and content[length:].strip() else 0


def _common_length(prefix: str, content: str) -> int:
    if content.startswith(prefix):
        return len(prefix)
    pairs = enumerate(zip(prefix, content, strict=False))
    return next((place for place, (one, other) in pairs if one != other), min(len(prefix), len(content)))


def cut(content: str, length: int, mark: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A message as two text parts, the first one marked."""
    return [{"type": "text", "text": content[:length], **mark}, {"type": "text", "text": content[length:]}]


def mark_last(content: Any, mark: Mapping[str, Any]) -> list[Any] | None:
    """A message's content with its last part marked; None when no part can be marked."""
    parts = [{"type": "text", "text": content}] if isinstance(content, str) and content.strip() else content
    if not isinstance(parts, list | tuple) or not parts or not isinstance(parts[-1], Mapping):
        return None
    return [*parts[:-1], {**parts[-1], **mark}]


def prefix_digest(request: Request) -> str:
    """Digest of the shared prefix in 16 hex digits, the same in every run."""
    shared = request.shared
    digest = hashlib.sha256(request.model.encode("utf-8", "backslashreplace"))
    for message in request.messages[: shared.at] if shared else ():
        digest.update(message.text.encode("utf-8", "backslashreplace"))
    digest.update(shared.text.encode("utf-8", "backslashreplace") if shared else b"")
    return digest.hexdigest()[:16]


class CacheKeys:
    """Keys for prompt caches that route by key: one per 15 requests of a prefix in a minute, up to 32.

    Requests use the keys in turn. If each new key went to 15 consecutive requests, all of them would be in
    flight before the first one had filled its cache.
    """

    def __init__(self) -> None:
        self._counts: dict[str, tuple[float, int, int]] = {}

    def next(self, prefix: str, now: float) -> str:
        """The key of the next request; `now` is in monotonic seconds."""
        began, count, before = self._counts.get(prefix, (now, 0, 0))
        if not began <= now < began + WINDOW_SECONDS:
            began, count, before = now, 0, count
        if len(self._counts) >= MAX_PREFIXES and prefix not in self._counts:
            self._counts.clear()
        self._counts[prefix] = began, count + 1, before
        keys = min(MAX_KEYS, max(1 + count // REQUESTS_PER_KEY, -(-before // REQUESTS_PER_KEY)))
        return f"ainb-{prefix}-{count % keys}"
