"""The answers of one variant (a prompt with a model) on the labelled rows."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ainb.batch import column_name
from ainb.compare.fields import Field, read_answers
from ainb.compare.labels import Label
from ainb.plain import is_missing

if TYPE_CHECKING:
    import pandas as pd

INVALID = "InvalidReplyError"
# Price of a row by its input and output tokens; None when no price is known.
RowPrice = Callable[[int | None, int | None], Decimal | None]


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A prompt with a model.

    Attributes:
        name: Name of the prompt.
        text: The prompt.
        model: ``provider:model``.
        asked_as: The model as the caller wrote it, such as an alias; None means the session's.
    """

    name: str
    text: str
    model: str
    asked_as: str | None


@dataclass(frozen=True, kw_only=True)
class Answers:
    """The answers of one variant on the labelled rows of a comparison.

    Attributes:
        variant: Name of the prompt.
        model: ``provider:model``.
        asked_as: The model as the caller wrote it, such as an alias; None if it was left out.
        labels: The answer of each row; None without an answer that is valid for the field.
        failed: Bool array: rows that ended in an error, or were not sent.
        frame: Result of `Session.map`.
        cost_usd_per_1000: Cost of 1,000 rows that are sent and not cached; None when no row's price is known.
        priced_rows: Number of rows with a known price, from which `cost_usd_per_1000` is computed.
    """

    variant: str
    model: str
    asked_as: str | None
    labels: Sequence[Label | None]
    failed: np.ndarray
    frame: pd.DataFrame
    cost_usd_per_1000: Decimal | None = None
    priced_rows: int = 0

    @cached_property
    def answered(self) -> np.ndarray:
        """Bool array: rows with an answer that is valid for the field."""
        return np.array([label is not None for label in self.labels], dtype=bool)

    @property
    def invalid(self) -> np.ndarray:
        """Bool array: rows with a reply but without a valid answer."""
        invalid: np.ndarray = ~self.answered & ~self.failed
        return invalid

    @property
    def not_sent(self) -> int:
        """Number of rows that were refused before they were sent, or cancelled."""
        return int(self.frame["status"].isin(["rejected", "cancelled"]).sum())

    @cached_property
    def durations_s(self) -> list[float]:
        """Durations in seconds of the rows that were sent and answered."""
        frame = self.frame
        sent = frame.loc[(frame["status"] == "ok") & ~frame["cached"].astype(bool), "duration_s"]
        return [float(value) for value in sent.dropna()]

    @property
    def p50_s(self) -> float | None:
        """Median of `durations_s`; None when every row came from the cache."""
        return statistics.median(self.durations_s) if self.durations_s else None


def read_frame(frame: pd.DataFrame, field: Field, variant: Variant, *, price: RowPrice) -> Answers:
    """Parse the answers in a frame of `Session.map`.

    Args:
        frame: The frame.
        field: The field that is compared.
        variant: The prompt and the model.
        price: Computes the price of a row from the cache.
    """
    column = frame["reply"] if not field.name else frame[column_name(field.name)]
    ok = (frame["status"] == "ok").to_numpy(dtype=bool)
    values = read_answers(field, column)
    labels = [label if good else None for label, good in zip(values, ok, strict=True)]
    invalid = (frame["error_type"].astype("string") == INVALID).fillna(value=False).to_numpy(dtype=bool)
    costs = [cost for row in frame.itertuples(index=False) if (cost := _cost(row, price)) is not None]
    return Answers(
        variant=variant.name,
        model=variant.model,
        asked_as=variant.asked_as,
        labels=labels,
        failed=~ok & ~invalid,
        frame=frame,
        cost_usd_per_1000=1000 * sum(costs, Decimal(0)) / len(costs) if costs else None,
        priced_rows=len(costs),
    )


def _cost(row: Any, price: RowPrice) -> Decimal | None:
    """Cost of a row, for a cached row the cost of sending it; None when unknown or without an answer."""
    if row.status != "ok":
        return None
    if row.cached:
        return price(_count(row.input_tokens), _count(row.output_tokens))
    return None if is_missing(row.cost_usd) else Decimal(str(row.cost_usd))


def _count(value: Any) -> int | None:
    return None if is_missing(value) else int(value)
