"""Runs a comparison: checks everything before anything is sent, then one batch per variant and model over the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ainb.batch import Template, make_batch
from ainb.compare.answers import RowPrice, read_frame
from ainb.compare.fields import Field, Match, find_field, read_truth
from ainb.compare.kappa import Weights
from ainb.compare.labels import Label, declared_order, in_order, label_order
from ainb.compare.result import Comparison
from ainb.errors import ConfigError, ReplayMissError
from ainb.events import Notice
from ainb.messages import Usage
from ainb.pipeline.answer.schema import read_schema
from ainb.pipeline.budget.accounts import Account
from ainb.pipeline.budget.options import read_usd
from ainb.suggestions import closest

if TYPE_CHECKING:
    import pandas as pd

    from ainb.core import Core

ONE_PROMPT = "prompt"
_ELSEWHERE = {
    "model": "pass models=[…]",
    "limit": "pass sample=, or data.head(…)",
    "out": "the result is in .frame and .answers(…)",
    "keep": "the rows are in .data",
    "fallback": "another model's answers would count as this one's; compare both with models=[…]",
}


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """The rows that a comparison is made on.

    Attributes:
        data: Those with a truth, in their order, sampled.
        truth: Of each row.
        order: Labels in the order that the column of the truth declares; None where it declares none.
        unlabelled: How many rows without a truth were left out.
    """

    data: pd.DataFrame
    truth: Sequence[Label]
    order: Sequence[Label] | None
    unlabelled: int


def compare(
    core: Core,
    data: Any,
    prompts: Mapping[str, str] | str,
    *,
    truth: Any,
    models: Sequence[str] | str | None = None,
    schema: Any = None,
    field: str | None = None,
    match: Match = "exact",
    weights: Weights | None = None,
    sample: int | None = None,
    seed: int = 0,
    budget_usd: Decimal | float | str | None = None,
    options: Mapping[str, Any],
) -> Comparison:
    """Compare prompts and models; arguments and errors as for `Session.compare`, `options` as for `Session.map`."""
    for name, way_out in _ELSEWHERE.items():
        if name in options:
            raise ConfigError(f"compare takes no {name}=; {way_out}")
    checked = None if schema is None else read_schema(schema)
    compared = find_field(checked, field, match)
    table = _read_table(data)
    texts = _read_prompts(prompts)
    named_models = _read_models(core, models)
    rows = _label_rows(core, table, truth, compared, sample=sample, seed=seed)
    order = _check_weights(weights, compared, rows)
    used = _check_prompts(texts, table, truth, options.get("names"))
    left = None if budget_usd is None else read_usd("budget_usd", budget_usd)
    answers = []
    for variant, text in texts.items():
        for asked_as, model in named_models.items():
            given = {"model": asked_as, "schema": checked, "fallback": (), "budget_usd": left, **options}
            frame, spent = _ask(core, rows.data, text, given)
            left = None if left is None else max(Decimal(0), left - spent)
            price = _row_price(core, model)
            answers.append(
                read_frame(frame, compared, variant=variant, model=model, asked_as=asked_as, price=price)
            )
    return Comparison(
        rows.data,
        rows.truth,
        answers,
        field=compared,
        truth_name=truth,
        order=order,
        unlabelled=rows.unlabelled,
        weights=weights,
        seed=seed,
        text_columns=used,
        display=core.config.display,
    )


def _ask(core: Core, rows: pd.DataFrame, text: str, given: dict[str, Any]) -> tuple[pd.DataFrame, Decimal]:
    """One variant as a batch: its frame, and what was booked against the budget of the whole."""
    batch = make_batch(core, rows, text, given)
    frame = cast("pd.DataFrame", batch.run_blocking())
    missed = frame.loc[frame["error_type"] == ReplayMissError.__name__, "error_message"]
    if len(missed):
        raise ReplayMissError(f"{len(missed):,} of {len(frame):,} rows: {missed.iloc[0]}")
    return frame, core.stages.ledger.balance(Account("run", batch.context.run_id)).settled


def _read_table(data: Any) -> pd.DataFrame:
    import pandas as pd

    if isinstance(data, pd.DataFrame):
        return data
    if hasattr(data, "compute"):
        raise ConfigError("compare takes a table in memory; pass data.compute()")
    if hasattr(data, "to_pandas"):
        return cast("pd.DataFrame", data.to_pandas())
    if isinstance(data, Sequence) and data and all(isinstance(row, Mapping) for row in data):
        return pd.DataFrame(list(data))
    raise ConfigError(f"compare takes a DataFrame, or a list of records; it is {type(data).__name__}")


def _read_prompts(prompts: Any) -> dict[str, str]:
    named = {ONE_PROMPT: prompts} if isinstance(prompts, str) else prompts
    if not isinstance(named, Mapping) or not named:
        raise ConfigError(
            f"prompts is a prompt, or a dict of name and prompt with one or more; it is {prompts!r:.60}"
        )
    for name, text in named.items():
        if not isinstance(name, str) or not isinstance(text, str):
            raise ConfigError(
                f"prompts maps a name to a prompt, both texts; it holds {name!r:.40}: {text!r:.60}"
            )
    return dict(named)


def _read_models(core: Core, models: Sequence[str] | str | None) -> dict[str | None, str]:
    """Each model as it was written, and as ``provider:model``; None stands for the session's."""
    if models is not None and not models:
        raise ConfigError("models is empty; leave it out to use the session's model")
    asked: list[str | None] = [models] if models is None or isinstance(models, str) else list(models)
    found = {name: ":".join(core.find_model(name)) for name in asked}
    twice = next((name for name in found.values() if list(found.values()).count(name) > 1), None)
    if twice is not None or len(found) < len(asked):
        raise ConfigError(f"models names {twice or asked[0]} twice")
    return found


