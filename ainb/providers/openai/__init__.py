"""Adapter for the OpenAI chat completions protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ainb.lazy import lazy_exports

if TYPE_CHECKING:
    from ainb.providers.openai.adapter import STREAM_FLAGS, OpenAIProvider
    from ainb.providers.openai.reply import Answer
else:
    __getattr__ = lazy_exports(__name__, adapter="STREAM_FLAGS OpenAIProvider", reply="Answer")

__all__ = ["STREAM_FLAGS", "Answer", "OpenAIProvider"]
