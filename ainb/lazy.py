"""Lazy re-exports: a package imports a module when one of its exported names is first used."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any


def lazy_exports(package: str, /, **modules: str) -> Callable[[str], Any]:
    """Make a package's ``__getattr__`` for lazy exports (PEP 562).

    Args:
        package: Dotted name of the package.
        modules: For each module of the package, the names that it defines and that are exported, separated by
            blanks.
    """
    homes = {name: module for module, names in modules.items() for name in names.split()}

    def get(name: str) -> Any:
        module = homes.get(name)
        if module is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{package}.{module}"), name)
        # Set, so that later lookups are direct: some names are used for every row of a batch.
        setattr(sys.modules[package], name, value)
        return value

    return get
