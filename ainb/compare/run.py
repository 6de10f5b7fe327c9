"""Runs a comparison: one batch per variant and model over the same rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ainb.batch import Batch, BatchInterrupted, make_batch
from ainb.compare import inputs
from ainb.compare.answers import RowPrice, Variant, read_frame
from ainb.compare.fields import Match, find_field
from ainb.compare.metrics.kappa import Weights
from ainb.compare.result import Comparison
from ainb.errors import ConfigError, ReplayMissError
from ainb.messages import Usage
from ainb.pipeline.answer import read_schema
from ainb.pipeline.budget import Account, read_usd

if TYPE_CHECKING:
    import pandas as pd

    from ainb.core import Core


# Makes the batch of a variant that may spend this number of USD; None means no limit.
MakeBatch = Callable[[Variant, Decimal | None], Batch]


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
    """Compare prompts and models.

    Arguments and errors as for `Session.compare`, `options` as for `Session.map`.
    """
    inputs.check_options(options)
    checked = None if schema is None else read_schema(schema)
    compared = find_field(checked, field, match)
    table = inputs.read_table(data)
    texts, named_models = inputs.read_prompts(prompts), inputs.read_models(core, models)
    rows = inputs.label_rows(core, table, truth, compared, sample=sample, seed=seed)
    order = inputs.check_weights(weights, compared, rows)
    used = inputs.check_prompts(texts, table, truth, options.get("names"))
    limit = None if budget_usd is None else read_usd("budget_usd", budget_usd)
    variants = [
        Variant(name=name, text=text, model=model, asked_as=asked_as)
        for name, text in texts.items()
        for asked_as, model in named_models.items()
    ]
    # A fallback's answers would count as the model's own.
    given = {"schema": checked, "fallback": (), **options}

    def make(variant: Variant, usd: Decimal | None) -> Batch:
        return make_batch(
            core, rows.data, variant.text, {**given, "model": variant.asked_as, "budget_usd": usd}
        )

    ask = _ask_together if options.get("batch_api") else _ask_in_turn
    frames = ask(make, variants, limit)
    return Comparison(
        rows,
        [
            read_frame(frame, compared, variant, price=_row_price(core, variant.model))
            for variant, frame in zip(variants, frames, strict=True)
        ],
        field=compared,
        order=order,
        weights=weights,
        seed=seed,
        text_columns=used,
        display=core.config.display,
    )


def _ask_in_turn(make: MakeBatch, variants: Sequence[Variant], limit: Decimal | None) -> list[pd.DataFrame]:
    """Run the variants one after another; each may spend the rest of the budget."""
    frames = []
    for variant in variants:
        batch = make(variant, limit)
        frames.append(_checked(batch.run_blocking()))
        if limit is not None:
            spent = batch.context.core.stages.ledger.balance(Account("run", batch.context.run_id)).settled
            limit = max(Decimal(0), limit - spent)
    return frames


def _ask_together(make: MakeBatch, variants: Sequence[Variant], limit: Decimal | None) -> list[pd.DataFrame]:
    """Run all variants at once, for batch jobs that take hours; each may spend an equal share."""
    share = None if limit is None else limit / len(variants)
    batches = [make(variant, share) for variant in variants]
    for batch in batches:
        batch.show()
    jobs = [batch.submit() for batch in batches]
    try:
        for job in jobs:
            job.wait()
    except KeyboardInterrupt:
        for batch, job in zip(batches, jobs, strict=True):
            batch.stop(job)
        done, total = sum(b.progress.done for b in batches), sum(b.progress.total or 0 for b in batches)
        raise BatchInterrupted(
            f"stopped by you: {done:,} of {total:,} rows done, run the cell again to go on"
        ) from None
    results = [job.result() for job in jobs]
    return list(map(_checked, results))


def _checked(result: Any) -> pd.DataFrame:
    """The frame of a batch, unless it would measure the setup and not the model.

    Raises:
        ReplayMissError: A row was not recorded.
        ConfigError: No row could be sent, for example without a key.
    """
    frame: pd.DataFrame = result
    missed = frame.loc[frame["error_type"] == ReplayMissError.__name__, "error_message"]
    if len(missed):
        raise ReplayMissError(f"{len(missed):,} of {len(frame):,} rows: {missed.iloc[0]}")
    if (frame["error_type"] == ConfigError.__name__).all():
        raise ConfigError(f"none of {len(frame):,} rows was sent: {frame['error_message'].iloc[0]}")
    return frame


def _row_price(core: Core, model: str) -> RowPrice:
    service, _, name = model.partition(":")
    free = core.provider(service).free

    def price(input_tokens: int | None, output_tokens: int | None) -> Decimal | None:
        if input_tokens is None or output_tokens is None:
            return Decimal(0) if free else None
        usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
        return core.prices.cost(service, name, usage, free=free)[0]

    return price
