"""Adapter for the OpenAI chat completions protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ainb.lazy import lazy_exports

if TYPE_CHECKING:
    from ainb.providers.openai.adapter import OpenAIProvider
    from ainb.providers.openai.request import ChatClient
else:
    __getattr__ = lazy_exports(__name__, adapter="OpenAIProvider", request="ChatClient")

__all__ = ["ChatClient", "OpenAIProvider"]
