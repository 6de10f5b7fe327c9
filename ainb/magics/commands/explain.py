"""``%ai error`` and ``%ai fix``: explain or correct the last error of the notebook."""

from __future__ import annotations

from ainb.errors import ConfigError
from ainb.magics.cell import make_call, send
from ainb.magics.display.reply import plain_text
from ainb.magics.parsing.arguments import Arguments
from ainb.magics.shell import NotebookShell
from ainb.messages import Reply
from ainb.prompts import Filled

EXPLAIN = (
    "Explain this Python error to the author of the notebook: "
    "what went wrong, why, and how to mend it. Be brief."
)
FIX = (
    "Correct the cell below so that the error goes away and everything else stays as it is. "
    "Answer with the whole corrected cell in one fenced Python block, "
    "then one sentence that says what was wrong."
)


def explain(shell: NotebookShell, arguments: Arguments) -> Reply:
    """Ask a model to explain the last error."""
    return _ask_about_last_error(shell, arguments, EXPLAIN, "%ai error")


def fix(shell: NotebookShell, arguments: Arguments) -> Reply:
    """Ask a model to correct the failed cell; the answer becomes a new cell if the front end supports it."""
    reply = _ask_about_last_error(shell, arguments, FIX, "%ai fix")
    if reply.has_code and shell.display() not in {"static", "off"}:
        shell.insert_cell(plain_text(reply)[0] if reply.form == "code" else reply.code)
    return reply


def _ask_about_last_error(shell: NotebookShell, arguments: Arguments, instruction: str, magic: str) -> Reply:
    failure = shell.cell_errors.latest()
    if failure is None:
        raise ConfigError(
            f"{magic} explains the last cell that failed, and no cell has failed; "
            "run the cell that fails first"
        )
    # Marked as filled, so that braces in the user's code are not replaced.
    call = make_call(shell, arguments, Filled(f"{instruction}\n\n{failure}", values=(failure,)), magic)
    reply = send(shell, call, arguments)
    shell.bind("_ai", reply)
    return reply
