"""Parser of the lines of ``%%ai`` and ``%ai``; the options are rows of `ainb.magics.parsing.flags`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ainb.errors import ConfigError
from ainb.magics.parsing.flags import Flag
from ainb.magics.parsing.line_words import Word, split_words
from ainb.magics.parsing.readers import UnsafeValueError
from ainb.suggestions import closest

_NUMBER = re.compile(r"-\.?\d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """A parsed line.

    Attributes:
        words: Words that are not options, in order.
        call: Keywords for `Session.make_call`.
        body: Parameters that are added to the request unchanged.
        cell: Options of the magic itself.
    """

    words: Sequence[str] = ()
    call: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    cell: Mapping[str, Any] = field(default_factory=dict)


def parse(line: str, flags: Sequence[Flag], magic: str) -> Arguments:
    """Parse a line; options and words may come in any order.

    Args:
        line: Text after the magic's name.
        flags: The options.
        magic: As typed, for messages, such as "%%ai".

    Raises:
        ConfigError: An option is unknown, misses its value, or takes another kind of value.
    """
    known = {spelling: flag for flag in flags for spelling in flag.spellings}
    places: dict[str, dict[str, Any]] = {"call": {}, "body": {}, "cell": {}}
    words: list[str] = []
    rest = split_words(line)
    while rest:
        word = rest.pop(0)
        if word.text == "#" and not word.quoted:  # a comment, as after a line of code
            break
        if not _is_flag(word):
            words.append(word.text)
            continue
        spelling, given, value = word.text.partition("=")
        flag = known.get(spelling)
        if flag is None:
            raise ConfigError(f"{magic} has no option {spelling}; {closest(spelling, known)}")
        read = _read(flag, spelling, value if given else None, rest)
        _keep(places[flag.goes_to], flag, read)
    return Arguments(words=words, **places)


def one_word(words: Sequence[str], magic: str) -> str | None:
    """The only word of a line, or None.

    Raises:
        ConfigError: There are several.
    """
    if len(words) > 1:
        raise ConfigError(
            f"{magic} takes one MODEL; {words[1]!r} is a second word; put quotes around a value with spaces"
        )
    return words[0] if words else None


def _is_flag(word: Word) -> bool:
    return (
        not word.quoted and len(word.text) > 1 and word.text.startswith("-") and not _NUMBER.match(word.text)
    )


def _keep(place: dict[str, Any], flag: Flag, value: Any) -> None:
    if flag.goes_to == "body":
        place.update(value)
    elif not flag.repeats:
        place[flag.keyword] = value
    elif isinstance(value, dict):
        place[flag.keyword] = {**place.get(flag.keyword, {}), **value}
    else:
        place[flag.keyword] = (*place.get(flag.keyword, ()), value)


def _read(flag: Flag, spelling: str, value: str | None, rest: list[Word]) -> Any:
    if flag.metavar is None:
        if value is not None:
            raise ConfigError(f"{spelling} takes no value; it is given {value!r}")
        return flag.value
    if value is None:
        if not rest or _is_flag(rest[0]):
            raise ConfigError(f"{spelling} needs a value after it: {spelling} {flag.metavar}; {flag.help}")
        value = rest.pop(0).text
    try:
        return flag.read(value)
    except UnsafeValueError as error:
        raise ConfigError(f"{spelling} takes {error}") from None
    except ValueError as error:
        raise ConfigError(f"{spelling} takes {error}; it is {value!r}") from None
