"""State of a session as a DataFrame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

FIRST = (
    "part",
    "endpoint",
    "circuit",
    "probe_in_s",
    "failure_rate",
    "calls_in_window",
    "waiting",
    "in_flight",
)


def status_frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Frame of `Session.state` rows, indexed by `name`.

    Args:
        rows: Rows with `name` and any other keys.

    Returns:
        Frame of shape (n_rows, n_keys) with inferred dtypes; NA where a key is missing.
    """
    import pandas as pd

    names = dict.fromkeys(FIRST) | dict.fromkeys(key for row in rows for key in row if key != "name")
    index = pd.Index([row["name"] for row in rows], name="name", dtype="object")
    columns = {name: pd.array([_value(row.get(name)) for row in rows]) for name in names}
    return pd.DataFrame(columns, index=index).convert_dtypes()


def _value(value: Any) -> Any:
    import pandas as pd

    # A column of Decimals, or one without any value, would show None beside <NA>.
    return pd.NA if value is None else value
