"""The rules that ship with ainb.

The default preset keeps secrets and unprintable characters out of what is sent and stands in nobody's way: people ask about
Python and HTML. The strict preset is for texts from strangers; it looks at what was filled in, at rows, and at prompts of which
nobody said who typed them, never at what a person typed into a cell.
"""

from __future__ import annotations

from ainb.pipeline.validation.characters import find_odd, may_be_odd
from ainb.pipeline.validation.rules import Rule
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
