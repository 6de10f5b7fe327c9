"""Rules that options enable: for untrusted text, personal data, and steering phrases."""

from __future__ import annotations

from collections.abc import Callable

from ainb.pipeline.validation import personal, untrusted
from ainb.pipeline.validation.rules import UNTRUSTED, Places, Rule


def _holds(piece: str) -> Callable[[str], bool]:
    return lambda text: piece in text


STRICT_RULES = (
    Rule(name="overlong text", find=untrusted.find_length, may_hold=untrusted.is_overlong, parts=UNTRUSTED),
    Rule(name="script tag", find=untrusted.find_scripts, may_hold=_holds("<"), parts=UNTRUSTED),
    Rule(name="javascript URL", find=untrusted.find_urls, may_hold=_holds(":"), parts=UNTRUSTED),
    Rule(name="eval or exec call", find=untrusted.find_calls, may_hold=_holds("("), parts=UNTRUSTED),
    Rule(name="import statement", find=untrusted.find_imports, may_hold=_holds("import"), parts=UNTRUSTED),
    Rule(name="dunder name", find=untrusted.find_dunders, may_hold=_holds("__"), parts=UNTRUSTED),
    Rule(name="HTML tag", find=untrusted.find_tags, may_hold=_holds("<"), parts=UNTRUSTED),
)


def _personal(name: str, find: Callable[[str], Places], may_hold: Callable[[str], bool]) -> Rule:
    return Rule(name=name, find=find, may_hold=may_hold, action="redact", reversible=True)


# Rules with a checksum come first: parts of a card number look like a phone number.
PERSONAL_RULES = (
    _personal("email address", personal.find_emails, _holds("@")),
    _personal("IBAN", personal.find_ibans, personal.may_hold_numbers),
    _personal("card number", personal.find_cards, personal.may_hold_numbers),
    _personal("social security number", personal.find_ssns, personal.may_hold_numbers),
    _personal("phone number", personal.find_phones, personal.may_hold_numbers),
)
STEERING_RULE = Rule(
    name="steering phrase (heuristic)", find=untrusted.find_steering, action="warn", parts=UNTRUSTED
)
OPTIONAL_RULES = (*STRICT_RULES, *PERSONAL_RULES, STEERING_RULE)
