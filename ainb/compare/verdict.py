"""Whether a comparison has a winner, and the sentence that says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from ainb.compare.answers import Answers
from ainb.compare.figures import Figures, LabelFigures, Pair
from ainb.compare.statistics import ALPHA, holm, mcnemar

LEAST_ROWS = 30


@dataclass(frozen=True, slots=True)
class Verdict:
    """What may be concluded.

    Attributes:
        text: One sentence.
        winner: Position of the variant that is better than every other; None where the rows do not show one.
    """

    text: str
    winner: int | None = None


def judge(figures: Figures, answers: Sequence[Answers], names: Sequence[str]) -> Verdict:
    """Name a winner where an exact McNemar test tells it from every other variant, Holm-corrected over all pairs.

    No winner is named with fewer than 30 rows of a class, and where a variant has rows that were not sent: they count as wrong, and say
    nothing about its answers.

    Args:
        figures: How they are measured.
        answers: Of each variant.
        names: Of each variant, as shown.
    """
    group, size = figures.smallest_group()
    if size < LEAST_ROWS:
        rows = f"{size} row{'' if size == 1 else 's'}"
        return Verdict(f"too few rows to tell: {rows} {group}".rstrip() + f", {LEAST_ROWS} are needed")
    if len(answers) == 1:
        return Verdict("")
    unsent = next((place for place, item in enumerate(answers) if item.not_sent), None)
    if unsent is not None:
        return Verdict(
            f"no winner: {answers[unsent].not_sent:,} rows of {names[unsent]} were not sent and count as wrong; "
            "run it again to send them"
        )
    return _compare(figures, answers, names)


def _compare(figures: Figures, answers: Sequence[Answers], names: Sequence[str]) -> Verdict:
    pairs = list(combinations(range(len(answers)), 2))
    found = {places: figures.pair(answers[places[0]], answers[places[1]]) for places in pairs}
    corrected = dict(
        zip(pairs, holm([mcnemar(pair.only_first, pair.only_second) for pair in found.values()]), strict=True)
    )
    order = sorted(range(len(answers)), key=lambda place: figures.rank(answers[place]), reverse=True)
    leader, second = order[0], order[1]
    against = {other: tuple(sorted((leader, other))) for other in order[1:]}
    ahead = [
        other
        for other, places in against.items()
        if corrected[places] < ALPHA and _leads(found[places], first=places[0] == leader)  # type: ignore[index]
    ]
    key = (min(leader, second), max(leader, second))
    gain = _gain(figures, found[key], turned=key[0] == leader)
    if len(ahead) == len(order) - 1:
        return Verdict(
            f"{names[leader]} is better than {names[second]}: {gain}, {p_text(corrected[key])}", leader
        )
    if figures.rank(answers[leader]) == figures.rank(answers[second]):
        return Verdict(f"no winner: {names[leader]} and {names[second]} do equally well")
    worst = max(against.values(), key=lambda places: corrected[places])  # type: ignore[index]
    other = worst[0] if worst[1] == leader else worst[1]
    return Verdict(
        f"no winner: the lead of {names[leader]} over {names[other]} may be chance, {p_text(corrected[worst])}"  # type: ignore[index]
    )


def _leads(pair: Pair, *, first: bool) -> bool:
    return (pair.only_first > pair.only_second) == first


def _gain(figures: Figures, pair: Pair, *, turned: bool) -> str:
    """The leader's lead over the second, with its interval."""
    low, high = pair.interval
    lead, low, high = (-pair.difference, -high, -low) if turned else (pair.difference, low, high)
    if isinstance(figures, LabelFigures):
        return f"{lead * 100:+.1f} points of accuracy ({low * 100:+.1f} to {high * 100:+.1f})"
    return f"{lead:+.3g} in mean absolute error ({low:+.3g} to {high:+.3g})"


def shown_p(value: float) -> str:
    """A p value with the digits that mean something."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"  # noqa: PLR2004 - digits


def p_text(value: float) -> str:
    """A p value in a sentence: "p = 0.03", "p < 0.001"."""
    shown = shown_p(value)
    return f"p {shown}" if shown.startswith("<") else f"p = {shown}"
