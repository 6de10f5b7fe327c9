"""Offline token counting with the vocabularies in `ainb/data`.

Exact for text under a model whose vocabulary is public (OpenAI's); an estimate with o200k_base for every
other model, and for whole conversations, which each service frames differently.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ainb.errors import AinbError
from ainb.fork import new_lock
from ainb.identity_cache import cached_by_identity
from ainb.messages import Message, ReplySchema, Request

if TYPE_CHECKING:
    import tiktoken

Prompt = str | Sequence[Message | Mapping[str, Any]]
Source = Literal["exact", "estimate"]

SHA256 = {
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
}
_O200K = re.compile(r"(?:^|[:/])(?:(?:chatgpt-4o|gpt-4o|gpt-4\.[15]|gpt-5|gpt-oss|o[134])(?:$|[-.:@]))")
_CL100K = re.compile(
    r"(?:^|[:/])(?:(?:gpt-4|gpt-3\.5|gpt-35|text-embedding-ada-002|text-embedding-3|davinci-002|babbage-002)(?:$|[-.:@]))"
)

# Runs of one kind (white space, or anything else) longer than this are counted in pieces: the splitting
# pattern's stack overflows on a megabyte of one character, and older merge loops are quadratic in the length
# of a piece.
RUN_LIMIT = 4_096
_CUT_WINDOW = 1_024
_LONG = re.compile(r"\s{256,}+|\S{256,}+")
# Positions where both patterns end a piece anyway, so that a cut there changes no count: between a letter and
# ASCII punctuation other than the apostrophe of a contraction, between a letter and CJK punctuation, and
# between an ASCII letter and an ASCII digit.
_SAFE_CUT = re.compile(r"(?<=[^\W\d_])[!-&(-/:-@\[-^`{-~\u3001\u3002\uff0c\uff0e]|(?<=[A-Za-z])[0-9]")

MESSAGE_TOKENS = 3
PRIMING_TOKENS = 3
PICTURE_TOKENS = 1_445
SMALL_PICTURE_TOKENS = 85
# Anthropic's guide "Vision": width times height divided by 750, after scaling to about 1.15 megapixels.
CLAUDE_PICTURE_TOKENS = 1_600
GPT_4O_MINI_FACTOR = 34
MEMO_CHARS = 16_384
BOUND_CHARS = 4_096
EXTRAS = ("tools", "functions", "response_format")


@dataclass(frozen=True, slots=True)
class TokenCount:
    """A number of tokens and how reliable it is.

    Attributes:
        tokens: Number of tokens.
        source: "exact" when the model's own vocabulary counted a text; "estimate" for conversations and other
            models.
    """

    tokens: int
    source: Source


def count_tokens(prompt: Prompt, model: str = "gpt-5-mini") -> int:
    """Count the tokens of a text or a list of messages; see `count` for the accuracy."""
    return count(prompt, model).tokens


def count(prompt: Prompt, model: str = "gpt-5-mini") -> TokenCount:
    """Count tokens of a text, or of a conversation with the framing of each message.

    Special tokens such as ``<|endoftext|>`` are text. A run of more than 4,096 characters without a change
    between white space and other characters is counted in pieces: exactly if it contains punctuation or
    digits (code, URLs, base64), else with an error of at most 2 tokens per 4,096 characters.

    Args:
        prompt: A text, or messages (`Message` or dicts of role and content); images count at their upper
            bound.
        model: Model name, with or without its provider; unknown models are estimated with o200k_base.

    Source: github.com/openai/openai-cookbook, "How to count tokens with tiktoken", for the framing of
    messages.
    """
    name, own = vocabulary_for(model)
    if isinstance(prompt, str):
        return TokenCount(_count_text(name, prompt), "exact" if own else "estimate")
    total = PRIMING_TOKENS + sum(_count_message(name, item, model) for item in prompt)
    return TokenCount(total, "estimate")


def count_request(request: Request) -> TokenCount:
    """Count the input of a whole request: messages, tools and the schema of the reply."""
    counted = count(request.messages, request.model)
    name, _ = vocabulary_for(request.model)
    extras: list[Any] = [request.parameters[key] for key in EXTRAS if request.parameters.get(key)]
    if request.schema is not None:
        extras.append(dict(request.schema.json_schema))
    more = sum(_count_text(name, json.dumps(extra, default=str)) for extra in extras)
    return TokenCount(counted.tokens + more, "estimate")


def bound_request(request: Request) -> int | None:
    """Upper bound of `count_request` without counting, since each token has at least one byte.

    Returns:
        The bound; None if the request has pictures, tools or a long text, which must be counted.
    """
    if any(request.parameters.get(key) for key in EXTRAS):
        return None
    total = PRIMING_TOKENS if request.schema is None else PRIMING_TOKENS + _schema_bytes(request.schema)
    for message in request.messages:
        content = message.content
        if not isinstance(content, str) or len(content) > BOUND_CHARS:
            return None
        size = len(content) if content.isascii() else len(content.encode("utf-8", "replace"))
        total += MESSAGE_TOKENS + len(message.role) + size
    return total


@cached_by_identity  # rows of a batch share one schema
def _schema_bytes(schema: ReplySchema) -> int:
    return len(json.dumps(dict(schema.json_schema), default=str).encode())


@functools.lru_cache(maxsize=256)
def vocabulary_for(model: str) -> tuple[str, bool]:
    """Name of the vocabulary used for `model`, and whether it is the model's own."""
    name = model.lower().replace("ft:", "", 1)
    if _O200K.search(name):
        return "o200k_base", True
    if _CL100K.search(name):
        return "cl100k_base", True
    return "o200k_base", False


