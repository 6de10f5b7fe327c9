"""The rules that are looked at only where they were asked for: for texts from strangers, personal data, steering phrases."""

from __future__ import annotations

from ainb.pipeline import personal, untrusted
from ainb.pipeline.rules import UNTRUSTED, Rule

STRICT_RULES = (
    Rule(name="overlong text", find=untrusted.find_length, parts=UNTRUSTED),
    Rule(name="script tag", find=untrusted.find_scripts, parts=UNTRUSTED),
    Rule(name="javascript URL", find=untrusted.find_urls, parts=UNTRUSTED),
    Rule(name="eval or exec call", find=untrusted.find_calls, parts=UNTRUSTED),
    Rule(name="import statement", find=untrusted.find_imports, parts=UNTRUSTED),
    Rule(name="dunder name", find=untrusted.find_dunders, parts=UNTRUSTED),
    Rule(name="HTML tag", find=untrusted.find_tags, parts=UNTRUSTED),
)
# What has a checksum comes first: a card number holds what looks like a phone number.
PERSONAL_RULES = (
    Rule(name="email address", find=personal.find_emails, action="redact", reversible=True),
    Rule(name="IBAN", find=personal.find_ibans, action="redact", reversible=True),
    Rule(name="card number", find=personal.find_cards, action="redact", reversible=True),
    Rule(name="social security number", find=personal.find_ssns, action="redact", reversible=True),
    Rule(name="phone number", find=personal.find_phones, action="redact", reversible=True),
)
STEERING_RULE = Rule(
    name="steering phrase (heuristic)", find=untrusted.find_steering, action="warn", parts=UNTRUSTED
)
OPTIONAL_RULES = (*STRICT_RULES, *PERSONAL_RULES, STEERING_RULE)
