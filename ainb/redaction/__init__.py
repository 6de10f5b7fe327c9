"""Redaction: finds secrets in texts and replaces them by ``[redacted NAME]``.

`filter` finds and redacts secrets. `tokens` holds the token formats, `assignments` the patterns of values
after a name, in a header or in a URL; `split_keys` finds the user's own keys when they are split or encoded.
"""

from ainb.redaction.filter import (
    encodable,
    find,
    find_known,
    find_values,
    may_hold,
    may_hold_known,
    redact,
    remember,
    secret_values,
    watch,
)
from ainb.redaction.split_keys import beginning_of_value

__all__ = [
    "beginning_of_value", "encodable", "find", "find_known", "find_values", "may_hold", "may_hold_known",
    "redact", "remember", "secret_values", "watch",
]  # fmt: skip
