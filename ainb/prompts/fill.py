"""Values in a prompt: ``{name}``, ``{name.attr}``, ``{name[key]}``, ``{In[3]}``, ``{Out[3]}``.

One pass over what the person typed; a value that was put in is never read again, so braces inside it stay as they are. Nothing
is executed: only attributes and items with literal keys are looked up.
"""

from __future__ import annotations

import ast
import difflib
import re
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ainb.errors import InvalidPromptError
from ainb.messages import Reply
from ainb.prompts.tables import table_text

_STEP = r"""\.[^\W\d]\w*|\[(?:-?\d+|[^\W\d]\w*|'[^'\\\n]*'|"[^"\\\n]*")\]"""
_FIELD = rf"[^\W\d]\w*(?:{_STEP})*"
# The longest form first, so that {{{x}}} is a value in braces and {{x}} is {x}.
FIELDS = re.compile(
    rf"\{{\{{\{{(?P<braced>{_FIELD})\}}\}}\}}|\{{\{{(?P<literal>{_FIELD})\}}\}}|\{{(?P<field>{_FIELD})\}}"
)
_STEPS = re.compile(_STEP)
_NO_VALUE = (
    types.ModuleType,
    type,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.GeneratorType,
)
NEAR = 0.66
MAX_UNKNOWN = 20


@dataclass(frozen=True, slots=True)
class Filled:
    """A body with its values in place.

    Attributes:
        text: What will be sent.
        notes: A line for each name that looks mistyped, oldest first.
        values: The values that were put in, as they are sent but for outer white space; each once.
    """

    text: str
    notes: tuple[str, ...] = ()
    values: tuple[str, ...] = field(default=(), repr=False)


def fill(body: str, namespace: Mapping[str, Any]) -> Filled:
    """Put values of `namespace` into `body`.

    Fields whose first word is no name of the namespace, and all other braces, stay as typed; ``{{x}}`` is ``{x}``.

    Raises:
        InvalidPromptError: The name exists, but the attribute or the item does not; nothing was sent.
    """
    notes: dict[str, None] = {}
    values: dict[str, None] = {}
    unknown: set[str] = set()

    def put(match: re.Match[str]) -> str:
        if match["literal"]:
            return f"{{{match['literal']}}}"
        typed = match["field"] or match["braced"]
        name = first_word(typed)
        if _is_dunder(name) or name not in namespace:
            if name not in unknown and len(unknown) < MAX_UNKNOWN:
                unknown.add(name)
                notes.update(dict.fromkeys(_near_miss(name, namespace)))
            return match.group()
        value = look_up(typed, name, namespace[name])
        if isinstance(value, _NO_VALUE):
            notes[f"{{{typed}}} is a {_kind(value)}, not a value; it is sent as typed"] = None
            return match.group()
        text = value_text(value, typed)
        values[text.strip()] = None
        return f"{{{text}}}" if match["braced"] else text

    return Filled(FIELDS.sub(put, body), tuple(notes), tuple(values))


def value_text(value: Any, field: str) -> str:
    """What is sent for a value: text as it is, a reply's text, a table as schema and first rows, else ``str(value)``.

    Raises:
        InvalidPromptError: The value cannot be written as text.
    """
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Reply):
        return value.text
    try:
        table = table_text(value)
        return str(value) if table is None else table
    except Exception as error:
        raise InvalidPromptError(
            f"the value of {{{field}}} cannot be written as text ({type(error).__name__}); nothing was sent"
        ) from error


def first_word(field: str) -> str:
    """The name that a field starts with."""
    return field.partition(".")[0].partition("[")[0]


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


def _attribute(done: str, value: Any, attribute: str) -> Any:
    if _is_dunder(attribute):
        raise InvalidPromptError(
            f"{{{done}.{attribute}}} asks for an internal of Python; nothing was sent; double the braces to send it as typed"
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
            f"{done}[{key!r}] could not be read ({type(error).__name__}); nothing was sent; double the braces to send it as typed"
        ) from error


def _hint(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=NEAR)
    return f"did you mean {near[0]!r}?" if near else "double the braces to send it as typed"


def _near_miss(name: str, namespace: Mapping[str, Any]) -> list[str]:
    known = [item for item in namespace if not item.startswith("_") and item not in {"In", "Out"}]
    near = difflib.get_close_matches(name, known, n=1, cutoff=NEAR)
    return [f"{{{name}}} names nothing and is sent as typed; did you mean {{{item}}}?" for item in near]


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _kind(value: Any) -> str:
    if isinstance(value, types.ModuleType):
        return "module"
    if isinstance(value, type):
        return "class"
    return "generator" if isinstance(value, types.GeneratorType) else "function"
