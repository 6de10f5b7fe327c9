"""Record of parameters that models refused, by endpoint and model: in memory and, dated, in the home."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from ainb.fork import new_lock
from ainb.providers.lessons.lesson import PROTECTED, Lesson
from ainb.providers.lessons.reading import MAX_VALUES
from ainb.stores.small_file import read_small, write_small

FILE_NAME: Final = "learnt.json"
VERSION: Final = 1
KEEP_SECONDS: Final = 30 * 86_400.0
MAX_RECORDS: Final = 2_000
_NAME = re.compile(r"[A-Za-z_][\w.:-]{0,99}", re.ASCII)
# A record from further in the future was written under a wrong clock and would never expire.
CLOCK_STEP_SECONDS: Final = 86_400.0
_Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Learnt:
    """A lesson and its time, in wall-clock seconds since 1970."""

    lesson: Lesson
    at: float


_Known = dict[_Place, list[Learnt]]


class Memory:
    """Lessons by endpoint and model; may be shared between threads and sessions.

    An error of the file never fails a call: the lessons are then kept in memory only.

    Args:
        path: File in the home; None keeps everything in memory.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._lock = new_lock()
        self._known: _Known = {}
        self._read = path is None

    def lessons(self, endpoint: str, model: str, now: float) -> list[Lesson]:
        """Lessons that hold for a model now, oldest first."""
        if not self._read:
            self._load(now)
        known = self._known.get((endpoint, model))
        if not known:
            return []
        return [item.lesson for item in known if _is_fresh(item.at, now)]

    def learn(self, endpoint: str, model: str, lesson: Lesson, now: float) -> None:
        """Add a lesson; it replaces an older one on the same field, and one that contradicts it."""

        def change(known: list[Learnt]) -> list[Learnt]:
            kept = [item for item in known if not _is_replaced(item.lesson, lesson)]
            same = next((item.lesson for item in known if item.lesson.key == lesson.key), None)
            return [*kept, Learnt(_merge(same, lesson), now)]

        self._change((endpoint, model), change, now)

    def forget(self, endpoint: str, model: str, field: str, now: float) -> None:
        """Remove the lessons of a field, by its name or by the name it was sent under."""
        self._change(
            (endpoint, model),
            lambda known: [item for item in known if field not in {item.lesson.field, item.lesson.instead}],
            now,
        )

    def rows(self, now: float) -> list[tuple[str, str, Learnt]]:
        """Endpoint, model and lesson of all lessons that hold now, for `status`."""
        if not self._read:
            self._load(now)
        return [
            (endpoint, model, item)
            for (endpoint, model), known in sorted(self._known.items())
            for item in known
            if _is_fresh(item.at, now)
        ]

    def _change(self, place: _Place, change: Callable[[list[Learnt]], list[Learnt]], now: float) -> None:
        with self._lock:
            if self._path is not None:
                # Another kernel with this home may have added lessons since.
                self._known = _joined(_read_file(self._path, now), self._known)
            self._known[place] = change(self._known.get(place, []))
            if self._path is not None:
                _write_file(self._path, self._known, now)

    def _load(self, now: float) -> None:
        with self._lock:
            if not self._read and self._path is not None:
                self._known = _joined(_read_file(self._path, now), self._known)
            self._read = True


_memories: dict[Path, Memory] = {}
_memories_lock = new_lock()


def memory_of(home: Path | None) -> Memory:
    """The memory of a home, one per process; without a home a new one that is not saved."""
    if home is None:
        return Memory()
    path = (home / FILE_NAME).absolute()
    with _memories_lock:
        return _memories.setdefault(path, Memory(path))


def _is_fresh(at: float, now: float) -> bool:
    return now - KEEP_SECONDS < at <= now + CLOCK_STEP_SECONDS


def _joined(stored: _Known, held: _Known) -> _Known:
    """Lessons of the file and of this process; the file's lesson wins where both have one for a field."""
    joined = dict(held)
    for place, items in stored.items():
        keys = {item.lesson.key for item in items}
        joined[place] = [*items, *(item for item in held.get(place, ()) if item.lesson.key not in keys)]
    return joined


def _is_replaced(old: Lesson, new: Lesson) -> bool:
    opposite = new.instead is not None and old.field == new.instead and old.instead == new.field
    sent_so = old.instead == new.field  # the replacement name is refused as well
    return old.key == new.key or opposite or sent_so


def _merge(old: Lesson | None, new: Lesson) -> Lesson:
    """Combine two lessons on the same parameter: refused values add up."""
    if old is None or not old.refused or not new.refused:
        return new
    values = tuple(dict.fromkeys((*old.refused, *new.refused)))[:MAX_VALUES]
    return Lesson(field=new.field, refused=values, when=new.when)


def _read_file(path: Path, now: float) -> _Known:
    known: _Known = {}
    for endpoint, model, item in _records(read_small(path, "records", VERSION)):
        if _is_fresh(item.at, now):
            known.setdefault((endpoint, model), []).append(item)
    return known


def _records(records: Any) -> Iterator[tuple[str, str, Learnt]]:
    for record in records[:MAX_RECORDS] if isinstance(records, list) else ():
        if not isinstance(record, dict):
            continue
        endpoint, model, at = record.get("endpoint"), record.get("model"), record.get("at")
        lesson = _read_lesson(record)
        if lesson is None or not isinstance(endpoint, str) or not isinstance(model, str):
            continue
        if isinstance(at, int | float) and not isinstance(at, bool):
            yield endpoint, model, Learnt(lesson, float(at))


def _read_lesson(record: dict[str, Any]) -> Lesson | None:
    """The lesson of a record; None for an invalid record, because the file may have been edited."""
    field, names = record.get("field"), [record.get("instead"), record.get("value"), record.get("when")]
    lists = [record.get("allowed"), record.get("refused")]
    if not _is_name(field) or not all(name is None or _is_name(name) for name in names):
        return None
    if not all(
        isinstance(items, list) and len(items) <= MAX_VALUES and all(map(_is_name, items)) for items in lists
    ):
        return None
    instead, value, when = names
    if {str(field).partition(".")[0], instead} & PROTECTED:
        return None
    return Lesson(
        field=str(field),
        instead=instead,
        value=value,
        allowed=tuple(lists[0] or ()),
        refused=tuple(lists[1] or ()),
        when=when,
    )


def _is_name(value: object) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _write_file(path: Path, known: _Known, now: float) -> None:
    records = [
        {"endpoint": endpoint, "model": model, "at": item.at, **asdict(item.lesson)}
        for (endpoint, model), items in known.items()
        for item in items
        if _is_fresh(item.at, now)
    ]
    write_small(path, "records", VERSION, records[-MAX_RECORDS:])
