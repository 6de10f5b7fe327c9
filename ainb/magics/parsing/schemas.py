"""``--schema``: finds a schema in the notebook, or parses one written in the line."""

from __future__ import annotations

from typing import Any

from ainb.errors import ConfigError
from ainb.magics.shell import NotebookShell
from ainb.pipeline.answer import Schema, is_inline, is_schema_class, is_schema_type, read_schema
from ainb.suggestions import closest

# Keys that distinguish a JSON schema from any other dict.
_KEYWORDS = frozenset({"$schema", "$ref", "type", "properties", "enum", "anyOf", "oneOf", "allOf"})


def find_schema(shell: NotebookShell, name: str) -> Schema:
    """The schema of a variable of the notebook, or one written in the line.

    Args:
        shell: The notebook shell.
        name: As typed: a name, which may be dotted, or a line such as ``label: a|b, score: int 0..10``.

    Raises:
        ConfigError: The name does not exist, its value is not a schema, or the line cannot be parsed.
    """
    if is_inline(name):
        return read_schema(name)
    first, *rest = name.split(".")
    names = shell.namespace()
    if first not in names:
        raise ConfigError(f"--schema {name}: the notebook has no {first!r}; {_hint(shell, first)}")
    value = names[first]
    for part in rest:
        if not hasattr(value, part):
            raise ConfigError(
                f"--schema {name}: there is no {part!r} in it; name a class or a dict that exists"
            )
        value = getattr(value, part)
    try:
        return read_schema(value)
    except ConfigError as error:
        raise ConfigError(f"--schema {name}: {error}") from None


def is_schema(value: Any) -> bool:
    """Whether a value can be named after ``--schema``."""
    if type(value) is dict:
        return bool(_KEYWORDS & value.keys())
    if not (is_schema_class(value) or is_schema_type(value)):
        return False
    return str(getattr(value, "__module__", "")).partition(".")[0] not in {"pydantic", "builtins", "datetime"}


def _hint(shell: NotebookShell, name: str) -> str:
    if known := shell.variables(is_schema):
        return closest(name, known)
    return (
        "define it first: a pydantic model, a dataclass, a TypedDict or a dict that holds a JSON schema; or "
        "write it in the line: "
        '--schema "label: positive|negative, score: int 0..10"'
    )
