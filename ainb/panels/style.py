"""CSS of everything that ainb shows: one scope (`.ainb`), a file of ``css/`` for each kind of box."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

# Money and names are no formulas: MathJax, in JupyterLab and in exported pages, reads everything between two
# dollar signs as one. What is one is marked by itself.
NO_MATHS = "mathjax_ignore tex2jax_ignore"
# A reply does not carry the rules of tables: every output of a saved notebook holds its own copy of its
# rules.
_KINDS_WITH_RULES = {"page", "words", "wait", "panel"}
# JupyterLab sets it on widgets whose kernel has ended or was restarted.
DISCONNECTED = "jupyter-widgets-disconnected"
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_SPACE_AROUND_MARK = re.compile(r"\s*([{};,])\s*|(:)\s+")


def classes(kind: str) -> str:
    """CSS classes of a kind of box: "reply", "page", "words", "wait" or "panel"."""
    return f"ainb {kind} {NO_MATHS}"


@cache
def style(kind: str, *, code: bool = False) -> str:
    """The ``<style>`` element of a kind of box, without comments and optional blanks.

    Args:
        kind: As for `classes`.
        code: Whether highlighted code is in it.
    """
    names = ("base", *([kind] if kind in _KINDS_WITH_RULES else []), *(["code"] if code else []))
    return f"<style>{''.join(_minified(name) for name in names)}</style>"


def live_class(name: str) -> str:
    """CSS class of the live form of a panel.

    Args:
        name: Name of its static copy.
    """
    return f"ainb-live-{name}"


def hiding_style(name: str) -> str:
    """The ``<style>`` element of a live panel, which hides its static copy while a kernel is behind it.

    Args:
        name: Name of the static copy.
    """
    live, copy = f".{live_class(name)}", f".ainb.copy-{name}"
    return (
        f"<style>.jp-OutputArea:has({live}:not(.{DISCONNECTED})) .jp-OutputArea-child:has({copy})"
        f"{{display:none}}{live}.{DISCONNECTED}{{display:none}}</style>"
    )


def copy_style(name: str) -> str:
    """The ``<style>`` element of a static copy, which hides the dead output of its live form behind it.

    A file that was saved while the panel was live refers to widgets, for which front ends without their
    kernel show an error.

    Args:
        name: Name of the static copy.
    """
    # A line of text may have come between the two; text is in a <pre>.
    dead = f".jp-OutputArea-child:not(:has(pre,.{live_class(name)}))"
    return f"<style>.jp-OutputArea-child:has(.ainb.copy-{name})+{dead}{{display:none}}</style>"


def _minified(name: str) -> str:
    text = resources.files("ainb.panels").joinpath("css", f"{name}.css").read_text("utf-8")
    text = _SPACE_AROUND_MARK.sub(r"\1\2", _COMMENT.sub("", text)).strip()
    return text.replace(";}", "}")
