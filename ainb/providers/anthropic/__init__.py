"""Adapter for the Anthropic Messages protocol."""

from ainb.providers.anthropic.adapter import AnthropicProvider

__all__ = ["AnthropicProvider"]
