"""Replay: answers from the cassette of a notebook."""
