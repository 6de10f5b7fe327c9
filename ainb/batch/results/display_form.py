"""Short form of a result frame for display, without the columns of tokens, cost and attempts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

# Key of `DataFrame.attrs` that marks a result frame; its value is the names of the typed columns. pandas
# keeps it in copies and slices. A subclass of DataFrame would change types in the user's own code.
TYPED = "ainb_typed_columns"
BOOKKEEPING = (
    "reply", "error_type", "error_message", "attempts", "cached",
    "cost_usd", "input_tokens", "output_tokens", "duration_s",
)  # fmt: skip


def short_form(frame: pd.DataFrame) -> pd.DataFrame | None:
    """Kept and typed columns (without typed ones the reply), `status`, and `error_message` if there is one.

    Returns:
        A frame of the same rows; None for a frame that is not a result of a batch, or from which the user has
        selected columns.
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
