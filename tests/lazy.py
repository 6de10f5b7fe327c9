"""Lazy import of modules: a module is imported when a test first uses it.

Each process of pytest-xdist imports every test file but runs only some of the tests.
"""

from __future__ import annotations

import importlib


class Lazy:
    """Proxy for a module that is imported at the first access to an attribute.

    Args:
        name: Full name of the module.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> object:
        return getattr(importlib.import_module(self._name), attribute)