def _label_rows(
    core: Core, table: pd.DataFrame, truth: Any, field: Field, *, sample: int | None, seed: int
) -> Labelled:
    if truth not in table.columns:
        raise ConfigError(f"truth names no column: {truth!r}; {closest(str(truth), map(str, table.columns))}")
    column = table[truth]
    if column.ndim > 1:
        raise ConfigError(f"the table has several columns named {truth!r}; rename them")
    values = read_truth(field, column, name=str(truth))
    places = [place for place, value in enumerate(values) if value is not None]
    if not places:
        raise ConfigError(
            f"the column {truth!r} holds no truth: every one of its {len(values):,} rows is empty"
        )
    _check_truth(core, field, [values[place] for place in places], str(truth))
    unlabelled = len(values) - len(places)
    if sample is not None:
        if type(sample) is not int or sample < 1:
            raise ConfigError(f"sample must be a whole number of rows, 1 or more; it is {sample!r}")
        places = sorted(np.random.default_rng(seed).permutation(places)[:sample].tolist())
    declared = declared_order(column)
    return Labelled(
        data=table.iloc[places],
        truth=[value for place in places if (value := values[place]) is not None],
        order=None if declared is None else [x for x in map(field.read, declared) if x is not None],
        unlabelled=unlabelled,
    )


def _check_truth(core: Core, field: Field, truth: Sequence[Label | None], name: str) -> None:
    """Find labels that the schema does not allow, which no answer could match.

    Raises:
        ConfigError: None of them is allowed.
    """
    if not field.choices:
        return
    foreign = [label for label in truth if label not in field.choices]
    if not foreign:
        return
    allowed = ", ".join(map(repr, field.choices))
    shown = ", ".join(map(repr, in_order(label for label in foreign if label is not None)[:3]))
    if len(foreign) == len(truth):
        raise ConfigError(
            f"no value of the column {name!r} is a label of the schema: it holds {shown}, and the schema allows {allowed}; "
            "rename one of them, or pass match='casefold' where only the case differs"
        )
    core.runtime.sink(
        Notice(
            f"{len(foreign):,} of {len(truth):,} rows have a truth that the schema does not allow ({shown}); "
            "no answer to them can be right",
            "compare",
        )
    )


def _check_weights(weights: Weights | None, field: Field, rows: Labelled) -> Sequence[Label] | None:
    """The order of the labels where one is declared or needed.

    Raises:
        ConfigError: `weights` is none of the known, or it needs an order and there is none.
    """
    if weights not in {None, "linear", "quadratic"}:
        raise ConfigError(f"weights must be None, 'linear' or 'quadratic'; it is {weights!r}")
    if weights is not None and field.kind == "number":
        raise ConfigError(
            "weights belong to kappa of labels, and the field is a number; see .frame for its errors"
        )
    if weights is None or rows.order or field.choices:
        return rows.order
    return label_order((), in_order(rows.truth))


def _check_prompts(texts: Mapping[str, str], table: pd.DataFrame, truth: Any, names: Any) -> list[str]:
    """Read every prompt before the first is sent; returns the columns that they use, in order.

    Raises:
        ConfigError: A prompt cannot be filled, or it holds the truth.
    """
    columns = [str(column) for column in table.columns]
    used: dict[str, None] = {}
    for variant, text in texts.items():
        uses = Template(text.strip(), columns=columns, names=names).uses
        if str(truth) in uses:
            raise ConfigError(
                f"the prompt {variant!r} holds the truth: it fills {{{truth}}}; take that field out"
            )
        used |= dict.fromkeys(uses)
    return list(used)


def _row_price(core: Core, model: str) -> RowPrice:
    service, _, name = model.partition(":")
    free = core.provider(service).free

    def price(input_tokens: int | None, output_tokens: int | None) -> Decimal | None:
        if input_tokens is None or output_tokens is None:
            return Decimal(0) if free else None
        usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
        return core.prices.cost(service, name, usage, free=free)[0]

    return price
