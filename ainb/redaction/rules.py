"""Rules of redaction, and which of them may find something in a text.

A secret is a long run without blanks, and most texts contain no such run, so that one fast check is enough.
Otherwise a pattern is run if one of its literals occurs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ainb.fork import Cached
from ainb.redaction.assignments import ASSIGNMENTS
from ainb.redaction.tokens import TOKENS

MIN_KEY_CHARACTERS = 16
# After this many long runs the text is searched as a whole.
MAX_RUNS = 1_000


@dataclass(frozen=True, eq=False)
class Rule:
    """A pattern of secrets.

    Attributes:
        name: Name in the replacement.
        text: The pattern; its group "secret", if any, is the secret.
        literals: The pattern can match only if one of them occurs.
    """

    name: str
    text: str
    literals: tuple[str, ...]

    @Cached
    def pattern(self) -> re.Pattern[str]:
        """The compiled pattern, compiled on first use.

        Most patterns are never used, and compiling all of them takes 100 ms.
        """
        return re.compile(self.text)


_TOKEN_RULES = tuple(Rule(*row) for row in TOKENS)
_NAMED_RULES = tuple(Rule(*row) for row in ASSIGNMENTS)
RULES = (*_TOKEN_RULES, *_NAMED_RULES)
ORDER = {rule: place for place, rule in enumerate(RULES)}
_Literals = tuple[tuple[str, tuple[Rule, ...]], ...]


def _gated(
    rules: Iterable[Rule], gates: Iterable[str], form: Callable[[str], str] = str
) -> tuple[tuple[str, _Literals], ...]:
    """Group literals by a text that all of them contain: one search for it replaces many.

    A literal without a gate that is not ASCII is grouped by its first such character.

    Args:
        rules: The rules whose literals are grouped.
        gates: Texts that many literals contain; the first one counts.
        form: The form of the text in which the literals are searched.
    """
    gates = tuple(gates)
    groups: dict[str, dict[str, tuple[Rule, ...]]] = {}
    for rule in rules:
        for literal in map(form, rule.literals):
            foreign = (character for character in literal if not character.isascii())
            gate = next((gate for gate in gates if gate in literal), next(foreign, ""))
            group = groups.setdefault(gate, {})
            group[literal] = (*group.get(literal, ()), rule)
    return tuple((gate, tuple(group.items())) for gate, group in groups.items())


def _bytewise(literal: str) -> str:
    """A literal in the form of the text of `rules_for`: one character per byte, only ASCII in lower case."""
    return literal.encode().lower().decode("latin-1")


_GATES = (" -", "--", "{", "<", "$", '"', "'", "pass", ":", "=", "sql", "session", "set", "(")
# A literal of a token is part of it, and so of a long run; a name stands beside its value, in upper or lower
# case.
_BESIDE = _gated(_NAMED_RULES, _GATES, _bytewise)
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
_SHORT_NAMES = _gated(
    (rule for rule in _NAMED_RULES if rule.name in {"password value", "authorization value"}),
    ("pass", "pw", "{"),
    str.lower,
)
_SHORT_FORMS = _gated(
    (
        rule
        for rule in _NAMED_RULES
        if rule.name
        in {
            "password in a command", "curl password", "netrc password", "pgpass password", "option value",
            "private key", "block value",
        }
    ),
    _GATES,
)  # fmt: skip
(_URL_RULE,) = (rule for rule in _NAMED_RULES if rule.name == "password in a URL")


def has_long_run(raw: bytes) -> bool:
    """Whether a text in UTF-8 contains a run that is long enough for a key."""
    return _LONG_RUN in raw.translate(_RUNS)


def rules_for(raw: bytes) -> list[Rule]:
    """The rules with a literal that occurs."""
    # As text, in which literals are found three times as fast as in bytes; one character per byte gives the
    # same result for ASCII literals.
    lowered, runs = raw.lower().decode("latin-1"), _long_runs(raw).decode("latin-1")
    return [*_of_literals(_BESIDE, lowered), *_of_literals(_INSIDE, runs)]


def _of_literals(groups: tuple[tuple[str, _Literals], ...], text: str) -> list[Rule]:
    return [
        rule
        for gate, literals in groups
        if gate in text
        for literal, rules in literals
        if literal in text
        for rule in rules
    ]


def rules_for_short(text: str) -> list[Rule]:
    """The rules that may find something in a text without a long run."""
    rules = _of_literals(_SHORT_FORMS, text)
    if "=" in text or ":" in text or ">" in text or "\uff1a" in text:
        lowered = text.lower()
        rules += _of_literals(_SHORT_NAMES, lowered)
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
