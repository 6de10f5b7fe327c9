"""Run the code of the documentation's pages, in the order of each page, against servers on loopback.

    python -m tests.docs.examples docs/how-to/keys.md ...       # writes the outputs into the pages

Blocks of ``ipython`` and ``python`` are cells of one IPython shell per page; blocks with the title "Before"
(code of other libraries) are only compiled. A ``text`` block with the title "Output" after a cell is the
cell's output. A cell may raise an error that its "Output" block shows. Local servers with the OpenAI and
Anthropic protocols answer, with a value of the request's schema.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ainb import keys
from ainb import session as sessions
from tests.jobs.batch_server import BatchServer, Behaviour
from tests.shells import fresh_shell

FENCE = re.compile(r'^```(\w+)(?: +title="([^"]*)")?[^\n]*\n(.*?)^```[ \t]*$', re.DOTALL | re.MULTILINE)
RUN = frozenset({"ipython", "python"})
OUTPUT, BEFORE = "Output", "Before"
PROMPT = re.compile(r"^Out\[\d+\]: ?\n?", re.MULTILINE)
BAD_WORDS = re.compile(r"died|never|broke|late|empty|stick", re.IGNORECASE)
PACKED = re.compile(r"^\[([^\]\s]+)\] (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        language: The language after the fence.
        title: The title, or "".
        text: The content.
        span: Start and end of `text` in the page.
    """

    language: str
    title: str
    text: str
    span: tuple[int, int]

    @property
    def is_cell(self):
        return self.language in RUN and self.title != BEFORE


def blocks(page: str) -> list[Block]:
    return [Block(m[1], m[2] or "", m[3], m.span(3)) for m in FENCE.finditer(page)]


def play(page: str) -> str:
    """Run the cells of a page; returns the page with the present outputs."""
    found = blocks(page)
    pieces, done = [], 0
    with shell() as run:
        for block, behind in zip(found, [*found[1:], None][: len(found)], strict=True):
            if block.language == "python" and block.title == BEFORE:
                ast.parse(block.text)
            if not block.is_cell:
                continue
            expected = behind if behind is not None and behind.title == OUTPUT else None
            said, error = run(block.text)
            if error is not None and (expected is None or type(error).__name__ not in expected.text):
                raise AssertionError(f"this cell raised {error!r}:\n{block.text}")
            if expected is not None:
                pieces += [page[done : expected.span[0]], said.rstrip() + "\n"]
                done = expected.span[1]
    return "".join(pieces) + page[done:]


@contextlib.contextmanager
def shell() -> Iterator:
    """A function that runs a cell in a shell with ainb, and returns the output and the error or None."""
    kept = dict(os.environ)
    with BatchServer([Behaviour()], answer=answer) as server, fresh_shell() as made:
        os.environ |= {
            "OPENAI_API_KEY": "made-up-key-of-the-documentation",
            "ANTHROPIC_API_KEY": "another-made-up-key-of-the-documentation",
            "OPENAI_BASE_URL": server.base_url,
            "ANTHROPIC_BASE_URL": server.anthropic_url,
            "AINB_DISPLAY": "static",
            "AINB_BATCH_POLL_SECONDS": "0.05",
        }

        def run(cell: str) -> tuple[str, BaseException | None]:
            out = io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
                ended = made.run_cell(cell, store_history=True)
            return PROMPT.sub("", out.getvalue()), ended.error_in_exec or ended.error_before_exec

        made.run_line_magic("load_ext", "ainb")
        sessions.use(None)
        try:
            yield run
        finally:
            sessions.current().close()
            sessions.use(None)
            keys.use_env_file(None)
            os.environ.clear()
            os.environ |= kept


def answer(body: dict) -> str:
    """The reply of a model: a value of the request's schema, or one sentence without a schema."""
    asked = str(body["messages"][-1]["content"])
    schema = schema_of(body)
    if schema is None:
        return "The reviews praise the screen and complain about the battery."
    if "rows" in schema.get("properties", {}):
        row = schema["properties"]["rows"]["items"]
        packed = [{**value_of(row, text), "id": name} for name, text in PACKED.findall(asked)]
        return json.dumps({"rows": packed})
    return json.dumps(value_of(schema, asked.rpartition("\n")[2]))


def schema_of(body: dict) -> dict | None:
    """The JSON schema of a request in either protocol."""
    form = body.get("response_format", {}).get("json_schema", {}).get("schema")
    return form or body.get("output_config", {}).get("format", {}).get("schema")


def value_of(schema: dict, text: str):
    """A value of a schema for a text: negative words give negative labels and low scores."""
    bad = bool(BAD_WORDS.search(text))
    if "enum" in schema:
        return schema["enum"][-1 if bad else 0]
    if "anyOf" in schema:
        return value_of(schema["anyOf"][0], text)
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {name: value_of(inner, text) for name, inner in schema.get("properties", {}).items()}
    if kind == "array":
        return [value_of(schema["items"], text)]
    return {"integer": 2 if bad else 5, "number": 0.5, "boolean": bad}.get(kind, "quality")


def main() -> None:
    for name in sys.argv[1:]:
        path = Path(name).absolute()
        page = path.read_text(encoding="utf-8")
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            os.environ |= {"AINB_HOME": folder + "/home", "AINB_MODEL_DIR": folder + "/models"}
            played = play(page)
        path.write_text(played, encoding="utf-8")
        print(name, "unchanged" if played == page else "changed")


if __name__ == "__main__":
    main()
