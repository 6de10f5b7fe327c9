"""Adapter for the OpenAI chat completions protocol."""
