"""Adapter for GGUF models on this machine, served by llama.cpp."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ainb.lazy import lazy_exports

if TYPE_CHECKING:
    from ainb.providers.local.adapter import LocalProvider
    from ainb.providers.local.catalogue import PULLABLE
    from ainb.providers.local.child import Local
    from ainb.providers.local.weights import find, is_pulled, pull, pulled
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "Local": "child",
            "LocalProvider": "adapter",
            "PULLABLE": "catalogue",
            "find": "weights",
            "is_pulled": "weights",
            "pull": "weights",
            "pulled": "weights",
        },
    )

__all__ = ["PULLABLE", "Local", "LocalProvider", "find", "is_pulled", "pull", "pulled"]
