"""The result of a comparison: its table, confusion matrix, scores and disagreements."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ainb import host
from ainb.compare.answers import Answers
from ainb.compare.fields import Field
from ainb.compare.labels import Label, in_order
from ainb.compare.markdown import markdown
from ainb.compare.metrics.kappa import Weights
from ainb.compare.metrics.metrics import LabelMetrics, Metrics, NumberMetrics
from ainb.compare.table import comparison_frame
from ainb.compare.verdict import Verdict, make_verdict
from ainb.errors import ConfigError
from ainb.plain import counted

if TYPE_CHECKING:
    import pandas as pd

    from ainb.compare.inputs import Labelled

SCORES = ("precision", "recall", "f1", "support")


class Comparison:
    """Prompts and models compared on labelled rows; what `Session.compare` returns.

    ``frame`` is the table, ``verdict`` its conclusion in one sentence; as the last line of a cell it is
    displayed.

    Args:
        rows: The labelled rows that were sent.
        answers: Answers of each variant; the others are compared with the first.
        field: The compared field.
        order: Labels in the order that the data declares, or None.
        weights: Weights of kappa.
        seed: Seed of kappa's bootstrap interval.
        text_columns: Columns that the prompts use; shown beside the answers.
        display: The option ``display`` of the session.
    """

    def __init__(
        self,
        rows: Labelled,
        answers: Sequence[Answers],
        *,
        field: Field,
        order: Sequence[Label] | None,
        weights: Weights | None,
        seed: int,
        text_columns: Sequence[str],
        display: str,
    ) -> None:
        self.data = rows.data
        self.text_columns = tuple(text_columns)
        self.display = display
        self.truth_name = rows.name
        self.answers_by_variant = tuple(answers)
        self.field = field
        self.unlabelled = rows.unlabelled
        self._truth = list(rows.truth)
        self._metrics: Metrics = (
            NumberMetrics(self._truth)
            if field.kind == "number"
            else LabelMetrics(self._truth, _classes(field, order, self._truth), weights=weights, seed=seed)
        )

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per variant and model.

        Returns:
            Frame of shape (n_variants, 25) for labels, (n_variants, 23) for numbers. In order:

            - `variant`, `model` string; `rows`, `failed`, `invalid` Int64. `rows` is the n of every metric
                without its own n; a failed row ended in an error or was not sent; an invalid one has a reply
                without a valid answer. Both count as wrong.
            - `accuracy` with its 95 % interval `low`, `high` (Wilson); `answered` Int64 and
                `accuracy_answered`, the accuracy of these rows alone; `kappa`, `kappa_low`, `kappa_high`
                (seeded bootstrap); `macro_f1` over the classes of the truth. Float64.
            - For numbers instead: `answered` Int64, the n of `mae`, `mae_low`, `mae_high`, `rmse`,
                `pearson`, `spearman` Float64.
            - `cost_usd_per_1000` Float64: list price of 1,000 rows that are sent, from the tokens of
                `priced_rows` rows, cached or not; `p50_s` Float64: median seconds of the `timed_rows` rows
                that were sent.
            - Compared with the first row, where they are NA: `only_first_right`, `only_this_right` Int64
                (for numbers: nearer to the truth), `p_value` (exact McNemar, Holm-corrected for several),
                `difference` in accuracy or mean absolute error, with its 95 % interval `difference_low`,
                `difference_high` (not corrected).
            - `unlabelled` Int64: rows of the data without a truth, left out of all metrics.

            NA where undefined or unknown. The frame can be saved as Parquet and CSV.
        """
        return comparison_frame(self._metrics, self.answers_by_variant, unlabelled=self.unlabelled)

    @cached_property
    def names(self) -> list[str]:
        """Display name of each variant: its name, its model, or both, as needed to distinguish them."""
        return _names(self.answers_by_variant)

    @cached_property
    def conclusion(self) -> Verdict:
        """The verdict with the position of the winner."""
        return make_verdict(self._metrics, self.answers_by_variant, self.names)

    @property
    def verdict(self) -> str:
        """Which variant is better, or why the rows do not show it; empty for a single variant."""
        return self.conclusion.text

    def answers(self, variant: str, model: str | None = None) -> pd.DataFrame:
        """The frame of `Session.map` of a variant, with the index of the labelled rows.

        Args:
            variant: Name of the variant.
            model: Model of the variant; required if several were compared.

        Raises:
            ConfigError: There is no such variant or model, or there are several models and `model` is None.
        """
        return self._find(variant, model).frame

    def confusion(self, variant: str, model: str | None = None) -> pd.DataFrame:
        """Rows by truth and answer.

        Args:
            variant: As for `answers`.
            model: As for `answers`.

        Returns:
            Int64 counts of shape (n_classes, n_answers + 2): the truth in rows; the answers in columns, first
            the classes in the same order, then answers outside the classes, then `failed` and `invalid`
            (`failed_rows`, `invalid_rows` if a class has that name). No margins.

        Raises:
            ConfigError: As for `answers`, or the field is a number.
        """
        import pandas as pd

        metrics, answers = self._labels(), self._find(variant, model)
        other = in_order({label for label in answers.labels if label is not None} - set(metrics.classes))
        columns = [*metrics.classes, *other]
        places = {label: place for place, label in enumerate(columns)}
        counts = np.zeros((len(metrics.classes), len(columns) + 2), dtype=np.int64)
        for truth, answer, failed in zip(metrics.truth, answers.labels, answers.failed, strict=True):
            counts[places[truth], len(columns) + (not failed) if answer is None else places[answer]] += 1
        return pd.DataFrame(
            counts,
            index=pd.Index(metrics.classes, name="truth", dtype=_index_dtype(metrics.classes)),
            columns=pd.Index([*columns, *_outcomes(columns)], name="answer", dtype="object"),
            dtype="Int64",
        )

    def scores(self, variant: str, model: str | None = None) -> pd.DataFrame:
        """Precision, recall, F1 and support of each class of the truth.

        A row without an answer counts against recall.

        Args:
            variant: As for `answers`.
            model: As for `answers`.

        Returns:
            Frame of shape (n_classes, 4) indexed by class: `precision`, `recall`, `f1` Float64 (NA where
            undefined, such as the precision of a class that was never answered), `support` Int64.

        Raises:
            ConfigError: As for `confusion`.
        """
        import pandas as pd

        metrics, answers = self._labels(), self._find(variant, model)
        table = metrics.scores(answers)
        kept = table[:, 3] > 0
        classes = [label for label, keep in zip(metrics.classes, kept, strict=True) if keep]
        frame = pd.DataFrame(
            table[kept],
            index=pd.Index(classes, name="class", dtype=_index_dtype(classes)),
            columns=list(SCORES),
        )
        return frame.astype(dict.fromkeys(SCORES[:3], "Float64") | {"support": "Int64"})

    def disagreements(
        self,
        first: str,
        second: str | None = None,
        *,
        model: str | None = None,
        other_model: str | None = None,
    ) -> pd.DataFrame:
        """The rows on which two variants answer differently, or one of the two not at all.

        Args:
            first: Name of a variant.
            second: Name of another; None means the same variant with another model.
            model: Model of both; required if several were compared.
            other_model: Model of the second, if it differs from `model`.

        Returns:
            The rows of the data with its index and columns (including the truth), and one column for each of
            the two answers, named as in `names`; NA without an answer.

        Raises:
            ConfigError: As for `answers`.
        """
        import pandas as pd

        one = self._find(first, model)
        other = self._find(first if second is None else second, other_model or model)
        if one is other:
            raise ConfigError(f"{first!r} cannot disagree with itself; name two variants, or other_model=")
        differ = np.array([a != b for a, b in zip(one.labels, other.labels, strict=True)], dtype=bool)
        rows = self.data[differ].copy()
        for item in (one, other):
            name = _free_name(self.names[self.answers_by_variant.index(item)], rows.columns)
            labels = [label for label, kept in zip(item.labels, differ, strict=True) if kept]
            rows[name] = pd.Series(labels, index=rows.index, dtype=_index_dtype(labels) or "object")
        return rows

    def to_markdown(self) -> str:
        """The table and the verdict in Markdown, for a pull request."""
        return markdown(self.frame, self.verdict, truth=str(self.truth_name), field=self.field)

    def __str__(self) -> str:
        return self.to_markdown()

    def __repr__(self) -> str:
        variants = counted(len(self.answers_by_variant), "variant")
        return f"<ainb comparison of {variants} on {len(self._truth):,} rows>"

    def _ipython_display_(self) -> None:
        show = host.result_display()
        if show is None:
            raise NotImplementedError  # IPython then prints the repr
        show(self)

    def _labels(self) -> LabelMetrics:
        if not isinstance(self._metrics, LabelMetrics):
            raise ConfigError(f"the field {self.field.name!r} is a number and has no classes; see .frame")
        return self._metrics

    def _find(self, variant: str, model: str | None) -> Answers:
        of_variant = [item for item in self.answers_by_variant if item.variant == variant]
        if not of_variant:
            known = ", ".join(dict.fromkeys(item.variant for item in self.answers_by_variant))
            raise ConfigError(f"there is no variant {variant!r}; the variants are: {known}")
        models = ", ".join(item.model for item in of_variant)
        if model is None:
            if len(of_variant) > 1:
                raise ConfigError(f"{variant!r} was asked of several models; name one with model=: {models}")
            return of_variant[0]
        found = [item for item in of_variant if model in {item.model, item.asked_as}]
        if not found:
            raise ConfigError(f"{variant!r} was not asked of the model {model!r}; its models are: {models}")
        return found[0]


