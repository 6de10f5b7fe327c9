"""CSS of all output of ainb: one scope (`.ainb`), a file in ``css/`` for each kind of box."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

# Disables MathJax for amounts and names: in JupyterLab and in exported pages it renders text between two
# dollar signs as a formula. Formulas are marked separately.
NO_MATHS = "mathjax_ignore tex2jax_ignore"
# A reply has no rules for tables, because every output of a saved notebook holds a copy of its rules.
_KINDS_WITH_RULES = {"page", "words", "wait", "panel"}
# Class that JupyterLab sets on widgets whose kernel has ended or was restarted.
DISCONNECTED = "jupyter-widgets-disconnected"
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_SPACE_AROUND_MARK = re.compile(r"\s*([{};,])\s*|(:)\s+")


def classes(kind: str) -> str:
    """CSS classes of a kind of box: "reply", "page", "words", "wait" or "panel"."""
    return f"ainb {kind} {NO_MATHS}"


@cache
def style(kind: str, *, code: bool = False) -> str:
    """The ``<style>`` element of a kind of box, without comments and optional spaces.

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
    """The ``<style>`` element of a live panel, which hides its static copy while the kernel is connected.

    Args:
        name: Name of the static copy.
    """
    live, copy = f".{live_class(name)}", f".ainb.copy-{name}"
    return (
        f"<style>.jp-OutputArea:has({live}:not(.{DISCONNECTED})) .jp-OutputArea-child:has({copy})"
        f"{{display:none}}{live}.{DISCONNECTED}{{display:none}}</style>"
    )


def copy_style(name: str) -> str:
    """The ``<style>`` element of a static copy, which hides the output of its live form after it.

    A file that was saved while the panel was live refers to widgets; front ends show an error for widgets
    without their kernel.

    Args:
        name: Name of the static copy.
    """
    # Printed text, in a <pre>, may stand between the two outputs.
    live_output = f".jp-OutputArea-child:not(:has(pre,.{live_class(name)}))"
    return f"<style>.jp-OutputArea-child:has(.ainb.copy-{name})+{live_output}{{display:none}}</style>"


def _minified(name: str) -> str:
    text = resources.files("ainb.panels").joinpath("css", f"{name}.css").read_text("utf-8")
    text = _SPACE_AROUND_MARK.sub(r"\1\2", _COMMENT.sub("", text)).strip()
    return text.replace(";}", "}")
