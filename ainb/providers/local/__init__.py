"""Adapter for GGUF models on this machine, served by llama.cpp."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ainb.lazy import lazy_exports

if TYPE_CHECKING:
    from ainb.providers.local.adapter import LocalProvider
    from ainb.providers.local.catalogue import PULLABLE, SUGGESTED
    from ainb.providers.local.child import Local
    from ainb.providers.local.hub import HubFile, look_up, size_text
    from ainb.providers.local.weights import find, is_pulled, pull, pull_from_hub, pulled
else:
    __getattr__ = lazy_exports(
        __name__,
        adapter="LocalProvider",
        catalogue="PULLABLE SUGGESTED",
        child="Local",
        hub="HubFile look_up size_text",
        weights="find is_pulled pull pull_from_hub pulled",
    )

__all__ = [
    "PULLABLE", "SUGGESTED", "HubFile", "Local", "LocalProvider", "find", "is_pulled", "look_up", "pull",
    "pull_from_hub", "pulled", "size_text",
]  # fmt: skip
