"""``%ai budget``: show the budget, change it, reset it, switch it off."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from ainb.errors import ConfigError
from ainb.magics.parsing.arguments import Arguments
from ainb.magics.shell import NotebookShell
from ainb.panels.markup import Report, Table
from ainb.pipeline.budget import Budget, parse_budget
from ainb.pricing import format_usd
from ainb.session import Session
from ainb.suggestions import closest

NONE = "there is no budget; %ai budget 5/day sets one"


def budget(shell: NotebookShell, arguments: Arguments) -> Report | str:
    """Show, change, reset or switch off the budget.

    Raises:
        ConfigError: The word is neither an amount of money nor an action.
    """
    if not arguments.words:
        return show_budget(shell)
    wanted = arguments.words[0].lower()
    if wanted in ACTIONS:
        return ACTIONS[wanted](shell)
    if wanted.isalpha():
        raise ConfigError(
            f"%ai budget takes a sum such as 5/day, or {' or '.join(ACTIONS)}; it is {wanted!r}; "
            + closest(wanted, ACTIONS)
        )
    return _set(shell, wanted)


def show_budget(shell: NotebookShell) -> Report | str:
    """Amounts spent, reserved and left."""
    session = shell.session()
    if session.budget is None:
        return NONE
    tables = budget_tables(session)
    kind = "refuses what does not fit" if session.budget.hard else "only warns"
    return Report(
        [f"The budget of {session.budget} {kind}.", *([] if tables else ["Nothing was spent."])], tables
    )


def budget_tables(session: Session) -> list[Table]:
    """The budget as a table; an empty list without one."""
    rows = [
        (
            f"{item.scope} {item.name}".strip(),
            format_usd(item.spent_usd),
            format_usd(item.reserved_usd),
            format_usd(item.left_usd),
            format_usd(item.limit_usd),
        )
        for item in session.budget_status()
    ]
    columns = ("budget", "spent", "reserved", "left", "limit")
    looks = dict.fromkeys(range(1, 5), "number")
    return [Table(caption="Budget", columns=columns, rows=rows, looks=looks)] if rows else []


def _set(shell: NotebookShell, text: str) -> str:
    """Change amount and scope of the budget; `hard` and `warn_at` stay."""
    old = shell.session().budget
    new = parse_budget(text, per=old.per if old is not None else "session")
    _change(shell, new if old is None else dataclasses.replace(old, usd=new.usd, per=new.per))
    left = [item.left_usd for item in shell.session().budget_status()]
    return f"the budget is {new} now" + (f", {format_usd(left[0])} of it left" if len(left) == 1 else "")


def _reset(shell: NotebookShell) -> str:
    session = shell.session()
    if session.budget is None:
        return NONE
    session.reset_budget()
    shell.forget_notices("budget")
    return f"the budget of {session.budget} starts again from zero; what was spent stays in the usage log"


def _off(shell: NotebookShell) -> str:
    if shell.session().budget is None:
        return NONE
    _change(shell, None)
    return "there is no budget any more; calls still go into the usage log"


def _change(shell: NotebookShell, new: Budget | None) -> None:
    # As a setting for sessions made later, and on this session, which may have been set with `use`.
    shell.settings.set_option("budget", new)
    shell.session().set_budget(new)
    shell.forget_notices("budget")


ACTIONS: dict[str, Callable[[NotebookShell], str]] = {"reset": _reset, "off": _off}
