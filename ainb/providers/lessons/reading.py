"""Finds the optional parameter that a refusal (400 or 422) is about.

Pure functions; `ainb.providers.lessons.learnt` stores the lessons.

Source: error bodies of OpenAI, Azure, Anthropic, Groq, Mistral, xAI, Gemini, vLLM and FastAPI services, as
reported in issues.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from ainb.providers.lessons.lesson import PROTECTED, Lesson, holding_mapping

if TYPE_CHECKING:
    from ainb.providers.http import Refusal

REFUSING_STATUSES = frozenset({400, 422})
MAX_VALUES: Final = 20
ANY_SCHEMA: Final = "schema:any"
# Lesson that nothing may be marked for the provider's prompt cache; no body has such a field either.
NO_CACHE_LAYOUT: Final = "layout:prompt_cache"
_CACHE_MARKS = re.compile(
    r"prompt_?cache|cache_?control|cache_?breakpoint"
    r"|\bcontent\b.{0,60}\b(?:must|should|expected|valid)\b.{0,30}\bstr(?:ing)?\b",
    re.IGNORECASE | re.DOTALL,
)
_REFUSING_CODES = frozenset({"unsupported_parameter", "unsupported_value", "unknown_parameter"})
REFUSING_WORDS = re.compile(
    r"not support|n't support|unsupported|unrecogni[sz]ed|deprecated|incompatible|cannot find field"
    r"|unknown (?:name|parameter|field|argument|request)|unexpected (?:keyword|field|param)"
    r"|not (?:permitted|allowed|accepted|available|recogni[sz]ed)|extra (?:inputs?|fields?)"
    r"|cannot (?:both )?be (?:used|set|specified|combined|provided)|may only be set",
    re.IGNORECASE,
)
_REQUIRED = re.compile(r"\brequired\b|\bmissing\b", re.IGNORECASE)
# Start of the advice in a message: parameter names after it are not the refused ones.
_ADVICE = re.compile(
    r"\b(?:please )?(?:use|try|set|see|did you mean|remove)\b(?! only)|\binstead\b", re.IGNORECASE
)
_INSTEAD = re.compile(
    r"\b[Uu]se ['\"`]?([A-Za-z_][A-Za-z0-9_]*)['\"`]? instead|\b[Uu]se ['\"`]([a-z_]+)['\"`]"
)
_SET = re.compile(r"\bset ['\"`]?([a-z_]+)['\"`]? to ['\"`]?([a-z]+)['\"`]?", re.IGNORECASE)
_ALLOWED = re.compile(
    r"(?:(?:supported|allowed|valid|possible) values are|input should be):?(.*)", re.IGNORECASE | re.DOTALL
)
# Message for an unknown effort level; for other parameters the same words mean an invalid value.
_LEVEL_REFUSED = re.compile(r"effort\b.*input should be:? ['\"`]", re.IGNORECASE | re.DOTALL)
_QUOTED = re.compile(r"['\"`]([\w.-]+)['\"`]")
_CONDITION = re.compile(r"\b(?:with|when|while|if|together|both)\b", re.IGNORECASE)
_CONDITIONS = ("tools", "thinking", "reasoning_effort", "response_format")
# Parameter names that are also common words; they count only when they are marked as a name.
_PLAIN_WORDS = frozenset(
    {"background", "include", "metadata", "n", "seed", "stop", "store", "stream", "user"}
)


def read_lessons(refused: Refusal, body: Mapping[str, Any], *, kept: Iterable[str] = ()) -> list[Lesson]:
    """Lessons on the optional parameters that a refusal names; [] when it is about something else.

    Args:
        refused: The refusal.
        body: The body that was refused.
        kept: Further fields that must not be changed.
    """
    optional = [name for name in _fields(body) if name.partition(".")[0] not in PROTECTED | set(kept)]
    if refused.extra:
        return [Lesson(field=name) for name in refused.extra if name in optional]
    head = _head(refused.said)
    named = _named(refused, head, optional)
    if not named:
        hint = _hint(refused.said, kept)
        asks = hint is not None and hint.field not in body and REFUSING_WORDS.search(refused.said)
        return [_conditional(hint, head, body)] if hint is not None and asks else []
    return [_lesson(name, refused, head, body, kept) for name in named]


def refuses_cache_layout(refused: Refusal) -> bool:
    """Whether a refusal is about a field or mark that was added for the prompt cache."""
    return bool(_CACHE_MARKS.search(f"{refused.param} {' '.join(refused.extra)} {refused.said}"))


def names_missing(refused: Refusal, left_out: Iterable[str]) -> list[str]:
    """The omitted fields that a refusal requires."""
    if not _REQUIRED.search(refused.said):
        return []
    return [name for name in left_out if refused.param == name or _place(name, refused.said) is not None]


def _fields(body: Mapping[str, Any]) -> list[str]:
    """Names of the body's fields; those inside ``output_config`` and ``reasoning`` are listed one by one."""
    names: list[str] = []
    for name, value in body.items():
        if name in {"output_config", "reasoning", "text"} and isinstance(value, Mapping):
            names += [f"{name}.{inner}" for inner in value]
        else:
            names.append(name)
    return names


