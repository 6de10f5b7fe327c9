"""Tests of %%ai in a terminal shell: models, fields, output forms, errors."""

from __future__ import annotations

import sys

import pytest

from ainb import errors
from ainb import session as sessions
from ainb.messages import Reply
from ainb.testing import Step, script


def test_a_cell_asks_and_its_reply_is_shown_once_and_kept(terminal):
    cell = terminal.run("%%ai scripted:echo\nhello")

    assert cell.out.count("hello") == 1
    assert cell.err == ""
    shell = terminal.shell
    number = shell.execution_count - 1
    assert isinstance(cell.result, Reply)
    assert shell.user_ns["_"] is shell.user_ns["_ai"] is shell.user_ns["Out"][number] is cell.result


def test_into_binds_and_returns_nothing(terminal):
    cell = terminal.run("%%ai scripted:echo --into answer\nhello")

    assert (cell.result, cell.out) == (None, "")
    assert terminal.shell.user_ns["answer"].text == "hello"
    assert terminal.shell.user_ns["_ai"] is terminal.shell.user_ns["answer"]


def test_the_last_reply_is_always_at_hand(terminal):
    terminal.run("%%ai scripted:echo\nfirst")
    terminal.run("%%ai scripted:echo -o x\nsecond")

    assert terminal.shell.user_ns["_ai"].text == "second"


@pytest.mark.parametrize("line", ["scripted/echo", "scripted:echo -f text", "-f text scripted:echo"])
def test_models_are_written_with_a_colon_or_a_slash(terminal, line):
    assert terminal.run(f"%%ai {line}\nhi").result.text == "hi"


def test_names_are_filled_and_a_mistyped_one_is_said(terminal):
    terminal.run("name = 'Ann {secret}'; secret = 'hunter2'")

    cell = terminal.run("%%ai scripted:echo\nHi {name}, {nmae}")

    assert cell.result.text == "Hi Ann {secret}, {nmae}"
    assert (
        cell.err == "ainb: {nmae} is not a name in the notebook and is sent as typed; did you mean {name}?\n"
    )


def test_inputs_and_outputs_are_filled(terminal):
    terminal.run("20 + 22")
    number = terminal.shell.execution_count - 1

    cell = terminal.run(f"%%ai scripted:echo\n{{In[{number}]}} is {{Out[{number}]}}")

    assert cell.result.text == "20 + 22 is 42"


def test_names_that_belong_to_the_shell_are_not_filled(terminal):
    assert terminal.run("%%ai scripted:echo\n{exit} {get_ipython} {quit}").result.text == (
        "{exit} {get_ipython} {quit}"
    )


def test_the_line_is_not_expanded_and_the_prompt_is_not_read_as_python(terminal):
    cell = terminal.run("x = 1")

    cell = terminal.run("%%ai scripted:echo --system 'about $x {x}'\nit's a \"test;")

    assert cell.error is None
    assert cell.result.text == "it's a \"test;"
    assert "test;" in cell.out


@pytest.mark.parametrize(
    ("form", "asked"),
    [
        ("code", "Answer with code only"),
        ("json", "Answer with valid JSON only"),
        ("html", "Answer with HTML only"),
        ("math", "Answer with LaTeX mathematics only"),
    ],
)
def test_other_forms_add_a_sentence_that_asks_for_them(terminal, form, asked):
    reply = terminal.run(f"%%ai scripted:echo -f {form} -o r\nprompt").result or terminal.shell.user_ns["r"]

    assert reply.text.startswith(f"prompt\n\n{asked}")
    assert reply.form == form


@pytest.mark.parametrize("form", ["markdown", "text"])
def test_markdown_and_text_send_the_prompt_as_typed(terminal, form):
    assert terminal.run(f"%%ai scripted:echo -f {form}\n  prompt \n").result.text == "prompt"


def test_code_is_shown_and_offered_as_the_next_cell(terminal, monkeypatch):
    script("coder", ["Sure:\n```python\nprint(1)\n```"])
    offered = []
    monkeypatch.setattr(
        terminal.shell, "set_next_input", lambda text, replace: offered.append((text, replace))
    )

    cell = terminal.run("%%ai scripted:coder -f code\nprint one")

    assert offered == [("print(1)", False)]
    assert "print(1)" in cell.out
    assert "Sure" not in cell.out


