"""Verdict of a comparison: the winner, if the rows show one, and a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from ainb.compare.answers import Answers
from ainb.compare.metrics.metrics import LabelMetrics, Metrics, Pair
from ainb.compare.metrics.statistics import ALPHA, holm, mcnemar
from ainb.plain import counted

LEAST_ROWS = 30


@dataclass(frozen=True, slots=True)
class Verdict:
    """Conclusion of a comparison.

    Attributes:
        text: One sentence.
        winner: Position of the variant that is better than every other; None where the rows do not show one.
    """

    text: str
    winner: int | None = None


def make_verdict(metrics: Metrics, answers: Sequence[Answers], names: Sequence[str]) -> Verdict:
    """Name a winner if an exact McNemar test, Holm-corrected, separates it from every other variant.

    There is no winner with fewer than 30 rows of a class, with rows of a variant that were not sent, or with
    a lead that depends on failed rows: these count as wrong and say nothing about the answers.
    """
    group, size = metrics.smallest_group()
    if size < LEAST_ROWS:
        rows = counted(size, "row")
        return Verdict(f"too few rows to tell: {rows} {group}".rstrip() + f", {LEAST_ROWS} are needed")
    if len(answers) == 1:
        return Verdict("")
    unsent = next((place for place, item in enumerate(answers) if item.not_sent), None)
    if unsent is not None:
        return Verdict(
            f"no winner: {answers[unsent].not_sent:,} rows of {names[unsent]} were not sent and count as "
            "wrong; "
            "run it again to send them"
        )
    return _Contest(metrics, answers, names).verdict()


class _Contest:
    """The best variant compared with every other."""

    def __init__(self, metrics: Metrics, answers: Sequence[Answers], names: Sequence[str]) -> None:
        self._metrics = metrics
        self._answers = answers
        self._names = names
        order = sorted(range(len(answers)), key=lambda place: metrics.rank(answers[place]), reverse=True)
        self._leader, self._others = order[0], order[1:]
        self._pairs = {places: self._pair(*places) for places in combinations(range(len(answers)), 2)}
        p_values = [mcnemar(pair.only_first, pair.only_second) for pair in self._pairs.values()]
        self._corrected = dict(zip(self._pairs, holm(p_values), strict=True))

    def verdict(self) -> Verdict:
        """The winner, or why there is none."""
        leader, second = self._names[self._leader], self._names[self._others[0]]
        if self._rank(self._leader) == self._rank(self._others[0]):
            return Verdict(f"no winner: {leader} and {second} do equally well")
        doubtful = max(self._others, key=self._p_value)
        if self._p_value(doubtful) >= ALPHA or not self._leads(self._pair(self._leader, doubtful)):
            text = f"the lead of {leader} over {self._names[doubtful]} may be chance"
            return Verdict(f"no winner: {text}, {p_text(self._p_value(doubtful))}")
        for other in self._others:
            if not self._holds_without_failures(other):
                failed = int((self._answers[other].failed | self._answers[self._leader].failed).sum())
                return Verdict(
                    f"no winner: the lead of {leader} over {self._names[other]} rests on "
                    f"{counted(failed, 'row')} that failed; "
                    "retry_failed=True sends them again"
                )
        gain = _gain(self._metrics, self._pair(self._others[0], self._leader))
        return Verdict(
            f"{leader} is better than {second}: {gain}, {p_text(self._p_value(self._others[0]))}",
            self._leader,
        )

    def _pair(self, first: int, second: int) -> Pair:
        return self._metrics.pair(self._answers[first], self._answers[second])

    def _rank(self, place: int) -> float:
        return self._metrics.rank(self._answers[place])

    def _p_value(self, other: int) -> float:
        return self._corrected[min(self._leader, other), max(self._leader, other)]

    def _leads(self, pair: Pair) -> bool:
        """Whether the first of a pair is ahead."""
        return pair.only_first > pair.only_second

    def _holds_without_failures(self, other: int) -> bool:
        leader, second = self._answers[self._leader], self._answers[other]
        failed = leader.failed | second.failed
        if not failed.any():
            return True
        pair = self._metrics.pair(leader, second, ~failed)
        return self._leads(pair) and mcnemar(pair.only_first, pair.only_second) < ALPHA


def _gain(metrics: Metrics, pair: Pair) -> str:
    """The lead of the second of a pair, with its interval."""
    low, high = pair.interval
    if isinstance(metrics, LabelMetrics):
        return f"{pair.difference * 100:+.1f} points of accuracy ({low * 100:+.1f} to {high * 100:+.1f})"
    return f"{pair.difference:+.3g} in mean absolute error ({low:+.3g} to {high:+.3g})"


def shown_p(value: float) -> str:
    """A p value with its significant digits."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"  # noqa: PLR2004 - digits


def p_text(value: float) -> str:
    """A p value in a sentence: "p = 0.03", "p < 0.001"."""
    shown = shown_p(value)
    return f"p {shown}" if shown.startswith("<") else f"p = {shown}"
