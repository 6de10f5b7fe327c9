"""Options of the cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from ainb.errors import ConfigError
from ainb.pipeline.checks import check_seconds
from ainb.plain import plain_fields
from ainb.stores.base import MEMORY_BYTES, Where

PLACES = get_args(Where)


@dataclass(frozen=True, kw_only=True)
class Cache:
    """Options of the cache.

    Attributes:
        ttl_seconds: Age up to which an answer is returned from the cache; above 0, None means no limit.
        where: "disk" (persistent, shared by all kernels of the user) or "memory" (this process, bounded).
        memory_bytes: Size limit of the memory store, and of entries kept in memory while the disk fails;
            above 0.

    Raises:
        ConfigError: A value is out of its range.
    """

    ttl_seconds: float | None = None
    where: Where = "disk"
    memory_bytes: int = MEMORY_BYTES

    def __post_init__(self) -> None:
        plain_fields(self)
        check_seconds("ttl_seconds", self.ttl_seconds)
        if self.where not in PLACES:
            raise ConfigError(f"where must be one of {', '.join(PLACES)}; it is {self.where!r}")
        if type(self.memory_bytes) is not int or self.memory_bytes <= 0:
            raise ConfigError(f"memory_bytes must be a whole number above 0; it is {self.memory_bytes!r}")
