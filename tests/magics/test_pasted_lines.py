"""Tests of pasted lines, expressions after ``--each``, and notices about template fields."""

from __future__ import annotations

import json
import logging

import pandas as pd
import pytest
from IPython.core.completer import CompletionContext

import ainb
from ainb import session as sessions
from ainb.pipeline.replay.cassettes import Library
from ainb.pipeline.replay.request import read_request
from ainb.providers.services import base_url_of


@pytest.fixture
def run(terminal):
    terminal.shell.run_line_magic("config", "Ainb.model = 'scripted:echo'")
    terminal.shell.push(
        {
            "reviews": pd.DataFrame(
                {
                    "text": [f"t{number}" for number in range(60)],
                    "stars": [number % 5 for number in range(60)],
                }
            ),
            "name": "Ann",
            "i": 2,
        }
    )
    return terminal.run


def text(cell):
    assert cell.error is None, cell.error
    return cell.result.text


@pytest.mark.parametrize(
    ("cell", "sent"),
    [
        ("%%ai scripted:echo What's 1 + 1? # say\n ", "What's 1 + 1? # say"),
        ("%%ai scripted:echo Summarise:\nthe text", "Summarise:\nthe text"),
        ('%ai scripted:echo What is "it"?', 'What is "it"?'),
        ("%ai scripted/echo hello {name}", "hello Ann"),
        ("%ainb scripted:echo hello", "hello"),
        ("%ai scripted:echo What is a monad?", "What is a monad?"),
        ("x = 1\n%ai scripted:echo Is 'x' \\n one??\n", "Is 'x' \\n one??"),
        ("%%ai scripted:echo -f text\nhello", "hello"),
        ("#| label: x\n#| echo: false\n%%ai scripted:echo\nhello", "hello"),
        ("%%ai scripted:echo\n#| label: x\n#| echo: false\nhello\n#| stays", "hello\n#| stays"),
        ("%%ai scripted:echo -r\nhello", "hello"),
        ("%%ai scripted:echo -r --chat x\nhello", "hello"),
    ],
)
def test_a_pasted_line_asks_what_it_says(run, cell, sent):
    assert text(run(cell)) == sent


def test_aliases_take_a_question_on_the_line_too(run):
    run("%ai alias me scripted:echo")

    assert text(run("%ai me what?")) == "what?"
    assert text(run("%%ai me what?\nx")) == "what?\nx"


@pytest.mark.parametrize("cell", ["#| label: x\nprint(1 + 1)", "#| a\n# b\nprint(2)", "#| only"])
def test_other_cells_with_options_of_quarto_stay_as_they_are(run, cell):
    done = run(cell)

    assert done.error is None
    assert done.out.strip() in {"2", ""}


@pytest.mark.parametrize("cell", ["%%ai error scripted:echo\n ", "%%ai error\n ", "%ai error scripted:echo"])
def test_a_subcommand_typed_as_a_cell_runs(run, cell):
    run("1 / 0")

    done = run(cell)

    assert done.error is None
    assert "ZeroDivisionError" in sessions.current().usage()["request_model"].to_string() + str(
        done.result or done.out
    )


def test_a_model_without_a_question_says_both_ways_and_neither_leads_back(run):
    done = run("%ai scripted:echo")

    assert "%ai scripted:echo What is …?" in str(done.error)
    assert "%%ai scripted:echo above a prompt" in str(done.error)
    assert "has no subcommand 'sttus'" in str(run("%ai sttus").error)


@pytest.mark.parametrize(
    ("expression", "rows"),
    [
        ("reviews", 60),
        ("reviews.head(5)", 5),
        ("'reviews[reviews.stars < 3]'", 36),
        ("\"reviews[reviews['stars'] == 0]\"", 12),
        ("reviews[reviews.stars<1]", 12),
        ("[{'text':'x'},{'text':'y'}]", 2),
        ("reviews.query('stars==1')", 12),
        ("(dict(text=n)for(n)in'ab')", 2),
    ],
)
def test_each_takes_an_expression(run, expression, rows):
    done = run(f"%%ai --each {expression}\n{{text}}")

    assert done.error is None
    assert len(done.result) == rows
    assert set(done.result["status"]) == {"ok"}


