"""Adapter for the Anthropic Messages protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ainb.lazy import lazy_exports

if TYPE_CHECKING:
    from ainb.providers.anthropic.adapter import AnthropicProvider
else:
    __getattr__ = lazy_exports(__name__, adapter="AnthropicProvider")

__all__ = ["AnthropicProvider"]
