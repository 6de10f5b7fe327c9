"""Presets: the rules that ship with ainb.

The default preset redacts secrets and unprintable characters and allows everything else, such as code and
HTML. The strict preset is for untrusted text: it checks filled-in values, rows, and prompts of unknown
origin, never what the user typed into a cell.
"""

from __future__ import annotations

from ainb import redaction
from ainb.pipeline.validation.characters import find_odd, may_be_odd
from ainb.pipeline.validation.rules import Rule

# Characters come first: those hidden inside a secret must be gone when secrets are searched.
DEFAULT_RULES = (
    Rule(name="unprintable character", find=find_odd, may_hold=may_be_odd, action="redact", replacement=""),
    Rule(name="secret", find=redaction.find, may_hold=redaction.may_hold, action="redact"),
)
# For strings that are not prompt text, such as the URL of a picture.
OWN_KEY_RULE = Rule(name="secret", find=redaction.find_known, action="redact")


def shipped_names() -> list[str]:
    """Names of all shipped rules."""
    from ainb.pipeline.validation.optional_rules import OPTIONAL_RULES

    return [rule.name for rule in (*DEFAULT_RULES, *OPTIONAL_RULES)]
