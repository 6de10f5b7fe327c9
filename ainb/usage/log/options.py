"""Options of the usage log."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ainb.errors import ConfigError
from ainb.plain import plain_fields


@dataclass(frozen=True, kw_only=True)
class Log:
    """Options of the usage log.

    Attributes:
        max_rows: Rows beyond this number are pruned, oldest first; None keeps all.
        max_age_days: Older rows are pruned; None keeps all.
        content: Whether rows contain prompts and replies, redacted.

    Raises:
        ConfigError: A limit is not above 0.
    """

    max_rows: int | None = 2_000_000
    max_age_days: float | None = 400.0
    content: bool = False

    def __post_init__(self) -> None:
        plain_fields(self)
        for name in ("max_rows", "max_age_days"):
            value: object = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf
            if value is not None and not number:
                raise ConfigError(f"{name} must be a number above 0, or None to keep all; it is {value!r}")
