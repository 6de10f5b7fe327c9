"""Error of the documentation build."""

from __future__ import annotations


class IncompleteDocsError(Exception):
    """A public name, an option, a column or an error class has no line of documentation."""
