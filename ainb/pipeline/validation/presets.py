"""The rules that ship with ainb.

The default preset keeps secrets and unprintable characters out of what is sent and stands in nobody's way: people ask about
Python and HTML. The strict preset is for texts from strangers; it looks at what was filled in, at rows, and at prompts of which
nobody said who typed them, never at what a person typed into a cell.
"""

from __future__ import annotations

from ainb.pipeline.validation.characters import find_odd, may_be_odd
from ainb.pipeline.validation.options import Validation
from ainb.pipeline.validation.rules import Rule, with_actions
from ainb.redaction import filter as redaction

# Characters come first: what hides inside a secret is gone when secrets are looked for.
DEFAULT_RULES = (
    Rule(name="unprintable character", find=find_odd, may_hold=may_be_odd, action="redact", replacement=""),
    Rule(name="secret", find=redaction.find, may_hold=redaction.may_hold, action="redact"),
)


def shipped_names() -> list[str]:
    """Names of all rules that ship."""
    from ainb.pipeline.validation.optional_rules import OPTIONAL_RULES

    return [rule.name for rule in (*DEFAULT_RULES, *OPTIONAL_RULES)]


def rules_of(options: Validation) -> list[Rule]:
    """The rules that the options choose, in the order in which they look."""
    chosen = list(DEFAULT_RULES)
    if options.preset == "strict" or options.personal_data or options.injection:
        chosen += _optional(options)
    # Replaced where it stands, so that the order stays.
    named = {rule.name: rule for rule in (*chosen, *options.rules)}
    return with_actions(named.values(), options.actions)


def _optional(options: Validation) -> list[Rule]:
    # Imported here: their patterns take time to compile, and most sessions never ask for them.
    from ainb.pipeline.validation import optional_rules

    rules: list[Rule] = []
    if options.preset == "strict":
        rules += optional_rules.STRICT_RULES
    if options.personal_data:
        rules += optional_rules.PERSONAL_RULES
    if options.injection:
        rules.append(optional_rules.STEERING_RULE)
    return rules
