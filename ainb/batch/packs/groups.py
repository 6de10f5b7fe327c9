"""Groups rows that may share a call, and decides when a failed pack is halved. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ainb.batch.running.refusals import kind_of
from ainb.errors import BudgetExceededError, InvalidPromptError, InvalidReplyError, PermanentProviderError

if TYPE_CHECKING:
    from ainb.batch.packs.calls import PackRow


def alike(rows: Iterable[PackRow]) -> Iterator[list[PackRow]]:
    """Groups of rows that differ only in their own text."""
    groups: dict[tuple[Any, ...], list[PackRow]] = {}
    for row in rows:
        before = tuple((item.role, str(item.content)) for item in row.request.messages[:-1])
        groups.setdefault((row.head, before), []).append(row)
    yield from groups.values()


def halves(rows: list[PackRow]) -> list[list[PackRow]]:
    """The first and the second half of at least two rows."""
    middle = len(rows) // 2
    return [rows[:middle], rows[middle:]]


def is_about_content(error: Exception) -> bool:
    """Whether a request with fewer of the rows may succeed."""
    if isinstance(error, BudgetExceededError | InvalidPromptError | InvalidReplyError):
        return True
    return isinstance(error, PermanentProviderError) and kind_of(error) is None
