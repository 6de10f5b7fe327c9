"""Explanation of a replay miss: the nearest record and the differences, in one line.

The line depends only on the request and the cassette, so that it is the same on every machine.
"""

from __future__ import annotations

import collections
import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from ainb.pipeline.replay.request import Asked
from ainb.stores.cassette import Line

CANDIDATES = 8
RARE_WORDS = 12
COMPARED_WORDS = 300
SHOWN_CHARACTERS = 100
SHOWN_BEFORE = 40
SHOWN_VALUE = 60
SHOWN_DIFFERENCES = 3
SHOWN_NAMES = 3
SAME_MODEL = 0.2
SAME_PARAMETERS = 0.1
_WORD = re.compile(r"\w+")
_PROMPTS = ("messages", "prompt")


class Nearest:
    """Index of records that finds the one most similar to a request, by rare words of the prompt first.

    Args:
        lines: All records.
    """

    def __init__(self, lines: Iterable[Line]) -> None:
        self._lines = sorted(lines, key=lambda line: line.text)
        self._places: dict[str, list[int]] = collections.defaultdict(list)
        for place, line in enumerate(self._lines):
            for word in sorted(set(_words(line.fields["body"]))):
                self._places[word].append(place)

    def find(self, asked: Asked) -> Line | None:
        """The record most similar to a request; None when there are no records."""
        candidates = [self._lines[place] for place in self._candidates(asked)]
        return max(candidates, key=lambda line: _likeness(asked.fields, line.fields), default=None)

    def _candidates(self, asked: Asked) -> list[int]:
        known = {word for word in _words(asked.fields["body"]) if word in self._places}
        rare = sorted(known, key=lambda word: (len(self._places[word]), word))[:RARE_WORDS]
        shared = collections.Counter(place for word in rare for place in self._places[word])
        found = sorted(shared, key=lambda place: (-shared[place], place))[:CANDIDATES]
        return found or list(range(min(CANDIDATES, len(self._lines))))


def explain_miss(
    asked: Asked, nearest: Line | None, names: Sequence[str], *, has_notebook: bool = True
) -> str:
    """The message of a replay miss: the differences, and how to record the request.

    Args:
        asked: The request.
        nearest: The most similar record, or None.
        names: Names of the files searched.
        has_notebook: Whether the notebook's name is known.
    """
    record = "record it with %ai replay record, or with AINB_REPLAY=record"
    if not names and not has_notebook:
        return (
            "this notebook's name is not known here, so its cassette cannot be found and this folder holds "
            "none; set AINB_NOTEBOOK to the notebook's path (papermill and others run it from another folder)"
        )
    if not names:
        return f"there is no cassette beside the notebook; {record}"
    shown = ", ".join(names[:SHOWN_NAMES])
    if len(names) > SHOWN_NAMES:
        shown += f" and {len(names) - SHOWN_NAMES} more"
    if nearest is None:
        return f"{shown} holds no record yet; {record}"
    found = list(_differences(asked, nearest.fields))
    more = f" and {len(found) - SHOWN_DIFFERENCES} more" if len(found) > SHOWN_DIFFERENCES else ""
    return (
        f"no record of this request in {shown}; against the nearest one the difference is "
        f"{'; '.join(found[:SHOWN_DIFFERENCES])}{more}; {record}"
    )


def _differences(asked: Asked, recorded: Mapping[str, Any]) -> Iterator[str]:
    """Short texts of the differences: model, parameters, schema, first differing line of the prompt."""
    ours = asked.fields
    if ours["model"] != recorded["model"]:
        yield f"the model {_shown(ours['model'])} (recorded {_shown(recorded['model'])})"
    elif not asked.fits(recorded):
        yield f"the weights {asked.weights} (recorded {recorded['weights']})"
    yield from _parameters(ours, recorded)
    yield from _prompts(ours["body"], recorded["body"])


