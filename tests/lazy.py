"""Modules that are imported when a test first uses them.

Each process of pytest-xdist imports every file of tests and runs a few of them.
"""

from __future__ import annotations

import importlib


class Lazy:
    """A stand-in for a module.

    Args:
        name: The module's full name.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> object:
        return getattr(importlib.import_module(self._name), attribute)
