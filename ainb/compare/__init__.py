"""Prompts and models compared on labelled rows.

`inputs` reads the arguments and `run` sends each variant through a batch; `answers` reads what came back beside the truth, by the schema's `fields` and as `labels`;
`figures` measures it with `statistics`, `kappa`, `scores` and `numbers`; `table`, `verdict` and `markdown` present it; `result` is what
the caller holds. Everything but `inputs` and `run` is pure: arrays and frames in, figures out. `raters` holds `agreement`, which stands alone.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ainb.compare.raters import Agreement, agreement
    from ainb.compare.result import Comparison

# Loaded when asked for: they load NumPy.
_MODULES = {"Agreement": "raters", "agreement": "raters", "Comparison": "result"}

__all__ = ["Agreement", "Comparison", "agreement"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'ainb.compare' has no attribute {name!r}")
    return getattr(importlib.import_module(f"ainb.compare.{_MODULES[name]}"), name)
