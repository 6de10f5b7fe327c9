"""Tests of Tab completion in lines of the magics."""

from __future__ import annotations

import pytest
from IPython.core.completer import provisionalcompleter


@pytest.fixture
def complete(terminal, monkeypatch):
    monkeypatch.setenv("GROQ_API_KEY", "gsk-of-a-test-0123456789")
    terminal.run("%config Ainb.aliases = {'fast': 'scripted:echo'}")
    terminal.run(
        "from pydantic import BaseModel\nclass Label(BaseModel):\n    mood: str\nlabels = {'good': 1}\n"
        "import pandas\nreviews = pandas.DataFrame({'text': ['a'], 'rating': [1]})\nred = 'b'"
    )

    def complete(text):
        completer = terminal.shell.Completer
        completer.use_jedi = False
        with provisionalcompleter():
            return [text[: item.start] + item.text for item in completer.completions(text, len(text))]

    return complete


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("%%ai --fo", "%%ai --format"),
        ("%%ai scripted:echo --in", "%%ai scripted:echo --into"),
        ("%%ai -f co", "%%ai -f code"),
        ("%%ai fa", "%%ai fast"),
        ("%%ai openr", "%%ai openrouter:"),
        ("%%ainb --sys", "%%ainb --system"),
        ("%ai ver", "%ai version"),
        ("%ai dealias f", "%ai dealias fast"),
        ("%ai list oll", "%ai list ollama"),
        ("%ai help form", "%ai help format"),
        ("%ai alias quick fa", "%ai alias quick fast"),
        ("%%ai --dry", "%%ai --dry-run"),
        ("%%ai --schema La", "%%ai --schema Label"),
        ("%ai cost note", "%ai cost notebook"),
        ("%ai errors day error_t", "%ai errors day error_type"),
        ("%ai cost --si", "%ai cost --since"),
        ("%ai cache cl", "%ai cache clear"),
        ("%ai cache prune --o", "%ai cache prune --older"),
        ("%ai budget re", "%ai budget reset"),
        ("%ai help bud", "%ai help budget"),
        ("%ai help chat_t", "%ai help chat_tokens"),
        ("%%ai --format=co", "%%ai --format=code"),
        ("%%ai --schema=La", "%%ai --schema=Label"),
        ("%%ai --api-key-name GRO", "%%ai --api-key-name GROQ_API_KEY"),
        ("%%ai --each reviews --keep ra", "%%ai --each reviews --keep rating"),
        ("%ai replay rec", "%ai replay record"),
        ("%ai login groq", "%ai login groq"),
        ("%ai logout anth", "%ai logout anthropic"),
        ("%ai panel co", "%ai panel cost"),
        ("%ai pull smol", "%ai pull smollm2"),
        ("%ai error fa", "%ai error fast"),
        ("%ai fix scripted:echo --max-t", "%ai fix scripted:echo --max-tokens"),
    ],
)
def test_tab_completes_lines_of_the_magics(complete, typed, offered):
    assert complete(typed) == [offered]


def test_tab_offers_no_python_beside_its_own(complete):
    assert complete("%%ai op") == ["%%ai openai:", "%%ai openrouter:"]


def test_tab_leaves_the_prompt_alone(complete):
    text = "%%ai scripted:echo\n--fo"

    assert "--format" not in "".join(complete(text))


def test_tab_leaves_python_alone(complete):
    assert "print" in "".join(complete("pri"))


def test_tab_completes_models_on_this_machine(complete, monkeypatch):
    monkeypatch.setattr("ainb.providers.local.pulled", lambda: ["smollm2"])

    assert complete("%%ai local:s") == ["%%ai local:smollm2"]
