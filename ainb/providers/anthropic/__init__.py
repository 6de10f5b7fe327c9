"""Adapter for the Anthropic Messages protocol."""
