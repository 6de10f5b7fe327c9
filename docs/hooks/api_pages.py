"""Pages of the API: every public name, documented by mkdocstrings from its docstring."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any, Final

import ainb
from docs.hooks.errors import IncompleteDocsError

# Pages: title, introduction, names in their order.
PAGES: Final[Mapping[str, tuple[str, str, tuple[str, ...]]]] = {
    "session": ("Session", "Prompts in, replies and DataFrames out.", ("Session", "current", "Job", "panel")),
    "messages": ("Messages and replies", "Requests and replies as values.", ("Message", "Reply", "Usage")),
    "options": (
        "Options",
        "Frozen dataclasses, one per stage; `None` turns a stage off.",
        ("Config", "Budget", "Cache", "Circuit", "Deadline", "RateLimit", "Retry", "Validation", "Rule"),
    ),
    "parts": (
        "Parts that work alone",
        "Each stage around your own async or plain function; see [the nine practices](../../practices.md).",
        (
            "RateLimiter",
            "CircuitBreaker",
            "retrying",
            "ResponseCache",
            "Validator",
            "validate",
            "sanitize",
            "Finding",
        ),
    ),
    "money": ("Tokens and prices", "Offline; nothing is downloaded.", ("count_tokens", "price", "estimate")),
    "compare": (
        "Comparison",
        "Prompts and models on labelled rows.",
        ("Comparison", "agreement", "Agreement"),
    ),
    "keys": ("Keys", "Where keys are looked up, and how they are stored.", ("keys",)),
    "testing": ("Testing", "Fakes for your own tests.", ("testing",)),
}
# Names of modules that are public themselves.
MODULES: Final[Mapping[str, tuple[str, ...]]] = {
    "keys": ("get", "require", "found", "where", "login", "logout"),
    "testing": ("script", "Script", "Step", "FakeClock", "VirtualTimeLoop", "run_virtual"),
}
NOT_HERE: Final = frozenset({"__version__"})


def api_pages() -> dict[str, str]:
    """Markdown of each page by name.

    Raises:
        IncompleteDocsError: A public name has no page, or it or one of its methods has no docstring.
    """
    listed = {name for _, _, names in PAGES.values() for name in names} | NOT_HERE | _errors()
    missing = sorted(set(ainb.__all__) - listed)
    if missing:
        raise IncompleteDocsError(f"public names without a page: {', '.join(missing)}")
    return {
        f"reference/api/{page}.md": f"# {title}\n\n{text}\n\n" + "\n".join(map(_directives, names))
        for page, (title, text, names) in PAGES.items()
    }


def undocumented(thing: Any, name: str) -> list[str]:
    """The public name and its methods and properties that have no docstring."""
    found = [] if (getattr(thing, "__doc__", None) or "").strip() else [name]
    if inspect.isclass(thing):
        for part, value in vars(thing).items():
            wanted = inspect.isroutine(value) or isinstance(value, property)
            if wanted and not part.startswith("_") and not (getattr(value, "__doc__", None) or "").strip():
                found.append(f"{name}.{part}")
    return found


def _errors() -> set[str]:
    """Error classes, which the page of errors documents."""
    things = {name: getattr(ainb, name) for name in ainb.__all__}
    return {
        name for name, thing in things.items() if inspect.isclass(thing) and issubclass(thing, BaseException)
    }


def _directives(name: str) -> str:
    if name in MODULES:
        module = importlib.import_module(f"ainb.{name}")
        return "\n".join(_directive(getattr(module, part), f"{name}.{part}") for part in MODULES[name])
    return _directive(getattr(ainb, name), name)


def _directive(thing: Any, name: str) -> str:
    lacking = undocumented(thing, name)
    if lacking:
        raise IncompleteDocsError(f"without a docstring: {', '.join(lacking)}")
    return f"::: {thing.__module__}.{thing.__qualname__}\n"
