"""Costs of calls that were sent to models that cost money, for panels and ``%ai cost``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ainb.usage.filters import Since
from ainb.usage.frames.totals import SUMS, costs

if TYPE_CHECKING:
    import pandas as pd

    from ainb.usage.log import UsageLog

NOT_SENT = "rejected"
Only = Literal["all", "sent", "billed"]
_MODEL = ("provider_name", "request_model")
_FACTS = (*_MODEL, "status", "cost_source", "cache_hit", "coalesced", "replayed")
# Services whose calls are free even when none was answered.
_ON_THIS_MACHINE = frozenset({"local", "scripted", "ollama", "lmstudio", "vllm"})


@dataclass(frozen=True, slots=True)
class BilledCosts:
    """Costs by group, with counts of the calls left out.

    Attributes:
        frame: Frame of `costs` over the calls not left out.
        not_sent: Number of calls that were refused before they were sent.
        free_calls: Number of calls to free models.
        free_models: The free models, as ``provider:model``.
    """

    frame: pd.DataFrame
    not_sent: int
    free_calls: int
    free_models: list[str]


def billed_costs(
    log: UsageLog, by: Sequence[str], *, since: Since = None, only: Only = "billed", **where: Any
) -> BilledCosts:
    """Sum tokens and money of the calls that were sent to models that cost money.

    Args:
        log: The usage log.
        by: Columns to group by, at least one.
        since: As for `costs`.
        only: "billed" leaves out calls that were not sent and models whose calls are free (scripted ones,
            those on this machine); "sent" leaves out the former; "all" leaves out nothing.
        where: As for `costs`.

    Raises:
        ConfigError: `by`, `where` or `since` is not valid.
    """
    names = list(dict.fromkeys(by))
    detail = costs(log, [*names, *(name for name in _FACTS if name not in names)], since=since, **where)
    detail = detail.reset_index()
    refused = (detail["status"] == NOT_SENT) & (only != "all")
    sent = detail[~refused]
    is_free = _is_free(sent) & (only == "billed")
    kept = sent[~is_free]
    frame = kept.groupby(names, dropna=False, observed=True)[list(SUMS)].sum(min_count=1)
    hidden = sent[is_free]
    models = hidden[list(_MODEL)].drop_duplicates().itertuples(index=False)
    return BilledCosts(
        frame=frame,
        not_sent=int(detail.loc[refused, "calls"].sum()),
        free_calls=int(hidden["calls"].sum()),
        free_models=[":".join(map(str, model)) for model in models],
    )


def _is_free(sent: pd.DataFrame) -> pd.Series[bool]:
    """Whether a row is of a free model: its cost is 0, not only because of ainb's cache."""
    own = (sent["status"] == "ok") & ~(sent["cache_hit"] | sent["coalesced"] | sent["replayed"]).astype(bool)
    local = sent["provider_name"].isin(_ON_THIS_MACHINE)
    priced = own & (sent["cost_source"] != "free") & ~local
    paid = priced | (sent["unpriced"] > 0) | (sent["cost_usd"].fillna(0) > 0)
    models = sent["provider_name"].astype(object).fillna("").astype(str) + ":"
    models += sent["request_model"].astype(object).fillna("").astype(str)
    costs_money = models.isin(models[paid.fillna(value=False).astype(bool)])
    answers = models.isin(models[own.fillna(value=False).astype(bool)])
    return ~costs_money & (answers | local)