def test_parameters_reach_the_request_and_a_named_option_wins(terminal, monkeypatch):
    session = sessions.current()
    seen = []
    handle = session.handle
    monkeypatch.setattr(session, "handle", lambda call: (seen.append(call), handle(call))[1])

    terminal.run(
        '%%ai scripted:echo -m {"top_p": 0.9, "temperature": 1, "user": "me"} --temperature 0 '
        "--timeout 5 --system S\nhi"
    )

    (call,) = seen
    assert call.request.parameters == {"top_p": 0.9, "temperature": 0.0, "user": "me"}
    assert call.options.timeout_seconds == 5
    assert [message.role for message in call.request.messages] == ["system", "user"]


@pytest.mark.parametrize("body", ["   ", "\n\n", "\t\n "])
@pytest.mark.parametrize("options", ["", "-f code"])
def test_a_body_of_white_space_is_refused(terminal, body, options):
    cell = terminal.run(f"%%ai scripted:echo {options}\n{body}")

    assert isinstance(cell.error, errors.InvalidPromptError)


def test_a_failed_cell_shows_one_line_and_tb_shows_all(terminal):
    script("down", [Step(status=503)])

    cell = terminal.run("%%ai scripted:down\nhi")

    assert isinstance(cell.error, errors.TransientProviderError)
    assert cell.out == "TransientProviderError: scripted answered 503\n"
    whole = terminal.run("%tb").out
    assert "Traceback (most recent call last)" in whole
    assert "scripted answered 503" in whole


def test_an_error_that_holds_escapes_does_not_reach_the_terminal(terminal):
    cell = terminal.run("%%ai scripted:\x1b[31mred\nhi")

    assert isinstance(cell.error, errors.ConfigError)
    assert "\x1b" not in cell.out


def test_a_cut_reply_is_said_where_no_footer_stands(terminal, monkeypatch):
    session = sessions.current()

    async def handle(call):
        return Reply(text="Once upon", finish_reason="length")

    monkeypatch.setattr(session, "handle", handle)

    assert terminal.run("%%ai scripted:echo\nhi").err == (
        "ainb: the reply was cut at max_tokens; raise --max-tokens for the rest\n"
    )


def test_notes_of_the_call_are_said(terminal, monkeypatch):
    session = sessions.current()

    async def handle(call):
        call.notes.append("an address was\nredacted")
        return Reply(text="ok")

    monkeypatch.setattr(session, "handle", handle)

    assert terminal.run("%%ai scripted:echo\nhi").err == "ainb: an address was redacted\n"


def test_a_terminal_shows_pieces_and_does_not_repeat_them(terminal, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    script("lines", ["one\ntwo\x1b[31m\nthree"])

    cell = terminal.run("%%ai scripted:lines\nhi")

    assert cell.out.startswith("one\ntwo\nthree\n")
    assert cell.out.count("two") == 1
    assert "lines · " in cell.out.split("three\n")[1]
    again = terminal.run("_ai")
    assert again.out.count("two") == 1


@pytest.mark.parametrize("setting", ["static", "off"])
def test_static_display_never_streams(terminal, monkeypatch, setting):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("AINB_DISPLAY", setting)
    sessions.use(None)

    cell = terminal.run("%%ai scripted:echo --stream\nhello")

    assert cell.out.count("hello") == 1
    assert "Out[" in cell.out.split("hello")[0]


def test_no_stream_disables_streaming(terminal, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)

    cell = terminal.run("%%ai scripted:echo --no-stream\nhello")

    assert "Out[" in cell.out.split("hello")[0]


def test_a_display_error_never_fails_the_call(terminal, monkeypatch):
    def broken(reply, look):
        raise RuntimeError("no paint")

    monkeypatch.setattr("ainb.magics.shell.reply_bundle", broken)

    cell = terminal.run("%%ai scripted:echo\nhello")

    assert cell.error is None
    assert "hello" in cell.out
    assert cell.err == "ainb: the reply is shown as plain text (RuntimeError: no paint)\n"


def test_a_reply_that_another_call_holds_too_is_not_changed(terminal, monkeypatch):
    shared = Reply(text="{}")
    session = sessions.current()

    async def handle(call):
        return shared

    monkeypatch.setattr(session, "handle", handle)

    assert terminal.run("%%ai scripted:echo -f json\nhi").result.form == "json"
    assert shared.form == "markdown"


def test_a_front_end_that_takes_no_cell_does_not_fail_the_call(terminal, monkeypatch):
    def refuse(text, replace):
        raise RuntimeError("no cells here")

    monkeypatch.setattr(terminal.shell, "set_next_input", refuse)

    assert terminal.run("%%ai scripted:echo -f code\nhi").error is None
