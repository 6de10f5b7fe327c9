"""Edits ``[tool.ainb.aliases]`` of a pyproject.toml one line at a time; every other byte stays the same.

The new text is parsed and compared with the wanted content before it replaces the file: a form that these
few rules do not cover is an error, and the file is never damaged.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from ainb.errors import ConfigError
from ainb.redaction import redact
from ainb.stores.files import replacement_file

TABLE: Final = "[tool.ainb.aliases]"
_HEADER = re.compile(
    r"^[ \t]*\[[ \t]*tool[ \t]*\.[ \t]*ainb[ \t]*\.[ \t]*aliases[ \t]*\][ \t]*(?:#[^\n]*)?\r?$", re.MULTILINE
)
_ENTRY = re.compile(r"^[ \t]*[^#\s][^\n]*$", re.MULTILINE)
_NEXT_HEADER = re.compile(r"^[ \t]*\[", re.MULTILINE)
_INLINE = re.compile(r"^([ \t]*aliases[ \t]*=[ \t]*\{)([^{}\n]*)(\})", re.MULTILINE)
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_STRING = r"(?:\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*')"


def save_alias(path: Path, name: str, target: str) -> None:
    """Write an alias into a file, which is created if it is missing.

    Raises:
        ConfigError: The file cannot be read or written, its aliases are in a form that cannot be edited here,
            or the name or the model looks like a key.
    """
    if redact(f"{name} {target}") != f"{name} {target}":
        raise ConfigError("what is to be saved looks like a key, and no key is written into pyproject.toml")
    _change(path, name, target)


def forget_alias(path: Path, name: str) -> bool:
    """Remove an alias from a file; returns whether it was there.

    Raises:
        ConfigError: As for `save_alias`.
    """
    if name not in _aliases(_read(path)[1]):
        return False
    _change(path, name, None)
    return True


def _change(path: Path, name: str, target: str | None) -> None:
    old, wanted = _read(path)
    table = _aliases(wanted)
    if target is None:
        del table[name]
    else:
        table[name] = target
    for attempt in _ATTEMPTS:
        text = attempt(old, name, target)
        if text is not None and _means(text, wanted):
            _write(path, text)
            return
    line = f"{_key(name)} = {json.dumps(target)}" if target is not None else f"the line of {name}"
    doing = "add" if target is not None else "take out"
    raise ConfigError(
        f"{path.name} holds its aliases in a form that is not changed here; "
        f"{doing} {line} under {TABLE} yourself"
    )


def _in_table(text: str, name: str, target: str | None) -> str | None:
    """Change, add or remove a line below the table's header."""
    header = _HEADER.search(text)
    if header is None:
        return None
    start = min(header.end() + 1, len(text))
    following = _NEXT_HEADER.search(text, start)
    end = following.start() if following else len(text)
    body = text[start:end]
    line = re.compile(rf"^([ \t]*{_any_key(name)}[ \t]*=[ \t]*){_STRING}([^\n]*\n?)", re.MULTILINE)
    found = line.search(body)
    if target is None:
        return text[:start] + line.sub("", body, count=1) + text[end:] if found else None
    if found:
        changed = f"{found.group(1)}{json.dumps(target)}{found.group(2)}"
        return text[:start] + body[: found.start()] + changed + body[found.end() :] + text[end:]
    lines = list(_ENTRY.finditer(body))
    at = min(start + lines[-1].end() + 1, len(text)) if lines else start
    ending = _line_ending(text)
    lead = "" if text[:at].endswith("\n") else ending
    return f"{text[:at]}{lead}{_key(name)} = {json.dumps(target)}{ending}{text[at:]}"


def _in_braces(text: str, name: str, target: str | None) -> str | None:
    """Change ``aliases = { … }`` on its line."""
    found = _INLINE.search(text)
    if found is None:
        return None
    opening, body, closing = found.groups()
    pair = re.compile(rf"({_any_key(name)}[ \t]*=[ \t]*){_STRING}")
    if target is None:
        changed = re.sub(rf"{pair.pattern}[ \t]*,[ \t]*|(?:,[ \t]*)?{pair.pattern}", "", body, count=1)
    elif pair.search(body):
        changed = pair.sub(lambda match: match.group(1) + json.dumps(target), body, count=1)
    else:
        inner = body.strip()
        changed = f" {inner}{', ' if inner else ''}{_key(name)} = {json.dumps(target)} "
    return text[: found.start()] + opening + changed + closing + text[found.end() :]


def _appended(text: str, name: str, target: str | None) -> str | None:
    """Append a new table at the end."""
    if target is None:
        return None
    ending = _line_ending(text)
    gap = "" if not text else ending if text.endswith("\n") else 2 * ending
    return f"{text}{gap}{TABLE}{ending}{_key(name)} = {json.dumps(target)}{ending}"


def _line_ending(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


_ATTEMPTS: Final[tuple[Callable[[str, str, str | None], str | None], ...]] = (
    _in_table,
    _in_braces,
    _appended,
)


def _means(text: str, wanted: Mapping[str, Any]) -> bool:
    try:
        read = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    _aliases(read)
    return read == wanted


def _aliases(data: dict[str, Any]) -> dict[str, Any]:
    """The table of aliases, added if it is missing."""
    for name in ("tool", "ainb", "aliases"):
        data = data.setdefault(name, {})
        if not isinstance(data, dict):
            raise ConfigError(f"{name} is not a table in pyproject.toml; fix it first")
    return data


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    """Text and content of the file; both are empty if there is none."""
    try:
        text = path.read_bytes().decode("utf-8") if path.is_file() else ""
        return text, tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path.name} cannot be read ({error}); fix it first") from None


def _write(path: Path, text: str) -> None:
    """Replace the file atomically; a symbolic link and the file's mode are kept."""
    place = path.resolve()
    try:
        with replacement_file(place, text.encode()) as replacement:
            replacement.replace(place)
    except OSError as error:
        raise ConfigError(
            f"{path.name} cannot be written ({error.strerror}); the alias holds until the kernel ends"
        ) from None


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else json.dumps(name)


def _any_key(name: str) -> str:
    """A pattern of all spellings of a TOML key."""
    ways = {re.escape(json.dumps(name)), re.escape(f"'{name}'")}
    if _BARE.fullmatch(name):
        ways.add(re.escape(name))
    return f"(?:{'|'.join(sorted(ways))})"
