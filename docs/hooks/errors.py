"""What keeps the site from being built."""

from __future__ import annotations


class IncompleteDocsError(Exception):
    """A public name, an option, a column or an error class has no line of documentation."""