def _classes(field: Field, order: Sequence[Label] | None, truth: Sequence[Label]) -> list[Label]:
    """The schema's choices or the data's order first, then other labels of the truth."""
    first = list(dict.fromkeys([*field.choices, *(order or ())]))
    return [*first, *in_order(set(truth) - set(first))]


def _names(answers: Sequence[Answers]) -> list[str]:
    variants, models = {item.variant for item in answers}, {item.model for item in answers}
    if len(models) == 1 or len(variants) == len(answers):
        return [item.variant for item in answers]
    if len(variants) == 1:
        return [item.model for item in answers]
    return [f"{item.variant}, {item.model}" for item in answers]


def _outcomes(columns: Iterable[Label]) -> tuple[str, str]:
    taken = {"failed", "invalid"} & set(map(str, columns))
    return ("failed_rows", "invalid_rows") if taken else ("failed", "invalid")


def _free_name(name: str, taken: Iterable[Any]) -> str:
    taken = set(map(str, taken))
    while name in taken:
        name = f"{name}_answer"
    return name


def _index_dtype(labels: Sequence[Label | None]) -> Any:
    """The dtype for labels of one type; "object" for several types."""
    kinds = {type(label) for label in labels if label is not None}
    by_kind = {str: "string", int: "Int64", float: "Float64", bool: "boolean"}
    return by_kind[kinds.pop()] if len(kinds) == 1 else "object"
