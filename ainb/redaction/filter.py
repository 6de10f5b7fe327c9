"""Redaction filter: finds secrets and keeps them out of prompts, errors, logs, journals and cassettes.

It finds two kinds: the values of key variables in the environment, and texts that match one of many patterns
of secrets. A secret is a long run without blanks, and most texts contain no such run, so that one fast check
is enough. Otherwise a pattern is run if one of its literals occurs.
"""

from __future__ import annotations

import functools
import itertools
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ainb.fork import Cached
from ainb.redaction.assignments import ASSIGNMENTS
from ainb.redaction.split_keys import find_split, may_be_split, may_hold_split, occurrences
from ainb.redaction.tokens import TOKENS
from ainb.variables import KEY_VARIABLES, OTHER_KEY_VARIABLES

# The mapping under os.environ: with os.environ itself, each unset variable raises and catches an error, which
# was a third of the time of checking a text.
_table: Mapping[Any, Any] = getattr(os.environ, "_data", os.environ)
_table_name: Callable[[str], Any] = getattr(os.environ, "encodekey", str)
# Variable name to its key in that mapping.
_variables = {name: _table_name(name) for name in (*KEY_VARIABLES.values(), *OTHER_KEY_VARIABLES)}
MIN_KEY_CHARACTERS = 16
# After this many secrets of a kind the rest of the text counts as one secret; after this many long runs the
# text is searched as a whole.
MAX_MATCHES = 10_000
MAX_RUNS = 1_000
_MIN_DISTINCT = 8
_PLACEHOLDER = re.compile(
    r"your|example|placeholder|changeme|change_me|dummy|\.\.\.|xxxx|0000|<|>|\$\{", re.IGNORECASE
)


@dataclass(frozen=True, eq=False)
class _Rule:
    name: str
    text: str
    literals: tuple[str, ...]

    @Cached
    def pattern(self) -> re.Pattern[str]:
        """The compiled pattern, compiled on first use.

        Most patterns are never used, and compiling all of them takes 100 ms.
        """
        return re.compile(self.text)


_TOKEN_RULES = tuple(_Rule(*row) for row in TOKENS)
_NAMED_RULES = tuple(_Rule(*row) for row in ASSIGNMENTS)
_RULES = (*_TOKEN_RULES, *_NAMED_RULES)
_ORDER = {rule: place for place, rule in enumerate(_RULES)}
_Literals = tuple[tuple[str, _Rule], ...]


def _gated(rules: Iterable[_Rule], gates: str, *, lower: bool = False) -> tuple[tuple[str, _Literals], ...]:
    """Group literals by a character that all of them contain: one search for it replaces many."""
    groups: dict[str, dict[tuple[str, _Rule], None]] = {}
    for rule in rules:
        for literal in rule.literals:
            gate = next((gate for gate in gates if gate in literal), "")
            groups.setdefault(gate, {})[literal.lower() if lower else literal, rule] = None
    return tuple((gate, tuple(literals)) for gate, literals in groups.items())


# A literal of a token is part of it, and so of a long run; a name stands beside its value, in upper or lower
# case.
_BESIDE = _gated(_NAMED_RULES, ":", lower=True)
_INSIDE = _gated(_TOKEN_RULES, "-_.=")
_ENDS = bytes(byte for byte in range(256) if chr(byte) in "\"'`,;()[]{}<>\\" or byte <= 32)  # noqa: PLR2004 - blank and controls
# Characters that a secret may contain become "a"; blanks, quotes, brackets, commas and semicolons end a run.
_RUNS = bytes(32 if byte in _ENDS else 97 for byte in range(256))
_LONG_RUN = b"a" * MIN_KEY_CHARACTERS
# Secrets that need not be a long run: a value in .env form, a password, the content of a PEM block.
_ASSIGNED = tuple(
    (f"{literal}=", rule)
    for rule in _NAMED_RULES
    if rule.name.endswith(" value")
    for literal in rule.literals
    if literal.isupper()
)
_SHORT_NAMES = tuple(
    (literal.lower(), rule)
    for rule in _NAMED_RULES
    if rule.name in {"password value", "authorization value"}
    for literal in rule.literals[:1]
)
_SHORT_FORMS = tuple(
    (literal, rule)
    for rule in _NAMED_RULES
    if rule.name in {"curl password", "netrc password", "option value", "private key"}
    for literal in rule.literals
)
(_URL_RULE,) = (rule for rule in _NAMED_RULES if rule.name == "password in a URL")
_remembered: dict[str, str] = {}
PATTERNS: tuple[tuple[str, re.Pattern[str]], ...]


