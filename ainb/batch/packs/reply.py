"""Parses a pack's answer: assigns entries to rows, also if some are missing, duplicate or incomplete."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

from ainb.batch.packs.schema import ID, ROWS, PackSchema, read_rows
from ainb.messages import Reply
from ainb.pipeline.answer import find_value, visible

_DECODER = json.JSONDecoder()


def read_answers(schema: PackSchema, reply: Reply, ids: Collection[str]) -> dict[str, str]:
    """The answers of rows by id, each as JSON of the user's schema.

    Unknown ids are left out, and so are rows with two answers, because the right one is unknown. Of an
    incomplete reply the complete entries count.
    """
    try:
        cut = reply.finish_reason == "length"
        entries = read_rows(reply.code) if cut else find_value(schema.schema, reply.text)
    except ValueError:
        entries = list(_whole_entries(visible(reply.text)))
    named = [(name, entry) for entry in entries if (name := _id_of(entry)) is not None and name in ids]
    times = Counter(name for name, _ in named)
    found = {}
    for name, entry in named:
        if times[name] == 1 and (text := _answer_text(schema, entry)) is not None:
            found[name] = text
    return found


def _id_of(entry: Any) -> str | None:
    name = entry.get(ID) if isinstance(entry, dict) else None
    if isinstance(name, bool) or not isinstance(name, str | int):
        return None
    return str(name).strip().removeprefix("[").removesuffix("]")


def _answer_text(schema: PackSchema, entry: dict[str, Any]) -> str | None:
    try:
        return json.dumps(schema.answer_of(entry), ensure_ascii=False)
    except (KeyError, ValueError, RecursionError):
        return None


def _whole_entries(text: str) -> Iterator[Any]:
    """Entries of each list of rows, up to the first incomplete entry."""
    for piece in text.split(f'"{ROWS}"')[1:] or [text]:
        yield from _leading_entries(piece)


def _leading_entries(text: str) -> Iterator[Any]:
    at = text.find("[")
    while at >= 0:
        start = text.find("{", at)
        if start < 0 or text[at + 1 : start].strip(" \t\r\n,"):
            return
        try:
            entry, end = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            return
        yield entry
        at = end - 1
