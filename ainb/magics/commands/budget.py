"""``%ai budget``: how it stands, another one, a new beginning, none."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from ainb.errors import ConfigError
from ainb.magics.parsing.arguments import Arguments
from ainb.magics.shell import Front
from ainb.panels.markup import Report, Table
from ainb.pipeline.budget.options import Budget, parse_budget
from ainb.pricing import format_usd
from ainb.session import Session
from ainb.suggestions import closest

NONE = "there is no budget; %ai budget 5/day sets one"


def budget(front: Front, arguments: Arguments) -> Report | str:
    """Show the budget, or do with it what the word says.

    Raises:
        ConfigError: The word is no sum of money and no action.
    """
    if not arguments.words:
        return show_budget(front)
    wanted = arguments.words[0].lower()
    if wanted in ACTIONS:
        return ACTIONS[wanted](front)
    if wanted.isalpha():
        raise ConfigError(
            f"%ai budget takes a sum such as 5/day, or {' or '.join(ACTIONS)}; it is {wanted!r}; {closest(wanted, ACTIONS)}"
        )
    return _set(front, wanted)


def show_budget(front: Front) -> Report | str:
    """Spent, reserved, left."""
    session = front.session()
    if session.budget is None:
        return NONE
    tables = budget_tables(session)
    kind = "refuses what does not fit" if session.budget.hard else "only warns"
    return Report(
        [f"The budget of {session.budget} {kind}.", *([] if tables else ["Nothing was spent."])], tables
    )


def budget_tables(session: Session) -> list[Table]:
    """The budget as a table or none."""
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
    return [Table(caption="Budget", columns=columns, rows=rows)] if rows else []


def _set(front: Front, text: str) -> str:
    """Change the sum and what it counts for; whether it is hard and when it warns stay as they are."""
    old = front.session().budget
    new = parse_budget(text, per=old.per if old is not None else "session")
    _change(front, new if old is None else dataclasses.replace(old, usd=new.usd, per=new.per))
    left = [item.left_usd for item in front.session().budget_status()]
    return f"the budget is {new} now" + (f", {format_usd(left[0])} of it left" if len(left) == 1 else "")


def _reset(front: Front) -> str:
    session = front.session()
    if session.budget is None:
        return NONE
    session.reset_budget()
    front.forget_notices("budget")
    return f"the budget of {session.budget} begins anew; what was spent stays in the usage log"


def _off(front: Front) -> str:
    if front.session().budget is None:
        return NONE
    _change(front, None)
    return "there is no budget any more; calls still go into the usage log"


def _change(front: Front, new: Budget | None) -> None:
    # A setting, so that a session made later has it too; and at once, also for a session that somebody handed over.
    front.settings.put("budget", new)
    front.session().set_budget(new)
    front.forget_notices("budget")


ACTIONS: dict[str, Callable[[Front], str]] = {"reset": _reset, "off": _off}
