"""Adapter for the OpenAI chat completions protocol."""

from ainb.providers.openai.adapter import STREAM_FLAGS, OpenAIProvider
from ainb.providers.openai.reply import Answer

__all__ = ["STREAM_FLAGS", "Answer", "OpenAIProvider"]
