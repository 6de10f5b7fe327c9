"""Shared prefix of a batch for the provider's prompt cache; its tokens are counted once."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ainb import tokens
from ainb.messages import Alternative, Message, Request
from ainb.model_rules import SharedPrefix, prompt_cache_of

BYTES_A_CHARACTER = 4


def shared_prefix(request: Request, prefix: str, fallback: Sequence[Alternative] = ()) -> SharedPrefix | None:
    """The shared prefix of a batch; None if no model that may answer would cache it.

    Args:
        request: A request of the batch; its last message is the row's.
        prefix: The start of the row's message that is the same in every row.
        fallback: Models that may answer instead of the request's.
    """
    models = [(request.provider, request.model), *((item.provider.name, item.model) for item in fallback)]
    caches = [cache for service, model in models if (cache := prompt_cache_of(service, model))]
    if not caches:
        return None
    whole = _with_prefix(request, prefix)
    least = min(cache.minimum_tokens for cache in caches)
    if _most_tokens(whole) < least:  # most prompts are short: the vocabulary is not loaded for them
        return None
    count = tokens.count_request(whole).tokens
    return SharedPrefix(prefix, len(request.messages) - 1, count) if count >= least else None


def count_shared(request: Request, prefix: str) -> int:
    """Tokens of the prefix, with the messages before it."""
    return tokens.count_request(_with_prefix(request, prefix)).tokens


def _with_prefix(request: Request, prefix: str) -> Request:
    return dataclasses.replace(request, messages=(*request.messages[:-1], Message("user", prefix)))


def _most_tokens(request: Request) -> int:
    given = (*(message.text for message in request.messages), str(request.parameters.get("tools", "")))
    schema = "" if request.schema is None else str(request.schema.json_schema)
    return sum(len(text) * BYTES_A_CHARACTER for text in (*given, schema))
