"""Redaction: secrets found and replaced by ``[redacted NAME]``.

`filter` finds and redacts. `tokens` holds the token formats, `assignments` what a name, a header or a URL
tells; `split_keys` finds the user's own keys where they are split or encoded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ainb.lazy import lazy_exports

if TYPE_CHECKING:
    from ainb.redaction.filter import (
        beginning_of_value,
        encodable,
        find,
        find_known,
        find_values,
        may_hold,
        redact,
        remember,
        secret_values,
        watch,
    )
else:
    __getattr__ = lazy_exports(
        __name__,
        filter=(
            "beginning_of_value encodable find find_known find_values may_hold redact remember secret_values "
            "watch"
        ),
    )

__all__ = [
    "beginning_of_value",
    "encodable",
    "find",
    "find_known",
    "find_values",
    "may_hold",
    "redact",
    "remember",
    "secret_values",
    "watch",
]
