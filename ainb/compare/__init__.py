"""Comparison of prompts and models on labelled rows.

`inputs` checks the arguments and `run` sends each variant as a batch. `answers` parses the replies by the
schema's `fields` and as `labels`; the package `metrics` computes the metrics; `table`, `verdict` and
`markdown` present them; `result` is the object that the caller gets. Everything but `inputs` and `run` is a
pure function of arrays and frames. `raters` holds `agreement`, which works alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ainb.lazy import lazy_exports

if TYPE_CHECKING:
    from ainb.compare.overview import Bar, Scale, common_scale, narrowed, pair_to_show, row_shares
    from ainb.compare.raters import Agreement, agreement
    from ainb.compare.result import Comparison
    from ainb.compare.run import compare
    from ainb.compare.verdict import shown_p
else:
    __getattr__ = lazy_exports(
        __name__,
        overview="Bar Scale common_scale narrowed pair_to_show row_shares",
        raters="Agreement agreement",
        result="Comparison",
        run="compare",
        verdict="shown_p",
    )

__all__ = [
    "Agreement", "Bar", "Comparison", "Scale", "agreement", "common_scale", "compare", "narrowed",
    "pair_to_show", "row_shares", "shown_p",
]  # fmt: skip
