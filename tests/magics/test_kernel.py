"""Tests of the magics in a real kernel."""

from __future__ import annotations

import time

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

SCRIPT = "from ainb.testing import script, Step\n"


def test_a_reply_is_one_bundle_of_text_and_html(kernel):
    ran = kernel.run("%%ai scripted:echo\n**hello** <script>alert(1)</script>")

    (result,) = ran.of("execute_result")
    assert [kind for kind, _ in ran.outputs] == ["execute_result"]
    assert set(result["data"]) == {"text/plain", "text/html"}
    assert result["data"]["text/plain"] == "**hello** <script>alert(1)</script>"
    assert "<strong>hello</strong> &lt;script&gt;" in result["data"]["text/html"]
    assert '<p class="foot">echo · ' in result["data"]["text/html"]
    assert kernel.run("print(Out[max(Out)].text == _ai.text == _.text)").text("stdout") == "True\n"


def test_into_shows_nothing(kernel):
    assert kernel.run("%%ai scripted:echo --into x\nhello").outputs == []
    assert kernel.run("print(x)").text("stdout") == "hello\n"


def test_a_failed_cell_is_one_error_of_one_line(kernel):
    kernel.run(SCRIPT + "script('down', [503]);")

    ran = kernel.run("%%ai scripted:down\nhi")

    (error,) = ran.of("error")
    assert [kind for kind, _ in ran.outputs] == ["error"]
    assert error["ename"] == "TransientProviderError"
    assert error["evalue"] == "scripted answered 503"
    assert error["traceback"] == ["TransientProviderError: scripted answered 503"]
    assert ran.reply["status"] == "error"
    (whole,) = kernel.run("%tb").of("error") or [{"traceback": []}]
    text = "".join(whole["traceback"]) + kernel.run("%tb").text("stdout")
    assert "Traceback" in text


def test_pieces_are_shown_in_a_watched_kernel_and_one_output_is_left(kernel):
    kernel.run(SCRIPT + "script('lines', ['one\\ntwo\\nthree']);")

    ran = kernel.run("%%ai scripted:lines\n{nmae}", watched=True)

    kinds = [kind for kind, _ in ran.outputs if kind != "stream"]
    assert kinds[0] == "display_data"
    assert kinds[-2:] == ["clear_output", "execute_result"]
    assert ran.of("clear_output") == [{"wait": True}]
    assert ran.of("execute_result")[0]["data"]["text/plain"] == "one\ntwo\nthree"


def test_notices_of_the_cell_stay_when_pieces_are_cleared(kernel):
    kernel.run("name = 1")

    ran = kernel.run("%%ai scripted:echo\n{nmae}", watched=True)

    cleared = [kind for kind, _ in ran.outputs].index("clear_output")
    kept = [content["text"] for kind, content in ran.outputs[cleared:] if kind == "stream"]
    assert kept == ["ainb: {nmae} is not a name in the notebook and is sent as typed; did you mean {name}?\n"]


@pytest.mark.parametrize("options", ["--into x", "-f code", "-f html", "--no-stream"])
def test_some_cells_are_never_streamed(kernel, options):
    ran = kernel.run(f"%%ai scripted:echo {options}\nhi", watched=True)

    assert "display_data" not in [kind for kind, _ in ran.outputs]


def test_a_reply_that_breaks_off_leaves_what_has_come(kernel):
    kernel.run(SCRIPT + "script('cut', [Step(text='one\\ntwo\\nthree', cut=True)]);")

    ran = kernel.run("%%ai scripted:cut\nhi", watched=True)

    kinds = [kind for kind, _ in ran.outputs]
    assert (kinds[0], kinds[-1]) == ("display_data", "error")
    assert "clear_output" not in kinds


def test_code_is_offered_as_the_next_cell(kernel):
    kernel.run(SCRIPT + "script('coder', ['Sure:\\n```python\\nprint(1)\\n```']);")

    ran = kernel.run("%%ai scripted:coder -f code\nhi")

    (payload,) = ran.reply["payload"]
    assert (payload["source"], payload["text"], payload["replace"]) == (
        "set_next_input",
        "print(1)",
        False,
    )
    assert ran.of("execute_result")[0]["data"]["text/plain"] == "print(1)"


def test_mathematics_is_latex(kernel):
    kernel.run(SCRIPT + "script('math', ['$$x^2$$']);")

    (result,) = kernel.run("%%ai scripted:math -f math\nhi").of("execute_result")

    assert result["data"] == {"text/plain": "$$x^2$$", "text/latex": "$$x^2$$"}


def test_an_interrupt_is_one_line_and_the_next_cell_works(kernel):
    kernel.run(SCRIPT + "script('slow', [Step(hang=True)]);")
    request = kernel.start("%%ai scripted:slow\nhi")
    time.sleep(1.0)

    kernel.manager.interrupt_kernel()
    ran = kernel.finish(request)

    (error,) = ran.of("error")
    assert error["ename"] == "CallInterrupted"
    assert error["traceback"] == [
        "CallInterrupted: stopped by you; the call was cancelled and the next cell works"
    ]
    assert kernel.run("%%ai scripted:echo -o x\nhi").reply["status"] == "ok"
    assert kernel.run("print(x)").text("stdout") == "hi\n"


