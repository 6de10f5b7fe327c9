"""``%ai error`` and ``%ai fix``: the last failure of the notebook, explained or mended."""

from __future__ import annotations

from ainb.errors import ConfigError
from ainb.magics.cell import ask, make_call
from ainb.magics.display.reply import plain_text
from ainb.magics.parsing.arguments import Arguments
from ainb.magics.shell import Front
from ainb.messages import Reply
from ainb.prompts.fill import Filled

EXPLAIN = "Explain this Python error to the author of the notebook: what went wrong, why, and how to mend it. Be brief."
FIX = (
    "Correct the cell below so that the error goes away and everything else stays as it is. Answer with the whole corrected "
    "cell in one fenced Python block, then one sentence that says what was wrong."
)


def explain(front: Front, arguments: Arguments) -> Reply:
    """Ask what the last failure means."""
    return _ask_about_failure(front, arguments, EXPLAIN, "%ai error")


def fix(front: Front, arguments: Arguments) -> Reply:
    """Ask for the failed cell without its failure, and put the answer into a next cell where the front end can."""
    reply = _ask_about_failure(front, arguments, FIX, "%ai fix")
    if reply.has_code and front.display() not in {"static", "off"}:
        front.offer_cell(plain_text(reply)[0] if reply.form == "code" else reply.code)
    return reply


def _ask_about_failure(front: Front, arguments: Arguments, wish: str, magic: str) -> Reply:
    failure = front.failures.latest()
    if failure is None:
        raise ConfigError(
            f"{magic} speaks of the last cell that failed, and none has; run the cell that fails first"
        )
    # Filled: braces in the person's code are code.
    call = make_call(front, arguments, Filled(f"{wish}\n\n{failure}", values=(failure,)), magic)
    reply = ask(front, call, arguments)
    front.bind("_ai", reply)
    return reply
