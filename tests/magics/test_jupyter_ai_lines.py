"""Tests of lines for jupyter-ai, versions 2 and 3, in ainb.

Source: jupyter-ai's user documentation, "Magic commands" and "The %ai and %%ai magic commands", its parsers
and its example notebooks. The models are those of the documentation; a server on loopback answers for them.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ainb.errors import AinbError
from ainb.providers import split_model
from tests.fault_server import FaultServer

KEYS = (
    "OPENAI",
    "ANTHROPIC",
    "GEMINI",
    "GROQ",
    "MISTRAL",
    "DEEPSEEK",
    "TOGETHER",
    "OPENROUTER",
    "AZURE_OPENAI",
    "TEAM",
)
PLACES = (
    "OPENAI",
    "ANTHROPIC",
    "GEMINI",
    "GROQ",
    "MISTRAL",
    "DEEPSEEK",
    "TOGETHER",
    "OPENROUTER",
    "OLLAMA",
    "LMSTUDIO",
    "VLLM",
)


@pytest.fixture(scope="module")
def server():
    with FaultServer() as running:
        yield running


@pytest.fixture
def there(terminal, server, monkeypatch):
    """A shell in which a local server answers for every service of the documentation."""
    for name in KEYS:
        monkeypatch.setenv(f"{name}_API_KEY", "sk-of-a-test-0123456789")
    for name in PLACES:
        monkeypatch.setenv(f"{name}_BASE_URL", server.base_url)
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", f"http://127.0.0.1:{server.port}")
    monkeypatch.setenv("AINB_CACHE", "false")
    server.requests.clear()
    return terminal


# First line of a cell; model and parameters in the request.
CELLS = [
    ("%%ai anthropic:claude-v1.2", "claude-v1.2", {}),
    ("%%ai anthropic:claude-v1.2 -f html", "claude-v1.2", {}),
    ("%%ai anthropic-chat:claude-3-5-sonnet-20241022", "claude-3-5-sonnet-20241022", {}),
    ("%%ai anthropic/claude-3-7-sonnet-20250219", "claude-3-7-sonnet-20250219", {}),
    ("%%ai openai-chat:gpt-4o -f code", "gpt-4o", {}),
    ("%%ai openai-chat:gpt-3.5-turbo", "gpt-3.5-turbo", {}),
    ("%%ai openai-chat-new:gpt-4o", "gpt-4o", {}),
    ("%%ai openai-chat-custom:my-model", "my-model", {}),
    ("%%ai openai/gpt-4o", "gpt-4o", {}),
    ("%%ai openai/gpt-4o -f code", "gpt-4o", {}),
    ("%%ai openai:gpt-4o --format json", "gpt-4o", {"response_format": {"type": "json_object"}}),
    ("%%ai azure-chat-openai:my-deployment", "my-deployment", {}),
    ("%%ai azure/my-deployment", "my-deployment", {}),
    ("%%ai gemini:gemini-1.5-flash", "gemini-1.5-flash", {}),
    ("%%ai gemini/gemini-2.5-pro", "gemini-2.5-pro", {}),
    ("%%ai mistralai:mistral-large-latest", "mistral-large-latest", {}),
    ("%%ai mistral/mistral-small", "mistral-small", {}),
    ("%%ai ollama:llama3.2", "llama3.2", {}),
    ("%%ai ollama:deepseek-coder-v2", "deepseek-coder-v2", {}),
    ("%%ai ollama/llama3.2:1b", "llama3.2:1b", {}),
    ("%%ai ollama_chat/qwen3:8b", "qwen3:8b", {}),
    ("%%ai openrouter:anthropic/claude-3.5-sonnet", "anthropic/claude-3.5-sonnet", {}),
    ("%%ai openrouter/deepseek/deepseek-chat", "deepseek/deepseek-chat", {}),
    ("%%ai togetherai:Austism/chronos-hermes-13b", "Austism/chronos-hermes-13b", {}),
    ("%%ai together_ai/meta-llama/Llama-3-8b", "meta-llama/Llama-3-8b", {}),
    ("%%ai groq/llama-3.3-70b-versatile", "llama-3.3-70b-versatile", {}),
    ("%%ai deepseek/deepseek-chat", "deepseek-chat", {}),
    ("%%ai hosted_vllm/my-model", "my-model", {}),
    ("%%ai lm_studio/my-model", "my-model", {}),
    ("%%ai chatgpt", "gpt-3.5-turbo", {}),
    ("%%ai chatgpt -f math", "gpt-3.5-turbo", {}),
    ("%%ai chatgpt -f code", "gpt-3.5-turbo", {}),
    ("%%ai chatgpt --format code", "gpt-3.5-turbo", {}),
    ("%%ai chatgpt -f text", "gpt-3.5-turbo", {}),
    ("%%ai chatgpt -f md", "gpt-3.5-turbo", {}),
    ("%%ai chatgpt -f MARKDOWN", "gpt-3.5-turbo", {}),
    ("%%ai chatgpt --format=html", "gpt-3.5-turbo", {}),
    ("%%ai chatgpt -r", "gpt-3.5-turbo", {}),
    ("%%ai gpt4", "gpt-4", {}),
    ("%%ai gpt-4o", "gpt-4o", {}),
    ("%%ai claude-3-haiku-20240307 # infers the provider", "claude-3-haiku-20240307", {}),
    ('%%ai openai-chat:gpt-4o -m {"temperature":0}', "gpt-4o", {"temperature": 0}),
    (
        """%%ai openai/gpt-4o -m '{"temperature":0.2,"max_tokens":50}'""",
        "gpt-4o",
        {"temperature": 0.2, "max_tokens": 50},
    ),
    ("""%%ai openai/gpt-4o --model-parameters '{"top_p": 0.5}'""", "gpt-4o", {"top_p": 0.5}),
    ("""%%ai openai/my-model --api-base {base} --api-key-name TEAM_API_KEY""", "my-model", {}),
]
# A line, and a part of its output.
LINES = [
    ("%ai", "model"),
    ("%ai help", "%ai subcommands"),
    ("%ai --help", "%ai subcommands"),
    ("%ai version", "ainb "),
    ("%ai list", "anthropic"),
    ("%ai list --help", "%ai list [PROVIDER]"),
    ("%ai list openai", "openai:fault-1"),
    ("%ai list anthropic-chat", "anthropic:fault-2"),
    ("%ai register claude anthropic:claude-v1.2", "claude is anthropic:claude-v1.2 now"),
    ("%ai alias claude anthropic/claude-v1.2", "claude is anthropic:claude-v1.2 now"),
    ("%ai alias my.model_2-x openai/gpt-4o", "my.model_2-x is openai:gpt-4o now"),
    ("%ai reset", "there were no chats"),
]
# Lines in order, and the model of the last request.
STORIES = [
    (["%ai register claude anthropic:claude-v1.2", "%%ai claude\nhi"], "claude-v1.2"),
    (
        [
            "%ai alias claude anthropic:claude-v1.2",
            "%ai update claude anthropic:claude-instant-v1.0",
            "%%ai claude\nhi",
        ],
        "claude-instant-v1.0",
    ),
    (['%config AiMagics.default_language_model = "anthropic:claude-v1.2"', "%%ai\nhi"], "claude-v1.2"),
    (['%config AiMagics.initial_language_model = "anthropic:claude-v1.2"', "%%ai\nhi"], "claude-v1.2"),
    (['%config AiMagics.aliases = {"mine": "openai:gpt-4o"}', "%%ai mine\nhi"], "gpt-4o"),
    (["1 / 0", "%ai error anthropic:claude-v1.2"], "claude-v1.2"),
    (["1 / 0", "%ai error chatgpt -f text"], "gpt-3.5-turbo"),
    (["1 / 0", "%ai fix anthropic/claude-v1.2"], "claude-v1.2"),
    (["%config AiMagics.max_history = 4", "%%ai gpt4\nhi"], "gpt-4"),
]


def test_more_than_sixty_lines_are_tested():
    assert len(CELLS) + len(LINES) + len(STORIES) >= 60


@pytest.mark.parametrize(("line", "model", "sent"), CELLS, ids=[line for line, *_ in CELLS])
def test_a_cell_asks_the_model_that_it_named(there, server, line, model, sent):
    cell = there.run(f"{line.replace('{base}', server.base_url)}\nWrite a poem about C++.")

    assert cell.error is None
    body = server.requests[-1].body
    text = body["messages"][-1]["content"]
    assert body["model"] == model
    assert text.startswith("Write a poem about C++.")
    assert {name: body[name] for name in sent} == sent
    assert cell.result.text == text


@pytest.mark.parametrize(("line", "shown"), LINES, ids=[line for line, _ in LINES])
def test_a_line_has_its_output(there, line, shown):
    cell = there.run(line)

    assert cell.error is None
    assert shown in cell.out


@pytest.mark.parametrize(("lines", "model"), STORIES, ids=[" ; ".join(lines) for lines, _ in STORIES])
def test_lines_in_sequence_ask_the_last_model(there, server, lines, model):
    for line in lines:
        there.run(line)

    assert server.requests[-1].body["model"] == model


@pytest.mark.parametrize("word", ["delete", "dealias"])
def test_an_alias_that_was_deleted_is_gone(there, word):
    there.run("%ai alias claude anthropic:claude-v1.2")
    there.run(f"%ai {word} claude")

    assert isinstance(there.run("%%ai claude\nhi").error, AinbError)


def test_names_inputs_outputs_and_errors_are_filled(there, server):
    there.run("poet = 'Walt Whitman'")
    there.run("for i in range(0, 5):\n  print(i)")
    there.run("poet")
    there.run("1 / 0")
    cell = there.run("%%ai chatgpt\nIn the style of {poet}\n--\n{In[2]}\n--\n{Out[3]}\n--\n{Err[4]}")

    text = server.requests[-1].body["messages"][-1]["content"]
    assert text == cell.result.text
    assert "style of Walt Whitman" in text
    assert "for i in range(0, 5):\n  print(i)\n--\nWalt Whitman\n--" in text
    assert "ZeroDivisionError" in text


def test_a_service_that_is_not_there_is_said_with_those_that_are(there):
    cell = there.run("%%ai ai21:j2-jumbo-instruct\nhi")

    assert "names no provider and no alias" in str(cell.error)


# Services that are reached through pydantic-ai.
BEHIND = [
    ("bedrock/anthropic.claude-3-5-haiku-20241022-v1:0", "bedrock:anthropic.claude-3-5-haiku-20241022-v1:0"),
    ("bedrock-chat:anthropic.claude-3-sonnet", "bedrock:anthropic.claude-3-sonnet"),
    ("cohere:command-r", "cohere:command-r"),
    ("huggingface_hub:mistralai/Mistral-7B", "huggingface:mistralai/Mistral-7B"),
    ("vertex_ai/gemini-2.5-pro", "google-cloud:gemini-2.5-pro"),
    ("xai/grok-4", "xai:grok-4"),
]


@pytest.mark.parametrize(("typed", "asked"), BEHIND)
def test_services_behind_pydantic_ai_are_found_under_the_names_that_were_typed(typed, asked):
    assert split_model(typed) == ("pydantic", asked)


# Complete lines for entries of the table below that have no value.
WORDS = {
    "--api-base": "--api-base {base}",
    "--api-key-name": "--api-key-name TEAM_API_KEY",
    "%ai register": "%ai register mine openai:gpt-4o",
    "alias": "%ai alias mine openai:gpt-4o",
    "update": "%ai update mine openai:gpt-4o",
    "delete": "%ai delete mine",
    "dealias": "%ai dealias mine",
    "list": "%ai list",
    "version": "%ai version",
    "help": "%ai help",
    "%ai error": "%ai error chatgpt",
    "%ai fix": "%ai fix chatgpt",
}


def table_lines():
    """The code spans in the first column of the table of the migration guide."""
    text = Path(__file__).parents[2].joinpath("docs/how-to/migrate.md").read_text(encoding="utf-8")
    table = text.partition("| jupyter-ai | here |")[2].partition("\n\n")[0]
    return [span for row in table.splitlines()[2:] for span in re.findall(r"`([^`]+)`", row.split("|")[1])]


def cell_of(span):
    """A cell for a code span of the table."""
    line = WORDS.get(span, span)
    if line.startswith("-"):
        return f"%%ai chatgpt {line}\nhi"
    if line.startswith("{"):
        return f"%%ai chatgpt\nsay {line}"
    return f"{line}\nhi" if line.startswith("%%") else line


@pytest.mark.parametrize("span", table_lines())
def test_every_line_of_the_table_runs(there, server, span):
    there.run("name = 1")
    there.run("1 / 0")
    there.run("1 / 0" if "Err" in span else "name")
    if span in {"update", "delete", "dealias"}:
        there.run(cell_of("%ai register"))
    cell = there.run(cell_of(span).replace("{base}", server.base_url))

    assert cell.error is None


def test_the_table_is_not_empty():
    assert len(table_lines()) >= 20
