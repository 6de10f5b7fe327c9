"""``%ai`` alone: a few rows that say how things stand; each row is a function, so that every part adds its own."""

from __future__ import annotations

from collections.abc import Callable

from ainb.errors import ConfigError
from ainb.magics.arguments import Arguments
from ainb.magics.front import Front
from ainb.magics.listing import pulled_models
from ainb.panels.markup import Report, Table

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


def display_row(front: Front) -> tuple[str, str]:
    """How replies are shown."""
    return "display", front.display()


ROWS: list[StatusRow] = [model_row, aliases_row, pulled_row, display_row]


def status(front: Front, _arguments: Arguments) -> Report:
    """All rows that have something to say."""
    rows = [row for make in ROWS if (row := make(front)) is not None]
    return Report(
        tables=[Table(caption="ainb, %ai help lists what there is", columns=("what", "now"), rows=rows)]
    )
