"""The page of errors, made from the error classes and the advice of the panels."""

from __future__ import annotations

from collections.abc import Iterator

import ainb
from ainb import BatchInterrupted, errors
from ainb.usage.frames.failures import KINDS, STATUSES
from docs.hooks.docstrings import WHAT_TO_DO, cell, markdown, read, table, what_to_do

INTRODUCTION = """# Every error and what to do

An error says on one line what happened, the limit, the value and the fix; `%tb` shows the traceback. Values
that depend on the run (seconds left, money spent, ids) are attributes and not part of the message. This page
is made from the error classes.

"""
INTERRUPTS = """## Interrupts

An interrupt is not an error of ainb: `except Exception` does not catch it.

"""
KINDS_TEXT = """## Kinds of failures and advice

The panels and `%ai errors` group failures by these kinds. A kind with a number is the HTTP status that the
provider returned.

"""


def errors_page() -> str:
    """The page as Markdown.

    Raises:
        IncompleteDocsError: A class has no docstring, or no paragraph that says what to do.
    """
    parts = [INTRODUCTION, "## Errors\n\n"]
    parts += [_section(kind, depth) for kind, depth in tree(errors.AinbError)]
    parts += [INTERRUPTS, *(_section(kind, 0) for kind in (BatchInterrupted, errors.CallInterrupted))]
    parts += [KINDS_TEXT, table(("kind", "what to do"), _kinds())]
    return "".join(parts)


def tree(kind: type[BaseException], depth: int = 0) -> Iterator[tuple[type[BaseException], int]]:
    """Public classes below `kind`, itself first, with their depth."""
    yield kind, depth
    for below in kind.__subclasses__():
        if getattr(ainb, below.__name__, None) is below:
            yield from tree(below, depth + 1)


def _section(kind: type[BaseException], depth: int) -> str:
    name = kind.__name__
    parts = read(kind, name)
    above = ", ".join(f"`{base.__name__}`" for base in kind.__bases__ if not base.__name__.startswith("_"))
    lines = [
        f"### {name} {{ #{name} }}\n",
        f"A kind of {above}. {markdown(parts.summary)}\n" if depth else "",
    ]
    lines += [] if depth else [f"{markdown(parts.summary)}\n"]
    lines += [f"{markdown(text)}\n" for text in parts.paragraphs if not text.startswith(WHAT_TO_DO)]
    lines += [f"**What to do:** {markdown(what_to_do(parts, name))}\n"]
    if parts.attributes:
        rows = [(f"`{item}`", cell(text)) for item, text in parts.attributes.items()]
        lines.append(table(("attribute", "what it holds"), rows))
    return "\n".join(line for line in lines if line) + "\n"


def _kinds() -> list[tuple[str, ...]]:
    of_status = [(f"{status} {name}", cell(advice)) for status, (name, advice) in STATUSES.items()]
    return [*of_status, *((cell(name), cell(advice)) for name, advice in KINDS.values())]