def test_an_expression_is_evaluated_once_and_its_errors_are_its_own(run, terminal):
    terminal.shell.push({"calls": []})
    run("def rows():\n    calls.append(1)\n    return reviews.head(2)")

    assert len(run("%%ai --each rows()\n{text}").result) == 2
    assert terminal.shell.user_ns["calls"] == [1]
    assert isinstance(run("%%ai --each nothing.head()\n{text}").error, NameError)
    assert isinstance(run("%%ai --each 'reviews[\"nope\"]'\n{text}").error, KeyError)
    assert "put quotes around" in str(run("%%ai --each reviews[ reviews.stars<1]\n{text}").error)
    assert "there is no such name" in str(run("%%ai --each revews\n{text}").error)


def test_each_takes_the_path_of_a_file(run, tmp_path):
    (tmp_path / "in.csv").write_text("id,text\n007,x\n")

    assert list(run("%%ai --each in.csv\n{id} {text}").result["reply"]) == ["007 x"]


def test_parameters_of_m_that_no_protocol_knows_go_into_the_body_and_not_to_the_batch(run):
    done = run('%%ai --each reviews.head(1) -m {"limit": 0, "anything": 1, "top_p": 0.5}\n{text}')

    assert list(done.result["reply"]) == ["t0"]


def test_keeping_two_hundred_columns_prints_no_warning(run, terminal):
    terminal.shell.push(
        {"wide": pd.DataFrame([range(250)] * 2, columns=[f"c {number}" for number in range(250)])}
    )

    done = run("%%ai --each wide --keep *\n{c 7}")

    assert list(done.result["reply"]) == ["7", "7"]
    assert "Warning" not in done.err + done.out


def test_what_stays_as_typed_in_a_batch_is_said(run):
    done = run("%%ai --each reviews.head(1)\n{text} {Some Thing} $x_{i}$")

    assert done.err.count("sent as typed, not filled from a column: {Some Thing}, {i}") == 1


def complete(shell, cell):
    lines = cell.split("\n")
    context = CompletionContext(
        token="", full_text=cell, cursor_position=len(lines[-1]), cursor_line=len(lines) - 1, limit=None
    )
    matcher = next(
        item
        for item in shell.Completer.custom_matchers
        if getattr(item, "matcher_identifier", "") == "ainb.matcher"
    )
    return [item.text for item in matcher(context)["completions"]]


def test_tab_behind_a_brace_offers_columns_and_names(run, terminal):
    terminal.shell.push(
        {"df": pd.DataFrame([[1, 2, 3]], columns=["Review Text", 2023, "stars"]), "json": json}
    )

    assert complete(terminal.shell, "%%ai --each df\nSay {")[:3] == ["Review Text", "2023", "stars"]
    assert complete(terminal.shell, "%%ai --each 'df[df.stars > 1]'\nSay {Rev") == ["Review Text"]
    assert complete(terminal.shell, "%%ai --each df\nSay {Review T") == ["Review Text"]
    assert "name" in complete(terminal.shell, "%%ai\nfirst\nSay {na")
    assert "json" not in complete(terminal.shell, "%%ai\nSay {")
    assert complete(terminal.shell, "%%ai --each df\nSay {stars} an") == []
    assert complete(terminal.shell, "x = 1\nf'{na") == []


def test_the_dry_run_and_the_reply_list_what_was_filled_and_what_stayed(run):
    done = run("%%ai --dry-run\n{name} $x_{i}$")
    reply = run("%%ai\n{name} $x_{i}$").result

    assert "Filled: {name}." in done.out
    assert "Sent as typed: {i}." in done.out
    assert (reply.filled, reply.as_typed) == (("name",), ("i",))


def test_a_wide_table_says_what_it_costs_and_how_to_send_less(run, terminal):
    terminal.shell.push({"wide": pd.DataFrame([range(1_700)] * 20), "small": pd.DataFrame([range(3)])})

    assert "the table {wide} takes about" in run("%%ai\n{wide}").err
    assert "part = wide.iloc[:5, :20]" in run("%%ai\n{wide}").err
    assert "the table" not in run("%%ai\n{small}").err


