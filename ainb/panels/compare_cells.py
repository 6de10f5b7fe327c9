"""Cells of a comparison: an interval on the scale of its column, a number on a coloured background."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ainb.panels.markup import Cell

if TYPE_CHECKING:
    from ainb.compare import Bar


BAR_EM = 11
GAP_EM = 0.18
TEXT_BAR = 21
DARKEST = 0.38  # largest opacity of a shaded cell: its text keeps its contrast in both themes


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalCell(Cell):
    """An interval drawn on the scale of its column; the next cell holds the numbers.

    Attributes:
        bar: Ends and value, 0 to 1.
    """

    bar: Bar

    def html(self, *, deterministic: bool = False) -> str:
        """As two lines that meet at the value."""
        low, value, high = self.bar
        strokes = "".join(
            f'<span class="bar" style="margin-left:{gap:.2f}em;width:{width * BAR_EM:.2f}em"></span>'
            for gap, width in ((low * BAR_EM, value - low), (GAP_EM, high - value))
        )
        # Inline style, because an untrusted page has no style sheet and the lines would have no width.
        return (
            '<span aria-hidden="true" '
            f'style="display:inline-block;width:{BAR_EM + GAP_EM}em">{strokes}</span>'
        )

    def plain(self, *, deterministic: bool = False) -> str:
        """As a bar of monospaced characters."""
        low, value, high = (round(end * (TEXT_BAR - 1)) for end in self.bar)
        return "".join(
            "●" if place == value else "─" if low <= place <= high else "·" for place in range(TEXT_BAR)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadedCell(Cell):
    """A number on a coloured background.

    Attributes:
        shade: Intensity of the background, 0 to 1.
    """

    shade: float

    def html(self, *, deterministic: bool = False) -> str:
        """The number on a translucent background that works in both themes."""
        text = Cell.html(self, deterministic=deterministic)
        tint = f"background:rgba(47,134,214,{self.shade * DARKEST:.2f})"
        return f'<span style="display:block;padding:0 .5em;{tint}">{text}</span>'