def preload(model: str = "gpt-5-mini") -> None:
    """Load the vocabulary of `model` (0.3 s); call it in a thread, so that the first count does not wait."""
    _encoding(vocabulary_for(model)[0])


def _count_message(name: str, item: Message | Mapping[str, Any], model: str) -> int:
    role, content = (
        (item.role, item.content) if isinstance(item, Message) else (item["role"], item["content"])
    )
    total = MESSAGE_TOKENS + _count_text(name, role)
    if isinstance(content, str):
        return total + _count_text(name, content)
    return total + sum(_count_part(name, part, model) for part in content or ())


def _count_part(name: str, part: Mapping[str, Any], model: str) -> int:
    """Tokens of one part of a message; a part that is not text counts as an image of maximum size.

    Source: OpenAI's guide "Images and vision": 85 tokens and 170 for each of at most 8 tiles; gpt-4o-mini
    about 34 times that.
    """
    if part.get("type") == "text":
        return _count_text(name, str(part["text"]))
    if "claude" in model:
        return CLAUDE_PICTURE_TOKENS
    picture = part.get("image_url")
    low = isinstance(picture, Mapping) and picture.get("detail") == "low"
    return (SMALL_PICTURE_TOKENS if low else PICTURE_TOKENS) * (
        GPT_4O_MINI_FACTOR if "gpt-4o-mini" in model else 1
    )


def _count_text(name: str, text: str) -> int:
    return _count_short(name, text) if len(text) <= MEMO_CHARS else _count_pieces(name, text)


@functools.lru_cache(maxsize=256)
def _count_short(name: str, text: str) -> int:
    """Count a short text, cached: limiter and budget count the same prompt, rows share a system message."""
    return _count_pieces(name, text)


def _count_pieces(name: str, text: str) -> int:
    encode = _encoding(name).encode_ordinary
    return sum(len(encode(piece)) for piece in _pieces(text))


def _pieces(text: str) -> Iterator[str]:
    """Cut a text into pieces, only inside runs longer than `RUN_LIMIT`, if possible at neutral positions."""
    done = 0
    if len(text) > RUN_LIMIT:
        for stretch in _LONG.finditer(text):
            at = stretch.start()
            while stretch.end() - at > RUN_LIMIT:
                at = _cut(text, at + RUN_LIMIT)
                yield text[done:at]
                done = at
    yield text[done:]


def _cut(text: str, stop: int) -> int:
    safe = stop
    for match in _SAFE_CUT.finditer(text, stop - _CUT_WINDOW, stop):
        safe = match.start()
    return safe


_loaded: dict[str, tiktoken.Encoding] = {}
_loading = new_lock()


def _encoding(name: str) -> tiktoken.Encoding:
    found = _loaded.get(name)
    if found is None:
        with _loading:
            found = _loaded.get(name) or _loaded.setdefault(name, _load(name))
    return found


def _load(name: str) -> tiktoken.Encoding:
    """Build an encoding from the shipped vocabulary and the pattern that tiktoken publishes.

    It calls tiktoken's own constructor with our reader in place of its downloader; tiktoken itself is not
    changed.
    """
    import types
    from importlib import import_module

    import tiktoken

    constructor = getattr(import_module("tiktoken_ext.openai_public"), name)
    namespace = {**constructor.__globals__, "load_tiktoken_bpe": functools.partial(_read_ranks, name)}
    return tiktoken.Encoding(**types.FunctionType(constructor.__code__, namespace)())


def _read_ranks(name: str, _address: str, expected_hash: str | None = None) -> dict[bytes, int]:
    import base64
    import gzip
    import hashlib
    from importlib.resources import files

    raw = gzip.decompress((files("ainb") / "data" / f"{name}.tiktoken.gz").read_bytes())
    digest = hashlib.sha256(raw).hexdigest()
    if digest != SHA256[name] or digest != (expected_hash or digest):
        raise AinbError(
            f"the vocabulary {name} in ainb/data is damaged (its sha256 is wrong); install ainb-notebook "
            "again"
        )
    pairs = (line.split() for line in raw.splitlines() if line)
    return {base64.b64decode(token): int(rank) for token, rank in pairs}
