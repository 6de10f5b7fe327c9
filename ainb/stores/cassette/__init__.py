"""Cassettes: recorded answers in a text file beside a notebook."""
