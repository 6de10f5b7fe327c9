"""Tests of --image in a cell: requests of each protocol, token counts, and the cache."""

from __future__ import annotations

import pytest
from IPython.core.completer import provisionalcompleter
from PIL import Image

from ainb.errors import ConfigError
from ainb.tokens import count_tokens
from tests.fault_server import FaultServer


@pytest.fixture
def served(terminal, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-a-test-0123456789")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-of-a-test-0123456789")
    with FaultServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.base_url)
        yield terminal, server


def test_an_array_and_a_file_go_in_front_of_the_text(served, tmp_path):
    terminal, server = served
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    terminal.run("import numpy as np; grey = np.zeros((4, 4))")

    cell = terminal.run("%%ai openai:gpt-5-mini --image grey --image a.png\nwhat is this {grey.shape}")

    parts = server.requests[0].body["messages"][0]["content"]
    assert cell.result.text == "what is this (4, 4)"
    assert [part["type"] for part in parts] == ["image_url", "image_url", "text"]
    assert parts[0]["image_url"]["url"].startswith("data:image/png;base64,")


def test_anthropic_gets_them_as_sources(served):
    terminal, server = served
    terminal.run("import numpy as np; grey = np.zeros((4, 4))")
    terminal.run("%%ai anthropic:claude-x --image grey\nwhat is this")

    source = server.requests[0].body["messages"][0]["content"][0]["source"]
    assert (source["type"], source["media_type"]) == ("base64", "image/png")


def test_the_same_picture_is_answered_from_the_cache_and_another_is_not(served):
    terminal, server = served
    for value in (0, 0, 1):
        terminal.run(f"import numpy as np; grey = np.full((4, 4), {value})")
        terminal.run("%%ai openai:gpt-5-mini --image grey\nwhat is this")

    assert server.hits == 2


def test_a_picture_and_a_chat_go_together(served):
    terminal, server = served
    terminal.run("import numpy as np; grey = np.zeros((4, 4))")
    terminal.run("%%ai openai:gpt-5-mini --chat c --image grey\nwhat is this")
    terminal.run("%%ai openai:gpt-5-mini --chat c\nand now?")

    assert [item["role"] for item in server.requests[1].body["messages"]] == ["user", "assistant", "user"]
    assert server.requests[1].body["messages"][0]["content"][0]["type"] == "image_url"


def test_a_name_that_is_nothing_is_refused_before_anything_is_sent(served):
    terminal, server = served
    cell = terminal.run("%%ai openai:gpt-5-mini --image nothing\nwhat is this")

    assert isinstance(cell.error, ConfigError)
    assert "names neither a variable of the notebook nor a file" in str(cell.error)
    assert server.hits == 0


def test_more_than_twenty_pictures_are_refused(served):
    terminal, server = served

    error = terminal.run(f"%%ai openai:gpt-4o {'--image x ' * 21}\nWhat is it?").error

    assert server.hits == 0
    assert "a question takes 20 pictures; 21 are given" in str(error)


@pytest.mark.parametrize(("model", "tokens"), [("gpt-4o", 1445), ("claude-sonnet-4-5", 1600)])
def test_the_tokens_of_a_picture_are_estimated(model, tokens):
    picture = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]

    assert tokens <= count_tokens(picture, model) <= tokens + 20


@pytest.mark.parametrize(
    ("model", "mode"), [("openai:gpt-5-mini", {"type": "json_object"}), ("anthropic:claude-x", None)]
)
def test_json_uses_the_services_own_mode_where_it_has_one(served, model, mode):
    terminal, server = served
    terminal.run(f"%%ai {model} -f json\nthree colours")

    assert server.requests[0].body.get("response_format") == mode
    content = server.requests[0].body["messages"][0]["content"]
    assert "valid JSON" in content


def test_a_response_format_of_the_user_is_kept(served):
    terminal, server = served
    terminal.run('%%ai openai:gpt-5-mini -f json -m {"response_format": {"type": "text"}}\nthree colours')

    assert server.requests[0].body["response_format"] == {"type": "text"}


def test_tab_offers_pictures_chats_and_fallbacks(terminal, tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    terminal.run("import numpy as np; grey = np.zeros((4, 4)); number = 3")
    terminal.run("%%ai scripted:echo --chat report\nhello")

    def offered(line):
        completer = terminal.shell.Completer
        completer.use_jedi = False
        with provisionalcompleter():
            return {item.text for item in completer.completions(line, len(line))}

    assert offered("%%ai --image ") == {"grey", "a.png"}
    assert offered("%%ai --chat ") == {"report"}
    assert "anthropic:" in offered("%%ai --fallback ")
    assert "openai:x,anthropic:" in offered("%%ai --fallback openai:x,")
    assert {"fork", "report"} <= offered("%ai chat ")
    assert {"--image", "--chat", "--fallback"} <= offered("%%ai --")
