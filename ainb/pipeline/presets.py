"""The rules that ship with ainb.

The default preset keeps secrets and unprintable characters out of what is sent and stands in nobody's way: people ask about
Python and HTML. The strict preset is for texts from strangers; it looks at what was filled in, at rows, and at prompts of which
nobody said who typed them, never at what a person typed into a cell.
"""

from __future__ import annotations

from ainb import redaction
from ainb.pipeline import personal, untrusted
from ainb.pipeline.characters import find_odd
from ainb.pipeline.rules import UNTRUSTED, Rule, with_actions
from ainb.pipeline.validation_options import Validation

# Characters come first: what hides inside a secret is gone when secrets are looked for.
DEFAULT_RULES = (
    Rule(name="unprintable character", find=find_odd, action="redact", replacement=""),
    Rule(name="secret", find=redaction.find, action="redact"),
)
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
NAMES = tuple(rule.name for rule in (*DEFAULT_RULES, *STRICT_RULES, *PERSONAL_RULES, STEERING_RULE))


def rules_of(options: Validation) -> list[Rule]:
    """The rules that the options choose, in the order in which they look."""
    chosen = {rule.name: rule for rule in DEFAULT_RULES}
    if options.preset == "strict":
        chosen |= {rule.name: rule for rule in STRICT_RULES}
    if options.personal_data:
        chosen |= {rule.name: rule for rule in PERSONAL_RULES}
    if options.injection:
        chosen[STEERING_RULE.name] = STEERING_RULE
    # Replaced where it stands, so that the order stays.
    chosen |= {rule.name: rule for rule in options.rules}
    return with_actions(chosen.values(), options.actions)