def _parameters(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[str]:
    schema = ours.get("schema") != theirs.get("schema")
    if schema:
        yield f"the schema {_shown(ours.get('schema'))} (recorded {_shown(theirs.get('schema'))})"
    if ours.get("replica") != theirs.get("replica"):
        yield f"replica {_shown(ours.get('replica'))} (recorded {_shown(theirs.get('replica'))})"
    left, right = ours["body"], theirs["body"]
    for name in sorted(left.keys() | right.keys()):
        if name in _PROMPTS or (schema and name == "response_format"):
            continue
        mine, other = left.get(name), right.get(name)
        if isinstance(mine, str) and isinstance(other, str) and mine != other:
            yield _line_difference(name, mine, other)
        elif not _same(mine, other):
            yield f"{name} {_shown(mine)} (recorded {_shown(other)})"


def _prompts(left: Mapping[str, Any], right: Mapping[str, Any]) -> Iterator[str]:
    ours, theirs = _messages(left), _messages(right)
    if len(ours) != len(theirs):
        yield f"a prompt of {len(ours)} messages (recorded {len(theirs)})"
        return
    for place, ((role, text), (their_role, their_text)) in enumerate(zip(ours, theirs, strict=True), 1):
        where = "the prompt" if len(ours) == 1 else f"message {place} ({role})"
        if role != their_role:
            yield f"{where} (recorded as {their_role})"
        if text != their_text:
            yield _line_difference(where, text, their_text)
            return


def _line_difference(where: str, ours: str, theirs: str) -> str:
    left, right = ours.split("\n"), theirs.split("\n")
    number = _first_difference(left, right)
    if number == min(len(left), len(right)):
        line = (left if len(left) > number else right)[number]
        verb = "not recorded" if len(left) > number else "recorded, not asked"
        return f"line {number + 1} of {where}: {_excerpt(line, 0)} ({verb})"
    mine, other = left[number], right[number]
    at = _first_difference(mine, other)
    return f"line {number + 1} of {where}: {_excerpt(mine, at)} (recorded {_excerpt(other, at)})"


def _first_difference(left: Sequence[str], right: Sequence[str]) -> int:
    """Index of the first item that differs; the shorter length where one is the beginning of the other."""
    pairs = enumerate(zip(left, right, strict=False))
    return next((place for place, (mine, other) in pairs if mine != other), min(len(left), len(right)))


def _excerpt(line: str, at: int) -> str:
    """The line in quotes; of a long one the part around the difference."""
    if len(line) <= SHOWN_CHARACTERS:
        return repr(line)
    start = max(0, min(at - SHOWN_BEFORE, len(line) - SHOWN_CHARACTERS))
    end = start + SHOWN_CHARACTERS
    before, after = "…" if start else "", "…" if end < len(line) else ""
    return repr(f"{before}{line[start:end]}{after}")


def _shown(value: Any) -> str:
    if value is None:
        return "not given"
    text = value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    return text if len(text) <= SHOWN_VALUE else f"{text[: SHOWN_VALUE - 1]}…"


def _same(left: Any, right: Any) -> bool:
    """Whether two values are the same JSON; 1, 1.0 and true differ."""
    return orjson.dumps(left, option=orjson.OPT_SORT_KEYS) == orjson.dumps(right, option=orjson.OPT_SORT_KEYS)


def _messages(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Role and text of each message of a body of any protocol."""
    for name in _PROMPTS:
        items = body.get(name)
        if isinstance(items, list):
            return [_message(item) for item in items]
    return []


def _message(item: Any) -> tuple[str, str]:
    if not isinstance(item, dict):
        return "user", item if isinstance(item, str) else orjson.dumps(item).decode()
    content = item.get("content")
    return str(item.get("role")), content if isinstance(content, str) else orjson.dumps(content).decode()


def _words(body: Mapping[str, Any]) -> list[str]:
    return [word for _, text in _messages(body) for word in _WORD.findall(text.lower())]


def _likeness(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> float:
    left, right = _words(ours["body"])[:COMPARED_WORDS], _words(theirs["body"])[:COMPARED_WORDS]
    prompt: float = difflib.SequenceMatcher(None, left, right, autojunk=False).ratio()
    same_model = bool(ours["model"] == theirs["model"])
    return prompt + SAME_MODEL * same_model + SAME_PARAMETERS * (not any(_parameters(ours, theirs)))
