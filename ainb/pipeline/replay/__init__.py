"""Replay: answers calls from the notebook's cassette, and records calls into it.

`stage` looks up the `request` in the `cassettes` of the notebook, `outcome` turns a record into a reply or an
error and back, `miss` explains a missing record. The file format is in `ainb.stores.cassette`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ainb.lazy import lazy_exports

if TYPE_CHECKING:
    from ainb.pipeline.replay.cassettes import Library
    from ainb.pipeline.replay.stage import Mode, ReplayStage, not_booked
else:
    __getattr__ = lazy_exports(__name__, cassettes="Library", stage="Mode ReplayStage not_booked")

__all__ = ["Library", "Mode", "ReplayStage", "not_booked"]
