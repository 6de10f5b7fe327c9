"""Texts about findings: notes for rules that redact or warn, and the message of a refusal.

The text that was found is never repeated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ainb.pipeline.validation.rules import Finding, Part, Rule

_WHERE: Mapping[Part, str] = {
    "typed": "what was typed",
    "values": "what was filled in",
    "rows": "the row",
    "reply": "the reply",
}


def count_of(number: int, noun: str) -> str:
    """Format a count as ``1 secret`` or ``2 secrets``; a part in brackets stays after the noun."""
    word, bracket, rest = noun.partition(" (")
    if number != 1:
        word = _plural(word)
    return f"{number} {word}{bracket}{rest}"


def _plural(word: str) -> str:
    if word.endswith(("s", "x", "ch", "sh")):
        return f"{word}es"
    return f"{word[:-1]}ies" if word.endswith("y") and word[-2:-1] not in "aeiou" else f"{word}s"


def kinds_of(findings: Iterable[Finding], name: str) -> str:
    """The kinds found, with their counts; "" where the rule has no kinds."""
    counts = Counter(finding.kind for finding in findings)
    return ", ".join(
        kind if number == 1 else f"{kind} ({number})" for kind, number in counts.items() if kind != name
    )


def notes(rules: Sequence[Rule], findings: Sequence[Finding], when: str = " before sending") -> Iterator[str]:
    """One line for each rule that redacted or warns.

    Args:
        rules: The rules that were applied.
        findings: Their findings.
        when: Appended to the action.
    """
    for rule in rules:
        found = [finding for finding in findings if finding.rule == rule.name]
        if not found or rule.action not in {"redact", "warn"}:
            continue
        kinds = kinds_of(found, rule.name)
        count, listed = count_of(len(found), rule.name), f": {kinds}" if kinds else ""
        verb = "was" if len(found) == 1 else "were"
        if rule.action == "warn":
            where = " and ".join(dict.fromkeys(_WHERE[finding.part] for finding in found))
            yield f"{count} {verb} found in {where}{listed}"
        else:
            yield f"{count} {verb} {_done(rule)}{when}{listed}{_still_there(rule, found)}"


def refusal(findings: Sequence[Finding]) -> str | None:
    """Message of a refusal: the first blocking rule, count, position and fix; None when no rule blocks."""
    blocking = [finding for finding in findings if finding.action == "block"]
    if not blocking:
        return None
    name, part, start = blocking[0].rule, blocking[0].part, blocking[0].start
    same = [finding for finding in blocking if finding.rule == name]
    kinds = kinds_of(same, name)
    others = ", ".join(dict.fromkeys(finding.rule for finding in blocking if finding.rule != name))
    what = (
        f"{_WHERE[part]} holds {count_of(len(same), name)}{f' ({kinds})' if kinds else ''}, first at "
        f"character {start}"
    )
    more = f", and more: {others}" if others else ""
    allow = f"allow it with Validation(actions={{{name!r}: 'allow'}})"
    if part == "reply":
        return f"{what}{more}; the error's text holds the reply; ask differently, or {allow}"
    return f"{what}{more}; nothing was sent; take it out, clean the text with ainb.sanitize, or {allow}"


def _done(rule: Rule) -> str:
    if rule.reversible:
        return "replaced by placeholders"
    return "redacted" if rule.replacement else "removed"


def _still_there(rule: Rule, found: Sequence[Finding]) -> str:
    lasting = rule.replacement and not rule.reversible
    if not lasting or not any(finding.part == "typed" and finding.message is not None for finding in found):
        return ""
    return "; it is still in the cell where it was typed: take it out before you share the notebook"
