"""Loads jsonschema without the grammars of its format checkers, which take more than a second to compile.

JupyterLab installs jsonschema with the package rfc3987_syntax, which compiles 38 grammars on import. Only the
formats "iri" and "iri-reference" use them.
"""

from __future__ import annotations

import functools
import importlib
import sys
from importlib.util import find_spec
from types import ModuleType

from ainb.fork import new_lock

GRAMMARS = "rfc3987_syntax"
_loading = new_lock()


def load_jsonschema() -> ModuleType:
    """The module jsonschema; the grammars are loaded by the first check of a format that needs them."""
    with _loading:
        waits = "jsonschema" not in sys.modules and GRAMMARS not in sys.modules
        if not waits or find_spec(GRAMMARS) is None:
            return importlib.import_module("jsonschema")
        stand_in = ModuleType(GRAMMARS)
        stand_in.is_valid_syntax = _is_valid_syntax  # type: ignore[attr-defined]
        sys.modules[GRAMMARS] = stand_in
        try:
            return importlib.import_module("jsonschema")
        finally:
            if sys.modules.get(GRAMMARS) is stand_in:
                del sys.modules[GRAMMARS]


def _is_valid_syntax(rule: str, text: str) -> bool:
    return bool(_grammars().is_valid_syntax(rule, text))


@functools.cache
def _grammars() -> ModuleType:
    return importlib.import_module(GRAMMARS)
