"""Tests of ``%ai replay``: modes, names, status and pruning."""

from __future__ import annotations

import pytest

from ainb import session as sessions
from ainb.errors import ConfigError, ReplayMissError
from ainb.stores.cassette.file import _shared
from tests.fault_server import FaultServer


@pytest.fixture(autouse=True)
def a_notebook(tmp_path, monkeypatch):
    (tmp_path / "nb.ipynb").write_text("{}")
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "nb.ipynb"))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-proj-Ab3dE5gH7jK9mN1pQ3rS5tU7vW9xY1z")
    _shared.clear()


@pytest.fixture
def server(monkeypatch):
    with FaultServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        yield server


def restart():
    """Forget cassettes and the session, as after a restart of the kernel."""
    sessions.use(None)
    _shared.clear()


def ask(terminal, prompt, options=""):
    return terminal.run(f"%%ai openai:m {options}\n{prompt}")


def html_of(terminal, reply):
    """The HTML that a notebook shows."""
    terminal.shell.kernel = object()
    try:
        return terminal.shell.display_formatter.format(reply)[0]["text/html"]
    finally:
        del terminal.shell.kernel


def test_record_then_replay(terminal, server, tmp_path):
    assert terminal.run("%ai replay record").out == ""
    ask(terminal, "hello")
    assert (tmp_path / "nb.ainb.jsonl").exists()
    restart()

    terminal.run("%ai replay replay")
    again, missed = ask(terminal, "hello"), ask(terminal, "goodbye")

    assert server.hits == 1
    assert (again.result.text, again.result.replayed) == ("hello", True)
    assert isinstance(missed.error, ReplayMissError)
    assert "'goodbye' (recorded 'hello')" in str(missed.error)


def test_a_name_is_recorded_under_where_the_front_end_tells_none(terminal, server, tmp_path, monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME")
    terminal.run("%ai replay record")
    refused = ask(terminal, "hello")
    assert isinstance(refused.error, ConfigError)
    assert "%ai replay record NAME" in str(refused.error)

    terminal.run("%ai replay record mine")
    ask(terminal, "hello")

    assert (tmp_path / "mine.ainb.jsonl").exists()
    assert server.hits == 1


def test_vs_code_tells_the_notebook_in_a_variable(terminal, server, tmp_path, monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME")
    (tmp_path / "code.ipynb").write_text("{}")
    terminal.shell.user_ns["__vsc_ipynb_file__"] = str(tmp_path / "code.ipynb")

    terminal.run("%ai replay record")
    ask(terminal, "hello")

    assert (tmp_path / "code.ainb.jsonl").exists()
    own = (
        "import ainb, pathlib\n"
        f"home = pathlib.Path({str(tmp_path / 'own')!r})\n"
        "own = ainb.Session('openai:m', config=ainb.Config(replay='record', home=home))"
    )
    terminal.run(own)
    terminal.run("own.ask('of my own')")
    assert "of my own" in (tmp_path / "code.ainb.jsonl").read_text()


def test_config_chooses_too_and_status_tells_the_mode(terminal, server):
    terminal.run("%config Ainb.replay = 'auto'")
    ask(terminal, "hello")

    assert "replay is auto" in terminal.run("%ai replay").out
    assert "auto, nb.ainb.jsonl" in terminal.run("%ai").out
    terminal.run("%config Ainb.display = 'static'")
    assert "replay is" not in terminal.run("%ai replay status").out


def test_status_counts_what_the_kernel_has_not_used(terminal, server):
    assert "there is no cassette beside this notebook" in terminal.run("%ai replay status").out
    terminal.run("%ai replay record")
    for prompt in ("one", "two", "three"):
        ask(terminal, prompt)
    restart()
    terminal.run("%ai replay replay")
    ask(terminal, "two")

    words = terminal.run("%ai replay status").out.split()

    assert words[words.index("nb.ainb.jsonl") + 1 :][:2] == ["3", "2"]


def test_prune_drops_what_a_run_did_not_use_and_nothing_where_none_was(terminal, server, tmp_path):
    terminal.run("%ai replay record")
    for prompt in ("one", "two", "three"):
        ask(terminal, prompt)
    restart()
    terminal.run("%ai replay auto")
    refused = terminal.run("%ai replay prune")
    assert "no record of nb.ainb.jsonl has been used since the kernel started" in str(refused.error)
    ask(terminal, "two")
    ask(terminal, "four")

    said = terminal.run("%ai replay prune").out

    assert said == "2 records dropped from nb.ainb.jsonl, 2 kept\n"
    assert len((tmp_path / "nb.ainb.jsonl").read_bytes().splitlines()) == 2


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("reply", "%ai replay has no mode 'reply'; did you mean 'replay'?"),
        ("auto name", "%ai replay auto takes no name; only record takes one"),
        ("a b c", "3 words given"),
    ],
)
def test_an_invalid_line_gets_an_error_with_a_fix(terminal, line, said):
    assert said in str(terminal.run(f"%ai replay {line}").error)


def test_the_environment_of_a_ci_run_stands_against_a_cell(terminal, server, monkeypatch):
    monkeypatch.setenv("AINB_REPLAY", "replay")

    loud = terminal.run("%ai replay record")
    assert isinstance(ask(terminal, "hello").error, ReplayMissError)
    monkeypatch.setenv("AINB_DISPLAY", "static")
    sessions.use(None)
    silent = terminal.run("%ai replay record")

    assert server.hits == 0
    assert "AINB_REPLAY=replay in the environment takes precedence" in loud.err
    assert (silent.out, silent.err, silent.error) == ("", "", None)


def test_in_replay_nothing_is_downloaded(terminal):
    terminal.run("%ai replay replay")

    assert "nothing was downloaded" in terminal.run("%ai pull smollm2").out


def test_what_is_recorded_reads_as_its_replay_in_static_display(terminal, server, monkeypatch):
    def ask_and_show(mode):
        terminal.run(f"%ai replay {mode}")
        reply = ask(terminal, "hello").result
        return reply.replayed, html_of(terminal, reply)

    live = html_of(terminal, ask(terminal, "hello").result)
    recorded, first = ask_and_show("record")
    restart()
    terminal.run("%config Ainb.display = 'static'")
    replayed, second = ask_and_show("replay")

    assert (recorded, replayed) == (False, True)
    assert first == second
    assert first != live  # the live footer has seconds and cost


def test_status_of_a_notebook_that_was_not_saved_says_so(terminal, server, monkeypatch):
    terminal.run("%ai replay record")
    assert "the next answer begins it" in terminal.run("%ai replay").out
    monkeypatch.delenv("JPY_SESSION_NAME")
    assert "its name is not known here" in terminal.run("%ai replay").out
