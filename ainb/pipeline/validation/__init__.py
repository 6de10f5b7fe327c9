"""Validation of prompts and replies by rules: allow, redact or block."""
