"""Expected output tokens of a reply: from past replies, else from the schema, the prompt or the model."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from ainb import tokens
from ainb.messages import Request
from ainb.model_rules import thinking_tokens
from ainb.pricing.quotes import OUTPUT_LIMITS
from ainb.pricing.reply_size import reply_size

USUAL_TOKENS: Final = 256
# Divisor: an open question uses about an eighth of the room for thinking; a label or a few fields far less.
THOUGHT_SHARE: Final = 8
SHORT_THOUGHT_SHARE: Final = 20
SHORT_REPLY_TOKENS: Final = 60
WORD_TOKENS: Final = 1.35
LINE_TOKENS: Final = 22
SENTENCE_TOKENS: Final = 28
Source = Literal["past", "schema", "prompt", "model", "guess"]
# Factor by which the tokens may be wrong in nine of ten cases.
SPREAD: Final[dict[Source, float]] = {"past": 1.25, "schema": 1.6, "prompt": 2.0, "model": 2.0, "guess": 3.0}
_NUMBERS: Final = {"one": 1, "single": 1, "two": 2, "three": 3, "four": 4, "five": 5}
_COUNT: Final = r"(\d{1,4}|one|single|two|three|four|five)"
_ONE_WORD = re.compile(
    r"\b(one|a single|single) (word|letter|number|digit|label|category)\b"
    r"|\byes or no\b|\byes/no\b|\btrue or false\b"
    r"|\b(only|just) (with )?(the|a|one) (label|number|category|word|digit|name|letter|score)\b",
    re.IGNORECASE,
)
_COUNTED: Final = (
    (re.compile(rf"\b{_COUNT}[- ]words?\b", re.IGNORECASE), WORD_TOKENS),
    (re.compile(rf"\b{_COUNT}[- ](short )?sentences?\b", re.IGNORECASE), SENTENCE_TOKENS),
    (
        re.compile(
            rf"\b{_COUNT} (short )?(bullets?|bullet points?|points|items|ideas|lines)\b", re.IGNORECASE
        ),
        LINE_TOKENS,
    ),
    (re.compile(rf"\b{_COUNT} (short )?paragraphs?\b", re.IGNORECASE), 4 * SENTENCE_TOKENS),
)
_SAME_LENGTH = re.compile(r"\b(translate|rewrite|rephrase|paraphrase|proofread|correct the)\b", re.IGNORECASE)
_SHORT = re.compile(
    r"\b(classify|label|categori[sz]e|rate|score|which (category|language|label)|sentiment)\b", re.IGNORECASE
)
_TITLE = re.compile(r"\b(title|headline|subject line|keywords?)\b", re.IGNORECASE)
_SUMMARY = re.compile(r"\bsummar(y|i[sz]e)\b", re.IGNORECASE)
_WORD_TOKENS: Final = 4
_LABEL_TOKENS: Final = 8
_TITLE_TOKENS: Final = 14
_SUMMARY_TOKENS: Final = (40, 150)
_HEAD_CHARS: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """Output tokens of one reply, thinking included.

    Attributes:
        tokens: Likely number; never above the request's own limit.
        source: Source of the number.
        thinking: Part of `tokens` that is thinking, if estimated separately; else 0.
    """

    tokens: int
    source: Source
    thinking: int = 0

    @property
    def low(self) -> int:
        """Lower end of the range of nine in ten cases."""
        return max(1, round(self.tokens / SPREAD[self.source]))

    @property
    def high(self) -> int:
        """Upper end of the range of nine in ten cases."""
        return round(self.tokens * SPREAD[self.source])


def expected_output(
    request: Request, *, past: float | None = None, usual: int | None = None, instruction: str | None = None
) -> Expected:
    """Estimate the output tokens of the reply to a request.

    Args:
        request: The request that would be sent.
        past: Mean output of the model's replies to the same template or schema; None when unknown.
        usual: Output of a usual reply of the model to any prompt; None when unknown.
        instruction: Part of the prompt with the instruction, such as the template of a batch; None means all
            of it.
    """
    limits = [value for name in OUTPUT_LIMITS if isinstance(value := request.parameters.get(name), int)]

    def bounded(written: float, source: Source, thinking: int = 0) -> Expected:
        count = round(written + thinking)
        count = max(1, min(count, *limits) if limits else count)
        return Expected(tokens=count, source=source, thinking=min(thinking, count))

    if past is not None:
        return bounded(past, "past")
    room = thinking_tokens(request.provider, request.model, request.parameters)
    if room and usual is not None:  # only earlier replies show how much the model thinks
        return bounded(usual, "model")
    if request.schema is not None:
        written = reply_size(request.schema.json_schema).usual
        return bounded(written, "schema", _thinking(room, written))
    asked = _asked_for(request, instruction)
    if asked is not None:
        return bounded(asked, "prompt", _thinking(room, asked))
    if usual is not None:
        return bounded(usual, "model")
    return bounded(USUAL_TOKENS, "guess", _thinking(room, USUAL_TOKENS))


def _thinking(room: int, written: float) -> int:
    """Tokens of thinking before a reply of `written` tokens."""
    return room // (SHORT_THOUGHT_SHARE if written <= SHORT_REPLY_TOKENS else THOUGHT_SHARE)


def _asked_for(request: Request, instruction: str | None) -> float | None:
    """Reply length that the prompt asks for in words, in tokens; None if it names none."""
    system = [message.text for message in request.messages if message.role != "user"]
    said = [message.text for message in request.messages] if instruction is None else [*system, instruction]
    text = "\n".join(map(_head_and_tail, said))
    if _ONE_WORD.search(text):
        return _WORD_TOKENS
    for pattern, each in _COUNTED:
        found = pattern.search(text)
        if found is not None:
            word = found.group(1).lower()
            return each * (int(word) if word.isdigit() else _NUMBERS[word])
    long = tokens.count_request(request).tokens
    if _SAME_LENGTH.search(text):
        return long
    if _SUMMARY.search(text):
        return min(_SUMMARY_TOKENS[1], max(_SUMMARY_TOKENS[0], long / 4))
    if _TITLE.search(text):
        return _TITLE_TOKENS
    return _LABEL_TOKENS if _SHORT.search(text) else None


def _head_and_tail(text: str) -> str:
    """Beginning and end of a text, which contain the instructions; a long middle part is left out."""
    return text if len(text) <= 2 * _HEAD_CHARS else f"{text[:_HEAD_CHARS]}\n{text[-_HEAD_CHARS:]}"