def _head(said: str) -> str:
    """The part of a message that states the problem, without the advice after it."""
    for found in _ADVICE.finditer(said):
        if found.start() > 0 and said[: found.start()].rstrip().endswith((".", ";", ",", ":", ")")):
            return said[: found.start()]
    return said


def _named(refused: Refusal, head: str, optional: Sequence[str]) -> list[str]:
    refuses = REFUSING_WORDS.search(refused.said) or _LEVEL_REFUSED.search(refused.said)
    if refused.code not in _REFUSING_CODES and not refuses:
        return []
    param = _match_param(refused.param, optional)
    if param is not None:
        return [param]
    if refused.param is not None and (_is_protected(refused.param) or refused.code in _REFUSING_CODES):
        return []  # it names a protected field, or one that was not sent
    return _in_words(head, refused.said, optional)


def _is_protected(param: str) -> bool:
    return param.split("[", maxsplit=1)[0].split(".", maxsplit=1)[0] in PROTECTED


def _in_words(head: str, said: str, optional: Sequence[str]) -> list[str]:
    """The optional fields that a message without a parameter field names as refused."""
    places = sorted((at, name) for name in optional if (at := _place(name, head)) is not None)
    if not places:
        return []
    names = [name for _, name in places]
    if re.search(r"\bboth\b|only one of", said):
        return names[-1:]  # of two fields that exclude each other the first one stays
    return names if re.search(r"suppl|extra|unknown|unrecogni", head, re.IGNORECASE) else names[:1]


def _match_param(param: str | None, optional: Sequence[str]) -> str | None:
    if param is None:
        return None
    path = param.removeprefix("body.").split("[")[0]
    parts = path.split(".")
    return next((name for name in (path, ".".join(parts[:2]), parts[0]) if name in optional), None)


def _place(name: str, text: str) -> int | None:
    """Position at which a text names a field, or None."""
    short = name.rpartition(".")[2]
    escaped = re.escape(name) if name == short else f"(?:{re.escape(name)}|{re.escape(short)})"
    path = rf"{escaped}(?:\.[\w.]+)?"
    listed = rf"(?:supplied|parameters?|fields?|arguments?):? (?:\w+, )*{escaped}\b"
    as_name = rf"['\"`]{path}['\"`]|^(?:body\.)?{path}: |{listed}"
    found = re.search(as_name, text)
    if found is None and short not in _PLAIN_WORDS:
        found = re.search(rf"(?<![\w.])(?:{escaped})(?![\w])", text)
    return None if found is None else found.start()


def _lesson(name: str, refused: Refusal, head: str, body: Mapping[str, Any], kept: Iterable[str]) -> Lesson:
    hint = _hint(refused.said, kept)
    if hint is not None and hint.field == name:
        return _conditional(hint, head, body)
    holder, inner = holding_mapping(body, name)
    sent = holder.get(inner) if holder is not None else None
    allowed = _allowed(refused.said) if isinstance(sent, str) else ()
    when = None if allowed else _condition(name, head, body)
    by_value = isinstance(sent, str) and not allowed and _is_about(sent, refused)
    return Lesson(
        field=name,
        instead=None if allowed or by_value else _instead(name, refused.said, kept),
        allowed=() if sent in allowed else allowed,
        refused=(sent,) if by_value and isinstance(sent, str) else (),
        when=when,
    )


def _instead(name: str, said: str, kept: Iterable[str]) -> str | None:
    found = _INSTEAD.search(said)
    other = (found.group(1) or found.group(2)) if found else None
    return other if other and other != name and other not in PROTECTED | set(kept) else None


def _allowed(said: str) -> tuple[str, ...]:
    found = _ALLOWED.search(said)
    return tuple(_QUOTED.findall(found.group(1)))[:MAX_VALUES] if found else ()


def _is_about(value: str, refused: Refusal) -> bool:
    """Whether a refusal is about one value of a parameter and not about the parameter itself."""
    quoted = value in _QUOTED.findall(refused.said)
    return quoted and (refused.code != "unsupported_parameter")


def _hint(said: str, kept: Iterable[str]) -> Lesson | None:
    found = _SET.search(said)
    if found is None or found.group(1) in PROTECTED | set(kept):
        return None
    return Lesson(field=found.group(1), value=found.group(2))


def _conditional(lesson: Lesson, head: str, body: Mapping[str, Any]) -> Lesson:
    return Lesson(field=lesson.field, value=lesson.value, when=_condition(lesson.field, head, body))


def _condition(name: str, head: str, body: Mapping[str, Any]) -> str | None:
    if not _CONDITION.search(head):
        return None
    others = (item for item in _CONDITIONS if item != name and item in body)
    return next((item for item in others if re.search(rf"(?<![\w]){item}(?![\w])", head)), None)