def test_the_root_loggers_level_prints_nothing_and_the_loggers_own_does(run):
    logger, root = logging.getLogger("ainb"), logging.getLogger()
    before = logger.handlers[:], root.handlers[:]
    run("import logging; logging.basicConfig(level=logging.INFO, force=True)")
    try:
        quiet = run("%%ai\nhello")
        sessions.current().core.log.flush()
        assert '"status"' not in quiet.err
        logger.setLevel(logging.INFO)
        seen = []
        handler = logging.Handler()
        handler.emit = lambda record: seen.append(json.loads(record.getMessage()))
        logger.addHandler(handler)
        run("%%ai\nhello again")
        sessions.current().core.log.flush()
        assert [line["status"] for line in seen] == ["ok"]
    finally:
        logger.setLevel(logging.NOTSET)
        logger.handlers[:], root.handlers[:] = before


@pytest.mark.parametrize("options", [{"display": "static"}, {"replay": "replay"}])
def test_the_logger_is_silent_where_outputs_are_compared(tmp_path, monkeypatch, options, caplog):
    for name, value in options.items():
        monkeypatch.setenv(f"AINB_{name.upper()}", value)
    with (
        caplog.at_level(logging.INFO, logger="ainb"),
        ainb.Session("scripted:echo", home=tmp_path) as session,
    ):
        session.ask("hello")
        session.core.log.flush()
        own = session.usage()["session_id"].iloc[-1]

    # The log of an earlier test may still be writing.
    assert [record.getMessage() for record in caplog.records if own in record.getMessage()] == []


def test_a_reply_has_a_markdown_method_that_ipython_does_not_use(run, terminal):
    reply = run("%%ai\n<script>1</script>").result

    assert reply._repr_markdown_() == "<script>1</script>"
    assert "text/markdown" not in terminal.shell.display_formatter.format(reply)[0]


@pytest.mark.parametrize(
    ("variable", "value", "service", "url"),
    [
        ("OPENAI_API_BASE", "http://127.0.0.1:9/v1", "OPENAI_BASE_URL", "http://127.0.0.1:9/v1"),
        ("OLLAMA_HOST", "127.0.0.1:9999", "OLLAMA_BASE_URL", "http://127.0.0.1:9999/v1"),
        ("OLLAMA_HOST", "0.0.0.0", "OLLAMA_BASE_URL", "http://127.0.0.1:11434/v1"),
        ("OLLAMA_HOST", ":5000", "OLLAMA_BASE_URL", "http://127.0.0.1:5000/v1"),
        ("OLLAMA_HOST", "https://box.lan", "OLLAMA_BASE_URL", "https://box.lan:443/v1"),
        ("OLLAMA_HOST", "http://box:80/", "OLLAMA_BASE_URL", "http://box:80/v1"),
        ("OLLAMA_HOST", "[::1]:1234", "OLLAMA_BASE_URL", "http://[::1]:1234/v1"),
        ("OLLAMA_HOST", "", "OLLAMA_BASE_URL", None),
        ("OTHER", "x", "OPENAI_BASE_URL", None),
    ],
)
def test_base_urls_in_the_variables_of_other_tools_are_read(monkeypatch, variable, value, service, url):
    for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE", "OLLAMA_HOST", "OLLAMA_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, value)

    assert base_url_of(service) == url
    monkeypatch.setenv(service, "http://own/v1")
    assert base_url_of(service) == "http://own/v1"


def test_a_replay_that_does_not_know_the_notebook_names_the_variable(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with ainb.Session("scripted:echo", home=tmp_path / "home") as session:
        asked = read_request(session.make_call("hello"))

    assert "set AINB_NOTEBOOK to the notebook's path" in Library(
        lambda: None, may_use=lambda _path: True
    ).explain(asked)
    assert "there is no cassette beside the notebook" in Library(
        lambda: tmp_path / "n.ipynb", may_use=lambda _path: True
    ).explain(asked)