@pytest.mark.parametrize(
    ("display", "mimes", "footer"),
    [
        ("static", {"text/plain", "text/html"}, '<p class="foot">echo · 1 in, 1 out</p>'),
        ("text", {"text/plain"}, ""),
        ("off", {"text/plain"}, ""),
        ("html", {"text/plain", "text/html"}, " s · "),
    ],
)
def test_each_display_shows_what_it_says(kernel, display, mimes, footer):
    kernel.run(f"%config Ainb.display = {display!r}")

    ran = kernel.run(f"%%ai scripted:echo\nhi{display}", watched=display in {"static", "off"})

    assert [kind for kind, _ in ran.outputs] == ["execute_result"]
    data = ran.of("execute_result")[0]["data"]
    assert set(data) == mimes
    assert footer in data.get("text/html", "")


def test_the_environment_switches_the_display(kernel):
    kernel.run("import os; os.environ['AINB_DISPLAY'] = 'static'")

    first, second = (kernel.run("%%ai scripted:echo\nhi").of("execute_result")[0]["data"] for _ in "12")

    assert first == second


def test_subcommands_show_tables(kernel):
    (shown,) = kernel.run("%ai list").of("display_data")

    assert "<caption>Providers</caption>" in shown["data"]["text/html"]
    assert "openai" in shown["data"]["text/plain"]


def test_settings_are_reachable_in_a_kernel(kernel):
    assert "Ainb.model" in kernel.run("%config Ainb").text("stdout")
    kernel.run("%config Ainb.model = 'scripted:echo'")
    assert kernel.run("%%ai\nhi").of("execute_result")[0]["data"]["text/plain"] == "hi"


def test_tab_works_in_a_kernel(kernel):
    text = "%%ai --tempe"
    request = kernel.client.complete(text, len(text))
    while True:
        reply = kernel.client.get_shell_msg(timeout=20)
        if reply["parent_header"]["msg_id"] == request:
            break

    assert reply["content"]["matches"] == ["--temperature"]
    assert (reply["content"]["cursor_start"], reply["content"]["cursor_end"]) == (5, 12)


def test_the_time_of_a_cell_can_be_taken(kernel):
    ran = kernel.run("%%time\n%%ai scripted:echo\nhi")

    assert ran.of("execute_result")[0]["data"]["text/plain"] == "hi"


def test_rows_know_the_notebook_and_the_cell(kernel):
    kernel.run("import os; os.environ['JPY_SESSION_NAME'] = '/notes/reviews.ipynb'")
    content = {
        "code": "%%ai scripted:echo -o x\nhi",
        "silent": False,
        "store_history": True,
        "allow_stdin": False,
    }
    message = kernel.client.session.msg("execute_request", content, metadata={"cellId": "cell-7"})
    kernel.client.shell_channel.send(message)
    kernel.finish(message["header"]["msg_id"])

    kernel.run("del os.environ['JPY_SESSION_NAME']")
    ran = kernel.run(
        "import ainb\n"
        "print(ainb.current().costs(['notebook', 'cell_id']).loc[('reviews.ipynb', 'cell-7'), 'calls'])"
    )

    assert ran.text("stdout") == "1\n"


def test_a_subcommand_shows_one_table_and_gives_its_frame(kernel):
    kernel.run("%%ai scripted:echo -o x\nhi")

    ran = kernel.run("%ai usage")

    (shown,) = ran.of("display_data")
    assert [kind for kind, _ in ran.outputs] == ["display_data"]
    assert shown["data"]["text/html"].count("<caption>") == 1
    assert (
        kernel.run("print(type(_).__name__, 'echo' in set(_.request_model))").text("stdout")
        == "DataFrame True\n"
    )


def test_two_subcommands_in_a_cell_are_both_shown(kernel):
    assert len(kernel.run("%ai cost\n%ai usage").of("display_data")) == 2


def test_a_dry_run_is_one_table_with_the_prompt_as_typed(kernel):
    ran = kernel.run("%%ai scripted:echo --dry-run\none\n  <b>two</b>")

    (shown,) = ran.of("display_data")
    html = shown["data"]["text/html"]
    assert [kind for kind, _ in ran.outputs] == ["display_data"]
    assert '<p class="as-typed mathjax_ignore tex2jax_ignore">one\n  &lt;b&gt;two&lt;/b&gt;</p>' in html
    assert "<caption>Dry run, nothing was sent</caption>" in html


def run_notebook(*sources):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    return notebook


def test_an_unattended_notebook_has_one_plain_output_per_cell():
    notebook = run_notebook("%load_ext ainb", "%%ai scripted:echo\none\ntwo", "_ai")

    assert notebook.cells[0].outputs == []
    for cell in notebook.cells[1:]:
        (output,) = cell.outputs
        assert output.output_type == "execute_result"
        assert output.data["text/plain"] == "one\ntwo"


def test_a_streamed_cell_is_saved_with_one_plain_output():
    notebook = run_notebook("%load_ext ainb", "%%ai scripted:echo --stream\none\ntwo")

    (output,) = notebook.cells[1].outputs
    assert output.output_type == "execute_result"


def test_a_failed_cell_fails_the_run():
    with pytest.raises(CellExecutionError, match="names no provider and no alias"):
        run_notebook("%load_ext ainb", "%%ai nowhere:model\nhi")
