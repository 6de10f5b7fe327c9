"""Rules for untrusted text: code, markup, phrases that try to steer the model; and `sanitize`.

Code and markup are exact matches; the phrases are heuristics: they miss other wordings and match texts about
prompt injection.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from ainb.pipeline.validation.characters import without_odd
from ainb.pipeline.validation.rules import Place

MAX_CHARACTERS = 10_000
_ELLIPSIS = "..."
# Patterns begin with a literal where possible, so that the search jumps from one to the next.
_SCRIPT = re.compile(r"<(?=[\s/sS])\s{0,8}+/?\s{0,8}+(?i:script)(?![A-Za-z0-9])")
_URLS = tuple(
    re.compile(pattern) for pattern in (r"javascript\s{0,8}:", r"vbscript\s{0,8}:", r"data:\s{0,8}text/html")
)
_CALLS = tuple(re.compile(rf"{name}(?<![A-Za-z0-9_]{name})[ \t]{{0,8}}\(") for name in ("eval", "exec"))
_IMPORT = re.compile(
    r"[\n\r;][ \t]*+(?:import[ \t]++[A-Za-z_][\w.]*+(?=[ \t]*+(?:$|[\r\n,;#]|as[ \t]))|from[ \t]++[\w.]++[ "
    r"\t]++import(?!\w))"
)
_DUNDER = re.compile(r"__(?<![A-Za-z0-9_]__)[A-Za-z][A-Za-z0-9_]*+(?<=[A-Za-z0-9]__)")
_TAG = re.compile(r"<(?:[A-Za-z/][^<>]*+>|![^<>]*+>|\?[^<>]*+>)")
_DROPPED = ("script", "style")

_FILLERS = r"(?:(?:all|any|every|the|your|my|of|these|those|to)\s{1,4}){0,4}"
_BEFORE = r"(?:previous|prior|above|earlier|preceding|foregoing)"
_PHRASES: tuple[tuple[str, str], ...] = (
    *(
        ("overrides instructions", rf"{verb}\s{{1,4}}{_FILLERS}{_BEFORE}")
        for verb in ("ignore", "disregard", "forget", "override")
    ),
    *(("overrides instructions", rf"{word}\s{{1,4}}new\s{{1,4}}instructions") for word in ("your", "the")),
    ("asks for the instructions", r"system\s{1,4}prompt"),
    *(
        (
            "asks for the instructions",
            rf"{verb}\s{{1,4}}(?:me\s{{1,4}})?your\s{{1,4}}(?:\w{{1,20}}\s{{1,4}})?(?:instructions|prompt)",
        )
        for verb in ("reveal", "repeat", "print", "show")
    ),
    ("gives a new role", r"you\s{1,4}are\s{1,4}now\s"),
    ("gives a new role", r"developer\s{1,4}mode"),
    ("gives a new role", r"do\s{1,4}anything\s{1,4}now"),
    ("imitates a turn of the conversation", r"<\|[a-z_]{2,24}\|>"),
    ("imitates a turn of the conversation", r"\[/?inst\]"),
    ("imitates a turn of the conversation", r"\n#{2,4}\s{0,4}(?:system|instructions?|assistant)\b"),
    # A black flag followed by tag characters is an emoji, the flag of a region.
    (
        "hidden text",
        "[\U000e0020-\U000e007f](?<![\U0001f3f4\U000e0020-\U000e007f].)[\U000e0020-\U000e007f]++",
    ),
    ("hidden text", "[\u200b-\u200d\u2060\ufeff]{4,}+"),
)
_STEERING = tuple((kind, re.compile(pattern)) for kind, pattern in _PHRASES)


def _lowered(text: str) -> str:
    # This letter alone becomes two characters when lowered, which would shift all places.
    return text.replace("\u0130", "i").lower()


def _finder(
    *patterns: re.Pattern[str], prepare: Callable[[str], str] = str
) -> Callable[[str], Iterator[tuple[int, int]]]:
    """The function that finds matches of the patterns in the text as `prepare` returns it."""

    def find(text: str) -> Iterator[tuple[int, int]]:
        prepared = prepare(text)
        for pattern in patterns:
            for match in pattern.finditer(prepared):
                yield match.span()

    return find


# Opening and closing script tags, blanks inside allowed.
find_scripts = _finder(_SCRIPT)
# HTML tags, comments and declarations.
find_tags = _finder(_TAG)
# ``javascript:`` and other URLs that run code.
find_urls = _finder(*_URLS, prepare=_lowered)
# ``eval(`` and ``exec(``.
find_calls = _finder(*_CALLS)
# Names such as ``__class__``.
find_dunders = _finder(_DUNDER)


def find_imports(text: str) -> Iterator[tuple[int, int]]:
    """Import statements of Python where a line or a statement begins."""
    # The prepended line break makes the first line match like the others.
    for match in _IMPORT.finditer("\n" + text):
        yield max(0, match.start() - 1), match.end() - 1


def is_overlong(text: str) -> bool:
    """Whether the text is longer than MAX_CHARACTERS."""
    return len(text) > MAX_CHARACTERS


def find_length(text: str) -> list[tuple[int, int]]:
    """The part of the text beyond MAX_CHARACTERS."""
    return [(MAX_CHARACTERS, len(text))] if is_overlong(text) else []


def find_steering(text: str) -> Iterator[Place]:
    """Phrases that try to steer the model, and hidden text; heuristic, English only."""
    lowered = _lowered(text)
    for kind, pattern in _STEERING:
        for match in pattern.finditer(lowered):
            yield match.start(), match.end(), kind


def sanitize(text: str) -> str:
    """Clean untrusted text for a prompt, a log line or a page.

    Removes control characters, direction overrides, lone surrogates, script and style elements with their
    content, and all other tags. White space is collapsed to single blanks. A text of more than 10,000
    characters is cut there and ends in "...".

    Examples:
        >>> sanitize("<p>Very   <b>good</b><script>steal()</script></p>")
        'Very good'
    """
    text = without_odd(text)
    if "<" in text:
        for name in _DROPPED:
            text = _without_element(text, name)
        text, dropped = _TAG.subn(" ", text)
        # Nested tags, such as <<b>script>, must not form a new tag.
        if (dropped and _TAG.search(text)) or ("script" in _lowered(text) and _SCRIPT.search(text)):
            text = text.replace("<", " ")
    text = " ".join(text.split())
    return text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - len(_ELLIPSIS)] + _ELLIPSIS


def _without_element(text: str, name: str) -> str:
    lowered = _lowered(text)
    pieces: list[str] = []
    at = 0
    while (start := lowered.find(f"<{name}", at)) >= 0:
        end = lowered.find(f"</{name}", start)
        if end < 0:  # never closed: a browser would treat all the rest as its content
            return "".join([*pieces, text[at:start]])
        pieces.append(text[at:start] + " ")
        close = lowered.find(">", end)
        at = len(text) if close < 0 else close + 1
    return "".join([*pieces, text[at:]])
