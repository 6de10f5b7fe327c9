"""Mutation testing: load a module with one seeded fault, so that a suite can be shown to detect it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType


@dataclass(frozen=True)
class Mutant:
    """One seeded fault: a replacement in the source of a module.

    Attributes:
        module: Dotted name of the module to change.
        old: Source text that occurs exactly once in the module.
        new: The replacement.
        label: Description of the fault.
    """

    module: str
    old: str
    new: str
    label: str


@contextmanager
def load_mutant(
    module: str, old: str, new: str, *, dependents: Sequence[str] = ()
) -> Iterator[dict[str, ModuleType]]:
    """Load a mutant of `module` and new copies of its `dependents`; restore the real modules on exit.

    Args:
        module: Dotted name of the module to change.
        old: Source text to replace; it must occur exactly once, so that an outdated mutant fails.
        new: The replacement.
        dependents: Modules to load again with the mutant, in the order of their imports.
    """
    names = [module, *(name for name in dependents if name != module)]
    kept = {name: sys.modules.get(name) for name in names}
    try:
        yield {name: _load(name, (old, new) if name == module else None) for name in names}
    finally:
        for name, real in kept.items():
            if real is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = real


def _load(name: str, change: tuple[str, str] | None) -> ModuleType:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise LookupError(f"there is no module {name}")
    source = Path(spec.origin).read_text(encoding="utf-8")
    if change is not None:
        old, new = change
        if source.count(old) != 1:
            raise LookupError(f"{name} holds {source.count(old)} times {old!r}; a mutant needs exactly one")
        source = source.replace(old, new)
    copy = importlib.util.module_from_spec(spec)
    sys.modules[name] = copy  # dataclasses look up their module there
    exec(compile(source, spec.origin, "exec"), copy.__dict__)  # noqa: S102 - our own source, one line changed
    return copy
