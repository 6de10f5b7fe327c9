"""``%ai cache``: show the cache and its hit rate, clear it, prune it."""

from __future__ import annotations

from typing import Any

from ainb.errors import ConfigError
from ainb.magics.display.numbers import as_text, byte_size, duration, percent
from ainb.magics.parsing.arguments import Arguments
from ainb.magics.parsing.flags import Flag
from ainb.magics.parsing.readers import seconds
from ainb.magics.shell import NotebookShell
from ainb.panels.formatting import count
from ainb.panels.markup import Report, Table
from ainb.plain import counted
from ainb.session import Session
from ainb.suggestions import closest

OFF = "the cache is off; %config Ainb.cache = True switches it on"
ACTIONS = ("clear", "prune")
OLDER = Flag(
    name="older",
    metavar="SPAN",
    read=seconds,
    goes_to="cell",
    help="age above which prune deletes answers: seconds, 90m, 24h, 7d",
    example="%ai cache prune --older 7d",
)


def cache(shell: NotebookShell, arguments: Arguments) -> Report | str:
    """Show, clear or prune the cache.

    Raises:
        ConfigError: The word is not an action, or ``--older`` is used without prune.
    """
    action = arguments.words[0] if arguments.words else "show"
    older: float | None = arguments.cell.get("older")
    if action not in {"show", *ACTIONS}:
        raise ConfigError(
            f"%ai cache takes {' or '.join(ACTIONS)}; it is {action!r}; {closest(action, ACTIONS)}"
        )
    if older is not None and action != "prune":
        raise ConfigError("--older belongs to %ai cache prune; write %ai cache prune --older 7d")
    session = shell.session()
    if not session.cache_status():
        return OFF
    if action == "clear":
        return f"{counted(session.clear_cache(), 'stored answer')} forgotten; the next calls are sent again"
    return prune(session, older) if action == "prune" else Report(tables=cache_tables(session))


def prune(session: Session, max_age_seconds: float | None) -> str:
    """Delete answers above an age; None means the configured time to live."""
    if max_age_seconds is None and _ttl_seconds(session) is None:
        return "stored answers never expire here, so none is too old; give an age: %ai cache prune --older 7d"
    return f"{counted(session.prune_cache(max_age_seconds), 'stored answer')} forgotten"


def _ttl_seconds(session: Session) -> float | None:
    options = session.config.cache
    return None if options is None else options.ttl_seconds


def cache_tables(session: Session) -> list[Table]:
    """The cache as a table; an empty list when it is off."""
    state = session.cache_status()
    if not state:
        return []
    ttl = _ttl_seconds(session)
    rows: list[tuple[str, Any]] = [
        ("store", as_text(state["store"])),
        ("answers", f"{count(state['entries'])}, {byte_size(state['size_bytes'])}"),
        ("reused", f"{count(state['hits'])} in this session"),
        ("shared with an identical call", count(state["coalesced"])),
        ("not found", count(state["misses"])),
        ("hit rate", percent(state["hit_rate"])),
        ("expires", "never" if ttl is None else f"after {duration(ttl)}"),
    ]
    if state["stale"]:
        rows.append(("expired, still used", f"{count(state['stale'])}, while a circuit was open"))
    return [Table(caption="Cache", columns=("what", "now"), rows=rows)]
