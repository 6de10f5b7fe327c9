"""Parsing of the lines of ``%%ai`` and ``%ai``."""
