"""Lazy re-exports: a package imports a module when one of the names it offers is first used."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any


def lazy_exports(package: str, /, **modules: str) -> Callable[[str], Any]:
    """A package's ``__getattr__`` (PEP 562).

    Args:
        package: Dotted name of the package.
        modules: Names that are offered, with blanks between them, by the module of the package that defines
            them.
    """
    homes = {name: module for module, names in modules.items() for name in names.split()}

    def get(name: str) -> Any:
        module = homes.get(name)
        if module is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{package}.{module}"), name)
        # Found at once from now on: some of these are called for every row of a batch.
        setattr(sys.modules[package], name, value)
        return value

    return get
