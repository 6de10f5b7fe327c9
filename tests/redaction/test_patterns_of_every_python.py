"""Tests of the patterns for all supported versions of Python."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from re import _constants as constants
from re import _parser as parser

import pytest

from ainb.redaction.assignments import ASSIGNMENTS
from ainb.redaction.tokens import TOKENS

# Import all modules of the package and print the patterns that they compile.
COMPILED = """
import contextlib, importlib, json, pkgutil, re
found, compile_ = set(), re.compile
def seen(pattern, flags=0):
    if isinstance(pattern, (str, bytes)):
        found.add(pattern if isinstance(pattern, str) else pattern.decode("latin-1"))
    return compile_(pattern, flags)
re.compile = seen
import ainb
for info in pkgutil.walk_packages(ainb.__path__, "ainb.", onerror=lambda name: None):
    with contextlib.suppress(ImportError):
        importlib.import_module(info.name)
print(json.dumps(sorted(found)))
"""


def groups_repeated_possessively(items: object) -> Iterator[object]:
    """Possessive repeats of more than one character, anywhere in a parsed pattern."""
    if isinstance(items, tuple) and len(items) == 2 and items[0] is constants.POSSESSIVE_REPEAT:
        repeated = items[1][2]
        if len(repeated) != 1 or repeated[0][0] not in {
            constants.IN,
            constants.LITERAL,
            constants.NOT_LITERAL,
            constants.ANY,
        }:
            yield repeated
    if isinstance(items, list | tuple | parser.SubPattern):
        for item in items:
            yield from groups_repeated_possessively(item)


def test_no_pattern_repeats_a_group_possessively():
    """Python before 3.11.5 matches such a group wrongly (cpython issue 106052) and would miss secrets."""
    done = subprocess.run(
        [sys.executable, "-c", COMPILED], capture_output=True, text=True, timeout=120, check=True
    )
    known = {*json.loads(done.stdout), *(pattern for _, pattern, _ in (*ASSIGNMENTS, *TOKENS))}

    assert len(known) > 150
    assert {
        text: hits for text in known if (hits := [*groups_repeated_possessively(parser.parse(text))])
    } == {}


@pytest.mark.parametrize("pattern", ["(?:ab)*+", "(?:a|bc){2,3}+", "(?:[a-z]b?)++", "x(?=(?:ab)?+)"])
def test_the_search_finds_such_groups(pattern):
    assert [*groups_repeated_possessively(parser.parse(pattern))]


@pytest.mark.parametrize("pattern", ["[ab]*+", "a++", ".?+", "(?>(?:ab)*)", r"\s{2,}+"])
def test_the_search_leaves_single_characters_and_atomic_groups(pattern):
    assert not [*groups_repeated_possessively(parser.parse(pattern))]
