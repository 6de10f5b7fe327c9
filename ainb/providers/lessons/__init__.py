"""Lessons from refusals: parameters that a model does not accept, read from errors, stored in the home."""
