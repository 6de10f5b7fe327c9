"""Options of a batch, checked on construction."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from ainb.batch.reporter import Watcher
from ainb.errors import ConfigError
from ainb.pipeline.budget import read_usd
from ainb.plain import plain_fields

# Published measurements end at 100 rows; with that number most models keep their accuracy, some do not.
MAX_ROWS_PER_CALL = 1_000


@dataclass(frozen=True, kw_only=True)
class BatchOptions:
    """Options of a batch.

    Attributes:
        keep: Input columns to copy in front of the result: True for all, or their names.
        resume: Continue an unfinished run of the same work; False starts anew.
        retry_failed: Send rows again that ended in an error in the newest run of the same work.
        on_error: "keep" failed rows in the frame, or "raise" after the last row.
        fail_fast: Send no further rows after the first failure.
        concurrency: Maximum number of rows in flight; None means the limit of the session.
        fixed_concurrency: Start with `concurrency` instead of growing to it; for models with a known number
            of slots.
        circuit_wait_seconds: Total wait for an open circuit.
        journal: Store finished rows on disk, so that an interrupted run can be resumed.
        out: Path of a file to which the results are streamed; None returns a frame.
        overwrite: Replace a file at `out` that ainb did not write; the input is never replaced.
        csv_formulas: "escape" puts ``'`` in front of the model's texts that a spreadsheet would run as
            formulas, in CSV and TSV; "keep" writes them unchanged.
        confirm_above_usd: USD above which the forecast must be confirmed before anything is sent; None means
            the configured limit.
        watcher: Called with the progress at most five times a second, or None.
        batch_api: Send the rows as batch jobs of the provider, at the batch rate.
        max_wait_seconds: How long the call waits for batch jobs; None waits until they are done.
        batch_poll_seconds: First wait between polls of a batch job; None means the configured one.
        prompt_cache: "auto" marks the text before the first row field for the provider's prompt cache; "off"
            sends the prompt as one text.
        rows_per_call: Number of rows in one call; above 1 rows are sent in packs, which need a schema.

    Raises:
        ConfigError: A value is invalid.
    """

    keep: bool | tuple[str, ...] = False
    resume: bool = True
    retry_failed: bool = False
    on_error: Literal["keep", "raise"] = "keep"
    fail_fast: bool = False
    concurrency: int | None = None
    fixed_concurrency: bool = False
    circuit_wait_seconds: float = 120.0
    journal: bool = True
    out: str | Path | None = None
    overwrite: bool = False
    csv_formulas: Literal["escape", "keep"] = "escape"
    confirm_above_usd: Decimal | float | str | None = None
    watcher: Watcher | None = None
    batch_api: bool = False
    max_wait_seconds: float | None = None
    batch_poll_seconds: float | None = None
    prompt_cache: Literal["auto", "off"] = "auto"
    rows_per_call: int = 1

    def __post_init__(self) -> None:
        plain_fields(self)
        self._check_words()
        if self.confirm_above_usd is not None:
            read_usd("confirm_above_usd", self.confirm_above_usd)
        if self.concurrency is not None and (type(self.concurrency) is not int or self.concurrency < 1):
            raise ConfigError(
                f"concurrency must be a whole number of rows, 1 or more; it is {self.concurrency!r}"
            )
        if not self.circuit_wait_seconds >= 0:
            raise ConfigError(f"circuit_wait_seconds must be 0 or more; it is {self.circuit_wait_seconds!r}")
        if type(self.rows_per_call) is not int or not 1 <= self.rows_per_call <= MAX_ROWS_PER_CALL:
            raise ConfigError(
                f"rows_per_call must be a whole number of rows from 1 to {MAX_ROWS_PER_CALL}; "
                f"it is {self.rows_per_call!r}"
            )
        for name in ("max_wait_seconds", "batch_poll_seconds"):
            self._check_job_option(name, getattr(self, name))

    def _check_words(self) -> None:
        if self.on_error not in {"keep", "raise"}:
            raise ConfigError(f"on_error must be 'keep' or 'raise'; it is {self.on_error!r}")
        if self.csv_formulas not in {"escape", "keep"}:
            raise ConfigError(f"csv_formulas must be 'escape' or 'keep'; it is {self.csv_formulas!r}")
        if self.prompt_cache not in {"auto", "off"}:
            raise ConfigError(f"prompt_cache must be 'auto' or 'off'; it is {self.prompt_cache!r}")

    def _check_job_option(self, name: str, value: object) -> None:
        if value is None:
            return
        if not self.batch_api:
            raise ConfigError(f"{name} is an option of batch jobs; add batch_api=True (--batch-api)")
        number = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf
        if not number:
            raise ConfigError(f"{name} must be a number of seconds above 0; it is {value!r}")


_NAMES = frozenset(item.name for item in dataclasses.fields(BatchOptions))
# Keyword arguments of ``Session.map`` that are not fields of `BatchOptions`.
MAP_OPTIONS = frozenset({*_NAMES, "names", "limit", "sample", "read"})


def take_options(given: dict[str, Any]) -> BatchOptions:
    """Remove the options of a batch from the keyword arguments of ``Session.map`` and return them.

    Raises:
        ConfigError: A value is invalid.
    """
    chosen = {name: given.pop(name) for name in list(given) if name in _NAMES}
    keep = chosen.get("keep", False)
    if isinstance(keep, str):
        chosen["keep"] = (keep,)
    elif not isinstance(keep, bool):
        chosen["keep"] = tuple(keep)
    return BatchOptions(**chosen)
