"""`Lesson`: a refused parameter or value, and the adaptation of request bodies. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ainb.model_rules import LEVELS

# Parameters that define the request: they are never dropped, renamed or replaced.
PROTECTED = frozenset({
    "contents", "functions", "function_call", "input", "instructions", "messages", "model", "prompt",
    "response_format", "system", "text", "tool_choice", "tools",
})  # fmt: skip


# Prefix of lessons on how to request a reply schema. The adapters read them; a body has no such field.
SCHEMA_PREFIX: Final = "schema:"


_SCHEMA_WAYS = {
    "json_object": "JSON mode and a sentence in the prompt",
    "prompt": "a sentence in the prompt",
    "tool": "a tool",
    "unstrict": "JSON schema without strict mode",
}


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
    holder, name = holding_mapping(body, lesson.field)
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


def holding_mapping(body: Mapping[str, Any], field: str) -> tuple[Mapping[str, Any] | None, str]:
    """The mapping that holds a field (None if that is not a mapping), and the name of the field in it."""
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
