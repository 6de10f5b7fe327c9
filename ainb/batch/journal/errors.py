"""Error of the journal."""

from __future__ import annotations

from ainb.errors import AinbError


class JournalError(AinbError):
    """The journal cannot be read or written; the batch continues without it."""
