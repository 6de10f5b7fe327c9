"""Tests of loading jsonschema: without compiling grammars, and with every format checked as before.

They run in processes without the startup module of the tests, which hides the grammars.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
GRAMMARS = "rfc3987_syntax"
CHECK = """
from jsonschema import Draft202012Validator as D
def valid(form, text):
    return D({"format": form}, format_checker=D.FORMAT_CHECKER).is_valid(text)
"""
VALUES = {
    "iri": ["http://example.org/ä", "not an iri", "", "mailto:a@b.c"],
    "iri-reference": ["/ä?q=ö", "#frag", "a b", "\\x00"],
    "uri": ["http://example.org/", "no uri"],
    "date-time": ["2026-11-28T06:00:00Z", "yesterday"],
}
ASKED = "print([valid(form, text) for form, texts in VALUES.items() for text in texts])"
LOAD = "from ainb.pipeline.answer.schema import read_schema\nread_schema('label: a|b')\n"


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\nVALUES = {VALUES!r}\n{code}"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize(
    "schema", ["'label: a|b'", "{'type': 'object', 'properties': {'n': {'type': 'integer'}}}"]
)
def test_a_schema_does_not_load_the_grammars(schema):
    code = f"from ainb.pipeline.answer.schema import read_schema\nread_schema({schema})\n"

    assert run(f"{code}print('jsonschema' in sys.modules, {GRAMMARS!r} in sys.modules)") == "True False\n"


@pytest.mark.parametrize("before", ["", "import jsonschema\n", f"import {GRAMMARS}\n"])
def test_every_format_is_checked_as_without_ainb(before):
    assert run(before + LOAD + CHECK + ASKED) == run(CHECK + ASKED)


def test_the_user_can_import_the_grammars_afterwards():
    assert run(
        f"{LOAD}import {GRAMMARS} as g\nprint(g.__file__ is not None, g.is_valid_syntax('iri', 'http://a/'))"
    ) == ("True True\n")


def test_without_the_grammars_jsonschema_has_no_checker_for_them():
    hide = f"sys.modules[{GRAMMARS!r}] = None\n"

    assert run(hide + LOAD + CHECK + ASKED) == run(hide + CHECK + ASKED)
