"""Finds the optional parameter that a refusal (400 or 422) is about, and adapts later request bodies.

Pure functions; `ainb.providers.lessons.learnt` stores the lessons.

Source: error bodies of OpenAI, Azure, Anthropic, Groq, Mistral, xAI, Gemini, vLLM and FastAPI services, as
reported in issues.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ainb.families import LEVELS

REFUSING_STATUSES = frozenset({400, 422})
# Parameters that define the request: they are never dropped, renamed or replaced.
PROTECTED = frozenset({
    "contents", "functions", "function_call", "input", "instructions", "messages", "model", "prompt",
    "response_format", "system", "text", "tool_choice", "tools",
})  # fmt: skip
MAX_VALUES: Final = 20
# Prefix of lessons on how to request a reply schema. The adapters read them; a body has no such field.
SCHEMA_PREFIX: Final = "schema:"
ANY_SCHEMA: Final = "schema:any"
# Lesson that nothing may be marked for the provider's prompt cache; no body has such a field either.
NO_CACHE_LAYOUT: Final = "layout:prompt_cache"
_SCHEMA_WAYS = {
    "json_object": "JSON mode and a sentence in the prompt",
    "prompt": "a sentence in the prompt",
    "tool": "a tool",
    "unstrict": "JSON schema without strict mode",
}
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """One parameter or value that a model refused.

    Attributes:
        field: Field of the request body, as in ``temperature`` or ``output_config.effort``.
        instead: Name under which the value is sent; None leaves the field out.
        value: Text that is always sent as the field's value; None means no such value.
        allowed: Values that the model accepts; () means unknown.
        refused: Values that were refused while others are accepted; () means all values.
        when: Another field that must be in the body for the lesson to apply; None means always.
    """

    field: str
    instead: str | None = None
    value: str | None = None
    allowed: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    when: str | None = None

    @property
    def key(self) -> tuple[str, str | None]:
        """Key under which a newer lesson replaces an older one."""
        return self.field, self.when

    @property
    def outcome(self) -> str:
        """How the parameter is sent, in a few words."""
        if self.field.startswith(SCHEMA_PREFIX):
            return f"asked for by {_SCHEMA_WAYS.get(self.value or '', str(self.value))}"
        return self._in_words("")[0]

    def describe(self, model: str) -> str:
        """One line for the user."""
        return self._in_words(model)[1]

    def _in_words(self, model: str) -> tuple[str, str]:
        """How the parameter is sent: in a few words, and as a sentence."""
        name, when = self.field.rpartition(".")[2], f" with {self.when}" if self.when else ""
        if self.instead:
            return (
                f"sent as {self.instead}",
                f"{model} takes {self.instead} in place of {name}; it was sent so",
            )
        if self.value is not None:
            said = f"{model} takes {name} {self.value} only{when}; it was sent so"
            return f"sent as {self.value}{when}", said
        if self.allowed:
            allowed = f"{', '.join(self.allowed)} only{when}"
            return allowed, f"{model} takes {name} {allowed}; it was adapted"
        values = " or ".join(self.refused)
        said = f"{model} does not accept {f'{name} {values}' if values else name}{when}; it was left out"
        return f"left out{f' where it is {values}' if values else ''}{when}", said


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The parts of a refusal from which lessons are read.

    Attributes:
        said: The provider's message.
        code: The provider's error code, or None.
        param: The parameter that the body names, or None.
        extra: Unknown fields, from a list of problems.
    """

    said: str = field(repr=False)  # a server may echo the key
    code: str | None = None
    param: str | None = None
    extra: tuple[str, ...] = ()


def read_lessons(refused: Refused, body: Mapping[str, Any], *, kept: Iterable[str] = ()) -> list[Lesson]:
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


def refuses_cache_layout(refused: Refused) -> bool:
    """Whether a refusal is about a field or mark that was added for the prompt cache."""
    return bool(_CACHE_MARKS.search(f"{refused.param} {' '.join(refused.extra)} {refused.said}"))


def names_missing(refused: Refused, left_out: Iterable[str]) -> list[str]:
    """The omitted fields that a refusal requires."""
    if not _REQUIRED.search(refused.said):
        return []
    return [name for name in left_out if refused.param == name or _stands_in(name, refused.said)]


def apply_lessons(lessons: Sequence[Lesson], body: Mapping[str, Any]) -> tuple[dict[str, Any], list[Lesson]]:
    """The body adapted to the model, and the lessons that changed it."""
    changed: dict[str, Any] = dict(body)
    used: list[Lesson] = []
    for lesson in lessons:
        holds = lesson.when is None or lesson.when in body
        if holds and ":" not in lesson.field and _apply(lesson, changed):
            used.append(lesson)
    return changed, used


def _apply(lesson: Lesson, body: dict[str, Any]) -> bool:
    holder, name = _holder(body, lesson.field)
    if lesson.value is not None:
        return _put(body, lesson.field, lesson.value)
    if holder is None or name not in holder:
        return False
    value = holder[name]
    if lesson.allowed:
        nearest = _nearest(value, lesson.allowed)
        return nearest != value and _put(body, lesson.field, nearest)
    if lesson.refused and value not in lesson.refused:
        return False
    _put(body, lesson.field, None)
    if lesson.instead and lesson.instead not in body:
        body[lesson.instead] = value
    return True


def _holder(body: Mapping[str, Any], field: str) -> tuple[Mapping[str, Any] | None, str]:
    outer, dot, inner = field.partition(".")
    if not dot:
        return body, outer
    found = body.get(outer)
    return (found if isinstance(found, Mapping) else None), inner


def _put(body: dict[str, Any], field: str, value: Any) -> bool:
    """Set a field, or remove it when the value is None; an inner mapping is copied first."""
    outer, dot, inner = field.partition(".")
    before = body.get(outer)
    if dot:
        kept = dict(before) if isinstance(before, Mapping) else {}
        kept.pop(inner, None)
        if value is not None:
            kept[inner] = value
        value = kept or None
    if value is None:
        body.pop(outer, None)
    else:
        body[outer] = value
    return bool(before != value)


def _nearest(value: Any, allowed: tuple[str, ...]) -> str | None:
    """The value if it is allowed, otherwise the next lower effort level, otherwise None."""
    if value in allowed:
        return str(value)
    levels = [level for level in LEVELS if level in allowed]
    if value not in LEVELS or not levels:
        return None
    lower = [level for level in levels if LEVELS.index(level) < LEVELS.index(value)]
    return lower[-1] if lower else levels[0]


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


def _named(refused: Refused, head: str, optional: Sequence[str]) -> list[str]:
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


def _stands_in(name: str, text: str) -> bool:
    return _place(name, text) is not None


def _lesson(name: str, refused: Refused, head: str, body: Mapping[str, Any], kept: Iterable[str]) -> Lesson:
    hint = _hint(refused.said, kept)
    if hint is not None and hint.field == name:
        return _conditional(hint, head, body)
    holder, inner = _holder(body, name)
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


def _is_about(value: str, refused: Refused) -> bool:
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
