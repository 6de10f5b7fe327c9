"""``%ai`` alone: a few rows that say how things stand; each row is a function, so that every part adds its own."""

from __future__ import annotations

from collections.abc import Callable

from ainb.errors import ConfigError
from ainb.magics.commands.list import pulled_models
from ainb.magics.commands.replay import replay_row
from ainb.magics.display.numbers import count, size, today
from ainb.magics.parsing.arguments import Arguments
from ainb.magics.shell import Front
from ainb.panels.markup import Report, Table
from ainb.pricing import format_usd

StatusRow = Callable[[Front], tuple[str, str] | None]


def model_row(front: Front) -> tuple[str, str]:
    """The model of cells that name none."""
    try:
        return "model", ":".join(front.session().find_model())
    except ConfigError:
        return "model", "none configured; write one behind %%ai, or see %ai help model"


def aliases_row(front: Front) -> tuple[str, str] | None:
    """The aliases, when there are some."""
    aliases = front.session().config.aliases
    return ("aliases", ", ".join(sorted(aliases))) if aliases else None


def pulled_row(_front: Front) -> tuple[str, str] | None:
    """The models on this machine, when there are some."""
    models = pulled_models()
    return ("on this machine", ", ".join(f"local:{model}" for model in models)) if models else None


def spent_row(front: Front) -> tuple[str, str]:
    """What today's calls of this home cost, other notebooks' included."""
    from ainb.usage.frames.totals import money

    session = front.session()
    costs = session.costs(since=today(session.runtime.clock.unix())).iloc[0]
    return "spent today", money(costs["cost_usd"], int(costs["unpriced"]))


def budget_row(front: Front) -> tuple[str, str] | None:
    """The budget, when there is one."""
    session = front.session()
    if session.budget is None:
        return None
    items = session.budget_status()
    left = f", {format_usd(items[0].left_usd)} left" if len(items) == 1 else ""
    return "budget", f"{session.budget}{left}"


def cache_row(front: Front) -> tuple[str, str]:
    """How many answers are stored."""
    state = front.session().cache_status()
    return "cache", f"{count(state['entries'])} stored, {size(state['size_bytes'])}" if state else "off"


def circuits_row(front: Front) -> tuple[str, str] | None:
    """Circuits that are not closed, when there are some."""
    frame = front.session().status()
    states = frame["circuit"].dropna()
    unusual = [f"{name} {state}" for name, state in states.items() if state != "closed"]
    return ("circuits", ", ".join(unusual)) if unusual else None


def state_row(front: Front) -> tuple[str, str] | None:
    """Where limits, circuits, budgets and answers are shared, how far away that is, and who else is there."""
    row = front.session().state_status()
    if not row:
        return None
    if not row["connected"]:
        return "shared state", f"{row['endpoint']}, out of reach; this kernel's own meanwhile"
    away = "" if row["distance_ms"] is None else f", {row['distance_ms']:.1f} ms away"
    others = f" ({row['peer_names']})" if row["peers"] else ""
    return "shared state", f"{row['endpoint']}{away}, {count(row['peers'])} others connected{others}"


def display_row(front: Front) -> tuple[str, str]:
    """How replies are shown."""
    return "display", front.display()


ROWS: list[StatusRow] = [
    model_row,
    aliases_row,
    pulled_row,
    spent_row,
    budget_row,
    cache_row,
    circuits_row,
    state_row,
    display_row,
    replay_row,
]


def status(front: Front, _arguments: Arguments) -> Report:
    """All rows that have something to say."""
    rows = [row for make in ROWS if (row := make(front)) is not None]
    return Report(
        tables=[Table(caption="ainb, %ai help lists what there is", columns=("what", "now"), rows=rows)]
    )
