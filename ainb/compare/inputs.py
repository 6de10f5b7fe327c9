"""Checks the arguments of a comparison before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from ainb.batch import Template
from ainb.compare.fields import Field, read_truth
from ainb.compare.labels import Label, declared_order, in_order, label_order
from ainb.compare.metrics.kappa import Weights
from ainb.compare.metrics.random_stream import fixed_stream
from ainb.errors import ConfigError
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
    """The labelled rows of a comparison.

    Attributes:
        name: Name of the truth column.
        data: Rows with a truth, in their order, sampled.
        truth: Truth of each row.
        order: Labels in the order that the truth column declares, or None.
        unlabelled: Number of rows without a truth, which were left out.
    """

    name: Any
    data: pd.DataFrame
    truth: Sequence[Label]
    order: Sequence[Label] | None
    unlabelled: int


def check_options(options: Mapping[str, Any]) -> None:
    """Check that no option of `Session.map` is given that a comparison sets itself.

    Raises:
        ConfigError: One is given; the message names the alternative.
    """
    for name, way_out in _ELSEWHERE.items():
        if name in options:
            raise ConfigError(f"compare does not accept {name}=; {way_out}")


def read_table(data: Any) -> pd.DataFrame:
    """The rows as a DataFrame.

    Raises:
        ConfigError: The data is neither a table in memory nor a list of records.
    """
    import pandas as pd

    if isinstance(data, pd.DataFrame):
        return data
    for method in ("compute", "collect"):
        if hasattr(data, method):
            raise ConfigError(f"compare takes a table in memory; pass data.{method}()")
    if hasattr(data, "to_pandas"):
        return cast("pd.DataFrame", data.to_pandas())
    if isinstance(data, Sequence) and data and all(isinstance(row, Mapping) for row in data):
        return pd.DataFrame(list(data))
    raise ConfigError(f"compare takes a DataFrame, or a list of records; it is {type(data).__name__}")


def read_prompts(prompts: Any) -> dict[str, str]:
    """Prompts by name; a single one is called "prompt".

    Raises:
        ConfigError: A prompt is not a string, or there is none.
    """
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


def read_models(core: Core, models: Sequence[str] | str | None) -> dict[str | None, str]:
    """Models as ``provider:model`` by the name that was given; None stands for the session's model.

    Raises:
        ConfigError: A name is invalid, or two names mean the same model.
    """
    if models is not None and not models:
        raise ConfigError("models is empty; leave it out to use the session's model")
    asked: list[str | None] = [models] if models is None or isinstance(models, str) else list(models)
    found = {name: ":".join(core.find_model(name)) for name in asked}
    twice = next((name for name in found.values() if list(found.values()).count(name) > 1), None)
    if twice is not None or len(found) < len(asked):
        raise ConfigError(f"models names {twice or asked[0]} twice")
    return found


def label_rows(
    core: Core, table: pd.DataFrame, truth: Any, field: Field, *, sample: int | None, seed: int
) -> Labelled:
    """The rows with a truth, sampled.

    Raises:
        ConfigError: There are none, or the truth does not fit the field.
    """
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
        places = sorted(fixed_stream(seed).permutation(places)[:sample].tolist())
    declared = declared_order(column)
    return Labelled(
        name=truth,
        data=table.iloc[places],
        truth=[value for place in places if (value := values[place]) is not None],
        order=None if declared is None else [x for x in map(field.read, declared) if x is not None],
        unlabelled=unlabelled,
    )


def _check_truth(core: Core, field: Field, truth: Sequence[Label | None], name: str) -> None:
    """Report truths that the schema does not allow, which no answer can match.

    Raises:
        ConfigError: The schema allows none of them.
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
            f"no value of the column {name!r} is a label of the schema: it holds {shown}, and the schema "
            f"allows {allowed}; "
            "rename one of them, or pass match='casefold' where only the case differs"
        )
    core.notify(
        f"{len(foreign):,} of {len(truth):,} rows have a truth that the schema does not allow ({shown}); "
        "no answer to them can be right",
        "compare",
    )


def check_weights(weights: Weights | None, field: Field, rows: Labelled) -> Sequence[Label] | None:
    """The order of the labels if one is declared or needed.

    Raises:
        ConfigError: `weights` is unknown, or it needs an order and there is none.
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


def check_prompts(texts: Mapping[str, str], table: pd.DataFrame, truth: Any, names: Any) -> list[str]:
    """Parse all prompts before the first one is sent; returns the columns that they use, in order.

    Raises:
        ConfigError: A prompt cannot be filled, or it uses the truth.
    """
    columns = [str(column) for column in table.columns]
    used: dict[str, None] = {}
    for variant, text in texts.items():
        uses = Template(text.strip(), columns=columns, names=names).uses
        if str(truth) in uses:
            raise ConfigError(
                f"the prompt {variant!r} holds the truth: it fills {{{truth}}}; remove that field"
            )
        used |= dict.fromkeys(uses)
    return list(used)
