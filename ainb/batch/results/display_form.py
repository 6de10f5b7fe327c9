"""Short form of a result frame, for display: what was asked for, without the bookkeeping."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

# Key of `DataFrame.attrs` that marks a result frame: the names of its typed columns. pandas hands it on to
# copies, to slices and to frames with some of the rows.
TYPED = "ainb_typed_columns"
BOOKKEEPING = (
    "reply", "error_type", "error_message", "attempts", "cached",
    "cost_usd", "input_tokens", "output_tokens", "duration_s",
)  # fmt: skip


def short_form(frame: pd.DataFrame) -> pd.DataFrame | None:
    """Kept and typed columns, `status`, and `error_message` where there is one.

    Without typed columns the reply.

    Returns:
        A frame of the same rows; None for a frame that is no result of a batch, or that lacks a column of it,
        because somebody has chosen its columns.
    """
    typed = frame.attrs.get(TYPED)
    if (
        typed is None
        or not frame.columns.is_unique
        or not {*typed, "status", *BOOKKEEPING} <= {*frame.columns}
    ):
        return None
    hidden = {*BOOKKEEPING}
    if not typed:
        hidden.discard("reply")
    if frame["error_message"].notna().any():
        hidden.discard("error_message")
    return frame[[name for name in frame.columns if name not in hidden]]
