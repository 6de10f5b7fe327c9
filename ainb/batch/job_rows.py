"""Rows of a run that batch jobs answer: where each stands in the input, what it was made of, and how it ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ainb.batch import outcomes
from ainb.batch.journal import Entry, Journal
from ainb.errors import AinbError
from ainb.events import Notice

if TYPE_CHECKING:
    from ainb.batch.outcomes import Fields
    from ainb.batch.progress import Ticker
    from ainb.batch.results import Outcome
    from ainb.events import Sink


class OpenRows:
    """Rows that have not ended yet, by row key; rows of one key share one request.

    Args:
        keep: Called with position and outcome when a row has ended and its commit is through.
        fields: Turns a reply into its schema values; None without a schema.
        journal: Where finished rows are kept; None means nowhere.
        run_id: The run in the journal.
        ticker: Told of every row that has ended.
        sink: Told of notices.
    """

    def __init__(
        self,
        *,
        keep: Callable[[int, Outcome], None],
        fields: Fields | None,
        journal: Journal | None,
        run_id: str,
        ticker: Ticker,
        sink: Sink,
    ) -> None:
        self._keep = keep
        self.fields = fields
        self._journal = journal
        self._run_id = run_id
        self._ticker = ticker
        self._sink = sink
        self._rows: dict[str, tuple[Any, list[int]]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, key: str) -> bool:
        return key in self._rows

    def add(self, key: str, item: Any, position: int) -> bool:
        """Add a row; False when another of its key is open already, and will answer it too."""
        row = self._rows.get(key)
        if row is not None:
            row[1].append(position)
            return False
        self._rows[key] = item, [position]
        return True

    def item(self, key: str) -> Any:
        """What the row is made of; None when the input has no such row."""
        row = self._rows.get(key)
        return None if row is None else row[0]

    async def end(self, key: str, outcome: Outcome) -> None:
        """Commit a row's outcome, then hand it to every position of the key."""
        if outcome.status in {"ok", "error"}:
            await self._write(key, outcome)
        _, positions = self._rows.pop(key, (None, ()))
        for place, position in enumerate(positions):
            self.put(position, outcome if place == 0 else outcomes.shared(outcome), resumed=False)

    def put(self, position: int, outcome: Outcome, *, resumed: bool) -> None:
        """Hand out the outcome of one position."""
        self._keep(position, outcome)
        self._ticker.progress.count(position, outcome, resumed=resumed)
        self._ticker.tick()

    def known(self, key: str, *, retry_failed: bool) -> Outcome | None:
        """The outcome that an earlier part of the run has kept, or None."""
        from ainb.batch.results import Outcome

        entry = None if self._journal is None else self._journal.find(self._run_id, key)
        if entry is None or (entry.status == "error" and retry_failed):
            return None
        try:
            return Outcome.from_json(entry.outcome)
        except ValueError:
            return None

    async def _write(self, key: str, outcome: Outcome) -> None:
        if self._journal is None:
            return
        entry = Entry(
            row_key=key, status=outcome.status, cost_nano_usd=outcome.cost_nano_usd, outcome=outcome.to_json()
        )
        try:
            await self._journal.write(self._run_id, entry)
        except AinbError as error:
            self._journal = None
            self._sink(Notice(f"{error}; the batch goes on, but cannot be resumed", "journal"))
