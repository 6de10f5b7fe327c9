"""Lessons from refusals: parameters that a model does not accept, read from errors and kept in the home."""
