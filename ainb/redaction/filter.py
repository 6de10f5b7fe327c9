"""Redaction filter: finds secrets and keeps them out of prompts, errors, logs, journals and cassettes.

It finds two kinds: the values of key variables in the environment, and texts that match one of many patterns
of secrets.
"""

from __future__ import annotations

import functools
import itertools
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ainb.redaction.rules import (
    MIN_KEY_CHARACTERS,
    ORDER,
    RULES,
    Rule,
    has_long_run,
    rules_for,
    rules_for_short,
)
from ainb.redaction.split_keys import find_split, may_be_split, may_hold_split, occurrences
from ainb.variables import KEY_VARIABLES, OTHER_KEY_VARIABLES, TABLE, table_key

# Variable name to its key in the table of variables.
_variables = {name: table_key(name) for name in (*KEY_VARIABLES.values(), *OTHER_KEY_VARIABLES)}
# After this many secrets of a kind the rest of the text counts as one secret.
MAX_MATCHES = 10_000
_MIN_DISTINCT = 8
_PLACEHOLDER = re.compile(
    r"your|example|placeholder|changeme|change_me|dummy|\.\.\.|xxxx|0000|<|>|\$\{", re.IGNORECASE
)


_remembered: dict[str, str] = {}
PATTERNS: tuple[tuple[str, re.Pattern[str]], ...]


def __getattr__(name: str) -> Any:
    if name == "PATTERNS":
        return tuple((rule.name, rule.pattern) for rule in RULES)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def find(text: str) -> list[tuple[int, int, str]]:
    """Find the places of secrets in a text.

    Args:
        text: Anything.

    Returns:
        ``(start, end, name)`` of each place, in order, without overlap; the name is that of the pattern, or
        of the variable with this value.
    """
    raw = text.encode("utf-8", "replace")
    rules = rules_for(raw) if has_long_run(raw) else rules_for_short(text)
    found = find_known(text)
    # In the order of the rules: of two names for one place the first counts, and a token's name is more
    # specific than that of an assignment.
    for rule in sorted(set(rules), key=ORDER.__getitem__):
        found += _matches(rule, text)
    return _without_overlap(found) if found else found


def _matches(rule: Rule, text: str) -> list[tuple[int, int, str]]:
    group = "secret" if "secret" in rule.pattern.groupindex else 0
    matches = itertools.islice(rule.pattern.finditer(text), MAX_MATCHES)
    found = [(*match.span(group), rule.name) for match in matches]
    if len(found) == MAX_MATCHES:
        found[-1] = (found[-1][0], len(text), rule.name)
    return found


def may_hold(text: str) -> bool:
    """Fast pre-check: whether `find` may find something."""
    if has_long_run(text.encode("utf-8", "replace")) or rules_for_short(text):
        return True
    if len(text) < MIN_KEY_CHARACTERS or not may_be_split(text.strip()):
        return False
    return may_hold_split(text, secret_values())


def find_known(text: str, values: Mapping[str, str] | None = None) -> list[tuple[int, int, str]]:
    """Find only the values of key variables, in the form of `find`.

    Texts that only look like secrets are ignored.

    Args:
        text: Anything.
        values: Result of `secret_values`, for callers with many texts; None looks the values up.
    """
    # Most texts are too short or too plain to contain a key.
    if len(text) < MIN_KEY_CHARACTERS:
        return []
    if may_be_split(text.strip()) or has_long_run(text.encode("utf-8", "replace")):
        return find_values(text, secret_values() if values is None else values)
    return []


def may_hold_known(texts: Iterable[str], values: Mapping[str, str]) -> bool:
    """Fast pre-check: whether `find_known` may find one of the values in any of the texts."""
    joined = " ".join(texts)
    return may_be_split(joined) or any(value in joined for value in values)


def remember(value: str, name: str) -> None:
    """Redact a value from a file, a keyring or a user's variable like that of a key variable.

    Args:
        value: The secret; ignored if `is_secret` is False for it.
        name: Name in its replacement.
    """
    if is_secret(value):
        _remembered[value] = name


def redact(text: str) -> str:
    """Replace each secret in a text by ``[redacted NAME]``; a text without secrets is returned itself."""
    found = find(text)
    if not found:
        return text
    pieces, place = [], 0
    for start, end, name in found:
        pieces += [text[place:start], f"[redacted {name}]"]
        place = end
    return "".join([*pieces, text[place:]])


def encodable(text: str) -> str:
    """Replace lone surrogates by "?", since neither UTF-8 nor a file can hold them."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def watch(name: str) -> None:
    """Treat the variable `name` as a key variable from now on; for a variable that the user named."""
    _variables[name] = table_key(name)


def secret_values() -> dict[str, str]:
    """Values that must be redacted: those of key variables and those from `remember`.

    Returns:
        Value to variable name, without values shorter than MIN_KEY_CHARACTERS and placeholders of keys.
    """
    values = dict(_remembered)
    for name, key in list(_variables.items()):
        if key in TABLE:
            value = _secret_in(os.environ.get(name, ""))
            if value is not None:
                values[value] = name
    return values


@functools.lru_cache(maxsize=64)  # looked up for each reply
def _secret_in(variable: str) -> str | None:
    """The value of a key variable without white space and quotes; None unless it is a secret."""
    value = variable.strip().strip("\"'").strip()
    return value if is_secret(value) else None


def is_secret(value: str) -> bool:
    """Whether a key variable's value is long and varied enough to be a key, and not a placeholder."""
    long_enough = len(value) >= MIN_KEY_CHARACTERS and len(set(value)) >= _MIN_DISTINCT
    return long_enough and _PLACEHOLDER.search(value) is None


def find_values(text: str, values: Mapping[str, str]) -> list[tuple[int, int, str]]:
    """Find given values in a text, whole, split or encoded.

    Args:
        text: Anything.
        values: Name by value.

    Returns:
        ``(start, end, name)`` of each, in order, without overlap.
    """
    found = find_split(text, values)
    for value, name in values.items():
        if value in text:
            found += [(at, at + len(value), name) for at in occurrences(value, text)]
    return _without_overlap(found) if found else found


def _without_overlap(found: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Join overlapping places under the name of the one that starts first.

    If two start together, the longer one's name is used.
    """
    if all(before[1] <= after[0] for before, after in itertools.pairwise(found)):
        return found
    joined: list[tuple[int, int, str]] = []
    for start, end, name in sorted(found, key=lambda place: (place[0], -place[1])):
        if joined and start < joined[-1][1]:
            before = joined[-1]
            joined[-1] = (before[0], max(before[1], end), before[2])
        else:
            joined.append((start, end, name))
    return joined