def __getattr__(name: str) -> Any:
    if name == "PATTERNS":
        return tuple((rule.name, rule.pattern) for rule in _RULES)
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
    rules = _rules_for(raw) if _LONG_RUN in raw.translate(_RUNS) else _rules_for_short(text)
    found = find_known(text)
    # In the order of the rules: of two names for one place the first counts, and a token's name is more
    # specific than that of an assignment.
    for rule in sorted(set(rules), key=_ORDER.__getitem__):
        found += _matches(rule, text)
    return _without_overlap(found) if found else found


def _matches(rule: _Rule, text: str) -> list[tuple[int, int, str]]:
    group = "secret" if "secret" in rule.pattern.groupindex else 0
    matches = itertools.islice(rule.pattern.finditer(text), MAX_MATCHES)
    found = [(*match.span(group), rule.name) for match in matches]
    if len(found) == MAX_MATCHES:
        found[-1] = (found[-1][0], len(text), rule.name)
    return found


def may_hold(text: str) -> bool:
    """Fast pre-check: whether `find` may find something."""
    if _LONG_RUN in text.encode("utf-8", "replace").translate(_RUNS) or _rules_for_short(text):
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
    if may_be_split(text.strip()) or _LONG_RUN in text.encode("utf-8", "replace").translate(_RUNS):
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
    _variables[name] = _table_name(name)


def secret_values() -> dict[str, str]:
    """Values that must be redacted: those of key variables and those from `remember`.

    Returns:
        Value to variable name, without values shorter than MIN_KEY_CHARACTERS and placeholders of keys.
    """
    values = dict(_remembered)
    for name, key in list(_variables.items()):
        if key in _table:
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


def _rules_for(raw: bytes) -> list[_Rule]:
    """The rules with a literal that occurs."""
    # As text, in which literals are found three times as fast as in bytes; one character per byte gives the
    # same result for ASCII literals.
    lowered, runs = raw.lower().decode("latin-1"), _long_runs(raw).decode("latin-1")
    return [*_of_literals(_BESIDE, lowered), *_of_literals(_INSIDE, runs)]


def _of_literals(groups: tuple[tuple[str, _Literals], ...], text: str) -> list[_Rule]:
    return [
        rule for gate, literals in groups if gate in text for literal, rule in literals if literal in text
    ]


def _rules_for_short(text: str) -> list[_Rule]:
    """The rules that may find something in a text without a long run."""
    rules = [rule for literal, rule in _SHORT_FORMS if literal in text]
    if "=" in text or ":" in text or ">" in text:
        lowered = text.lower()
        rules += [rule for literal, rule in _SHORT_NAMES if literal in lowered]
        rules += [rule for literal, rule in _ASSIGNED if literal in text]
        if "@" in text and "://" in text:
            rules.append(_URL_RULE)
    return rules


def _long_runs(raw: bytes) -> bytes:
    """The runs that are long enough for a key, separated by blanks; most texts have none."""
    shape = raw.translate(_RUNS)
    runs: list[bytes] = []
    at = shape.find(_LONG_RUN)
    while at >= 0:
        if len(runs) == MAX_RUNS:
            return b" ".join([*runs, raw[at:]])
        end = shape.find(b" ", at)
        runs.append(raw[at:] if end < 0 else raw[at:end])
        at = -1 if end < 0 else shape.find(_LONG_RUN, end)
    return b" ".join(runs)


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
