"""The front that knows IPython: ``%%ai``, ``%ai``, completion and how a Reply is shown."""

from __future__ import annotations

from typing import Any


def load(shell: Any) -> None:
    """Register everything on a shell."""


def unload(shell: Any) -> None:
    """Take everything away again."""
