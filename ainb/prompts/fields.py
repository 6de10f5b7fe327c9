"""Grammar of prompt fields: ``{label}``, ``{name}``, ``{name.attr}``, ``{name[key]}``, ``{{escaped}}``.

Only attributes and items with literal keys are looked up; nothing is executed.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ainb.errors import InvalidPromptError

_STEP = r"""\.[^\W\d]\w*|\[(?:-?\d+|[^\W\d]\w*|'[^'\\\n]*'|"[^"\\\n]*")\]"""
_FIELD = rf"[^\W\d]\w*(?:{_STEP})*"
# The longest form first, so that {{{x}}} is a value in braces and {{x}} is {x}.
_FIELDS = re.compile(
    rf"\{{\{{\{{(?P<braced>{_FIELD})\}}\}}\}}|\{{\{{(?P<literal>{_FIELD})\}}\}}|\{{(?P<field>{_FIELD})\}}"
)
_BRACED_TEXT = re.compile(r"\{\{(?P<doubled>[^{}\n]{1,200})\}\}|\{(?P<single>[^{}\n]{1,200})\}")
_STEPS = re.compile(_STEP)
_FORMAT = re.compile(
    r"(?P<text>[^:!]+)(?:![rsa])?"
    r"(?::(?:[^\s]?[<>=^])?[-+ ]?#?0?\d*[,_]?(?:\.\d+)?[bcdeEfFgGnosxX%]?|:%[^:]*)?"
)
_NOT_ALPHANUMERIC = re.compile(r"[\W_]+")
NEAR = 0.66
NEAR_LABEL = 0.8


@dataclass(frozen=True, slots=True)
class Field:
    """A braced part of a prompt.

    Attributes:
        kind: "column" (its text equals a label), "name" (the form of a name with attributes and items),
            "escaped" (a label or a name in double braces), "other" (one or two pairs of braces on one line
            around anything else).
        text: Text between the braces.
        braced: Whether it was in three pairs of braces, which means a value in braces.
        start: Position of the first brace.
        end: Position after the last brace.
    """

    kind: Literal["column", "name", "escaped", "other"]
    text: str
    braced: bool
    start: int
    end: int

    @property
    def name(self) -> str:
        """The name with which the field starts."""
        return first_word(self.text)


class FieldFinder:
    """Finds the fields of prompts for rows that have these column labels.

    Args:
        labels: Column labels as texts; none for a prompt that is filled from names alone.
    """

    def __init__(self, labels: Collection[str] = ()) -> None:
        self._labels = frozenset(label for label in labels if label)
        self._lengths = sorted({len(label) for label in self._labels}, reverse=True)

    def find(self, text: str) -> Iterator[Field]:
        """The fields of `text` from left to right, without overlap."""
        at = text.find("{")
        while at >= 0:
            field = self._column(text, at) or _name(text, at) or _other(text, at)
            if field is not None:
                yield field
            at = text.find("{", at + 1 if field is None else field.end)

    def _column(self, text: str, at: int) -> Field | None:
        for braces in (3, 2, 1):
            start = at + braces
            if not text.startswith("{" * braces, at):
                continue
            for length in self._lengths:
                end = start + length
                if text.startswith("}" * braces, end) and text[start:end] in self._labels:
                    kind: Literal["escaped", "column"] = "escaped" if braces == len("{{") else "column"
                    return Field(kind, text[start:end], braces == len("{{{"), at, end + braces)
        return None


def _name(text: str, at: int) -> Field | None:
    match = _FIELDS.match(text, at)
    if match is None:
        return None
    typed = match["literal"] or match["field"] or match["braced"]
    return Field("escaped" if match["literal"] else "name", typed, bool(match["braced"]), at, match.end())


def _other(text: str, at: int) -> Field | None:
    match = _BRACED_TEXT.match(text, at)
    if match is None:
        return None
    return Field("other", match["doubled"] or match["single"], False, at, match.end())


def first_word(field: str) -> str:
    """The name with which a field starts."""
    return field.partition(".")[0].partition("[")[0]


def near_label(text: str, labels: Collection[str]) -> str | None:
    """The label that a braced text probably means, or None.

    It may differ in case, in blanks, ``_``, ``-`` and other marks, by a Python format (``:.2f``, ``!r``), by
    enclosing quotes, or by a few mistyped letters. A JSON object with a key of that name does not count.
    """
    wanted = text.strip()
    if wanted[:1] in {"'", '"'}:
        if wanted[-1:] != wanted[0] or wanted.count(wanted[0]) > len("''"):
            return None
        wanted = wanted[1:-1].strip()
    formatted = _FORMAT.fullmatch(wanted)
    plain: dict[str, str] = {}
    for label in labels:
        plain.setdefault(_plain(label), label)
    for candidate in (wanted, formatted["text"] if formatted else ""):
        if (key := _plain(candidate)) and key in plain:
            return plain[key]
    if '"' in wanted:
        return None
    return nearest(wanted, labels, NEAR_LABEL)


def _plain(label: str) -> str:
    return _NOT_ALPHANUMERIC.sub("", label.casefold())


def nearest(word: str, known: Iterable[str], cutoff: float = NEAR) -> str | None:
    """The known word that `word` probably means, or None."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return near[0] if near else None


def look_up(field: str, name: str, value: Any) -> Any:
    """Follow the attributes and items of a field from the value of its first word.

    Raises:
        InvalidPromptError: An attribute or item does not exist; nothing was sent.
    """
    done = name
    for match in _STEPS.finditer(field, len(name)):
        step = match.group()
        value = _attribute(done, value, step[1:]) if step[0] == "." else _item(done, value, step[1:-1])
        done += step
    return value


def is_dunder(name: str) -> bool:
    """Whether a name is one of Python's special names, such as ``__class__``."""
    return name.startswith("__") and name.endswith("__")


def _attribute(done: str, value: Any, attribute: str) -> Any:
    if is_dunder(attribute):
        raise InvalidPromptError(
            f"{{{done}.{attribute}}} is an internal attribute of Python; nothing was sent; "
            "double the braces to send it as typed"
        )
    try:
        return getattr(value, attribute)
    except AttributeError:
        hint = _hint(attribute, [known for known in dir(value) if not known.startswith("_")])
        raise InvalidPromptError(f"{done} has no attribute {attribute!r}; nothing was sent; {hint}") from None
    except Exception as error:
        raise InvalidPromptError(
            f"{done}.{attribute} could not be read ({type(error).__name__}); nothing was sent"
        ) from error


def _item(done: str, value: Any, typed: str) -> Any:
    key: int | str = ast.literal_eval(typed) if typed[0] in "-'\"" or typed[0].isdigit() else typed
    try:
        return value[key]
    except (KeyError, IndexError):
        known = [item for item in value if isinstance(item, str)] if isinstance(value, Mapping) else []
        raise InvalidPromptError(
            f"{done} has no item {key!r}; nothing was sent; {_hint(str(key), known)}"
        ) from None
    except Exception as error:
        raise InvalidPromptError(
            f"{done}[{key!r}] could not be read ({type(error).__name__}); nothing was sent; "
            "double the braces to send it as typed"
        ) from error


def _hint(word: str, known: list[str]) -> str:
    near = nearest(word, known)
    return f"did you mean {near!r}?" if near else "double the braces to send it as typed"
