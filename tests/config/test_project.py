"""Tests of project options: what any pyproject.toml may set, and what only that of a trusted folder."""

from __future__ import annotations

import dataclasses
import os

import pytest

import ainb
from ainb.config import OPTIONS, load_config, needs_trust
from ainb.config.project import RULES, free
from ainb.errors import ConfigError

FAR = "203.0.113.9"
# Each line would send prompts, replies, keys or files to a destination that the repository chooses, or weaken
# their protection.
HOSTILE = {
    "state": f'state = "redis://{FAR}:6379/0"',
    "state over TLS": f'state = "rediss://{FAR}/0?namespace=team"',
    "state with a password": f'state = "redis://user:pw@{FAR}/1"',
    "state here with a file": 'state = "rediss://127.0.0.1/0?ssl_ca_certs=/etc/passwd"',
    "state here with any option": 'state = "redis://127.0.0.1/0?socket_keepalive="',
    "state by a name that looks local": 'state = "redis://localhost.evil.example/0"',
    "state below .localhost": 'state = "redis://cache.localhost/0"',
    "api_base": 'api_base = "https://gateway.example.org/v1"',
    "api_base by its IPv6 address": 'api_base = "http://[2001:db8::1]/v1"',
    "api_base that hides its host": 'api_base = "http://127.0.0.1@evil.example/v1"',
    "api_base below .localhost": 'api_base = "http://llm.localhost:8000/v1"',
    "allow_insecure_http": "allow_insecure_http = true",
    "headers": 'headers = { openai = { X-Forward = "https://evil.example" } }',
    "headers with a variable": 'headers = { openai = { X-Leak = "$AWS_SECRET_ACCESS_KEY" } }',
    "env_file": 'env_file = ".env"',
    "env_file elsewhere": 'env_file = "/etc/environment"',
    "home inside": 'home = ".ainb"',
    "home elsewhere": 'home = "/tmp/collected"',
    "home on a share": 'home = "//evil.example/share"',
    "otel_content": "otel_content = true",
    "model file above": 'model = "local:../secret.gguf"',
    "model file elsewhere": 'model = "local:/etc/passwd"',
    "model file of the user": 'model = "local:~/private.gguf"',
    "model file of another user": 'model = "local:~root/private.gguf"',
    "model file behind a service's other mark": 'model = "local//etc/passwd"',
    "model file on a share": r"model = 'local:\\evil.example\share\m.gguf'",
    "model behind a link": 'model = "local:link.gguf"',
    "model behind a linked folder": 'model = "local:linked/m.gguf"',
    "model above, seen from below": 'model = "local:notebooks/../../secret.gguf"',
    "model with a base URL": 'model = "huggingface:https://evil.example/m"',
    "model with a base URL behind pydantic": 'model = "pydantic:huggingface:https://evil.example/m"',
    "fallback file": 'fallback = ["openai:gpt-5-mini", "local:/etc/passwd"]',
    "fallback with a base URL": 'fallback = "openai:gpt-5-mini, huggingface:https://evil.example/m"',
    "alias with a base URL": 'aliases = { fast = "huggingface:https://evil.example/m" }',
    "alias to a file": 'aliases = { fast = "local:/etc/passwd" }',
    "alias in the place of a full name": 'aliases = { "local:smollm2" = "openai:gpt-5-mini" }',
    "plugin": 'model = "stranger:m"',
    "a log of one call": "[tool.ainb.log]\nmax_rows = 1",
    "a log of a minute": "[tool.ainb.log]\nmax_age_days = 0.0007",
    "a short log in one line": "log = { max_age_days = 30, content = true }",
    "a short log by a dotted key": "log.max_rows = 1_000_000",
    "fallback plugin": 'fallback = ["stranger:m"]',
}
HARMLESS = {
    "known services": 'model = "openai:gpt-5-mini"\nfallback = ["anthropic:claude-haiku-4-5", '
    '"ollama:llama3.2"]',
    "aliases of known services": 'aliases = { fast = "openai:gpt-5-mini", deep = "fast", b = '
    '"bedrock:us.amazon.nova-lite-v1:0" }',
    "a name that services share": 'model = "openrouter/anthropic/claude-sonnet-4"',
    "a pulled model": 'model = "local:smollm2"',
    "a model file inside": 'model = "local:models/m.gguf"',
    "a model file beside": 'model = "local:m.gguf"',
    "state of this machine": 'state = "redis://127.0.0.1:6379/0?namespace=team"',
    "api_base of this machine": 'api_base = "http://localhost:8000/v1"',
    "otel": "otel = true",
    "nothing": 'state = ""\napi_base = ""\nenv_file = ""\nhome = ""\nallow_insecure_http = '
    "false\notel_content = false",
    "a longer log": "log = { max_rows = 5_000_000, max_age_days = 4000 }",
    "the usual log": "log = { max_rows = 2_000_000, max_age_days = 400.0, content = true }",
    "stages": 'budget = "5/day"\ncache = false\n[tool.ainb.retry]\nattempts = 2\n[tool.ainb.local]\nslots '
    "= 2",
}


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A cloned repository whose pyproject.toml has the given lines; its notebook folder is the working
    folder."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("AINB_HOME")
    monkeypatch.setattr("ainb.providers.plugins.names", lambda: ["stranger"])
    root = tmp_path / "clone"
    (root / "notebooks" / "models").mkdir(parents=True)
    (tmp_path / "secret.gguf").write_bytes(b"GGUF")
    (root / "notebooks" / "link.gguf").symlink_to(tmp_path / "secret.gguf")
    (root / "notebooks" / "linked").symlink_to(tmp_path)

    def write(lines):
        (root / "pyproject.toml").write_text(f"[tool.ainb]\n{lines}\n", encoding="utf-8")
        monkeypatch.chdir(root / "notebooks")
        return root

    return write


def test_every_option_has_a_rule_and_every_rule_an_option():
    options = set(OPTIONS)
    for name, item in OPTIONS.items():
        if "section" in item.metadata:
            options |= {f"{name}.{inner.name}" for inner in dataclasses.fields(item.metadata["section"])}

    assert set(RULES) == options


@pytest.mark.parametrize("name", HOSTILE)
def test_a_cloned_repository_decides_no_destination_file_program_or_credential(clone, name):
    root = clone(HOSTILE[name])

    with pytest.raises(ConfigError, match=r"if you trust this project type %ai trust") as caught:
        load_config(environ={})
    assert f"AINB_TRUST={root}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "pw" not in str(caught.value)
    with pytest.raises(ConfigError):
        ainb.Session("scripted:echo")


@pytest.mark.parametrize("name", HOSTILE)
def test_the_same_counts_in_a_trusted_folder(clone, name):
    root = clone(HOSTILE[name])

    trusted = load_config(environ={"AINB_TRUST": f"/nowhere{os.pathsep}{root}"})
    assert any(getattr(trusted, option.partition(".")[0]) for option in needs_trust(root))


@pytest.mark.parametrize("name", HARMLESS)
def test_what_names_no_destination_needs_no_trust(clone, name):
    root = clone(HARMLESS[name])

    assert needs_trust(root) == {}
    load_config(environ={})


@pytest.mark.parametrize(
    ("name", "environ", "settings"),
    [
        ("state", {"AINB_STATE": ""}, {}),
        ("state", {"AINB_STATE": "redis://127.0.0.1/0"}, {}),
        ("env_file", {"AINB_ENV_FILE": ""}, {}),
        ("home inside", {"AINB_HOME": "/x"}, {}),
        ("allow_insecure_http", {"AINB_ALLOW_INSECURE_HTTP": "0"}, {}),
        ("otel_content", {}, {"otel_content": False}),
        ("alias to a file", {}, {"aliases": {}}),
        ("model file elsewhere", {"AINB_MODEL": "scripted:echo"}, {}),
    ],
)
def test_what_the_user_sets_takes_the_place_of_what_the_project_may_not(clone, name, environ, settings):
    clone(HOSTILE[name])

    read = load_config(environ=environ, settings=settings)
    assert HOSTILE[name].split('"')[-2:][0] not in repr(read)


def test_one_of_two_that_need_trust_is_still_refused(clone):
    clone(f"{HOSTILE['state']}\n{HOSTILE['env_file']}")

    with pytest.raises(ConfigError, match="env_file"):
        load_config(environ={"AINB_STATE": ""})
    with pytest.raises(ConfigError, match="state"):
        load_config(environ={"AINB_ENV_FILE": ""})


def test_relative_paths_of_a_trusted_project_are_the_projects_own(clone):
    root = clone('home = ".ainb"\nenv_file = "keys.env"')

    read = load_config(environ={"AINB_TRUST": str(root)})
    assert (read.home, read.env_file) == (root / ".ainb", root / "keys.env")


def test_an_option_without_a_rule_needs_trust(clone, monkeypatch):
    root = clone("footer = true\n[tool.ainb.local]\nslots = 2")
    without = {name: rule for name, rule in RULES.items() if name not in {"footer", "local.slots"}}
    monkeypatch.setattr("ainb.config.project.RULES", without)

    assert set(needs_trust(root)) == {"footer", "local.slots"}
    with pytest.raises(ConfigError, match=r"pyproject\.toml sets footer, which only you may set"):
        load_config(environ={})


def test_a_cloned_repository_deletes_no_calls_of_other_projects(clone, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with ainb.Session("scripted:echo") as session:
        session.map(range(20), "{value}")
    root = clone("log = { max_rows = 1 }")
    with pytest.raises(ConfigError, match="deletes calls of other projects"):
        ainb.Session("scripted:echo")
    (root / "pyproject.toml").unlink()
    with ainb.Session("scripted:echo") as session:
        assert len(session.usage()) == 20


def test_most_options_are_free():
    assert sum(rule is free for rule in RULES.values()) > len(RULES) / 2


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe", b"[tool.ainb\n", b"x = " + b"[" * 100_000, b"#" * (2**24 + 1)],
    ids=["no UTF-8", "cut", "nested", "huge"],
)
def test_a_file_that_cannot_be_read_is_one_line(clone, content):
    root = clone("")
    (root / "pyproject.toml").write_bytes(content)

    with pytest.raises(ConfigError, match=r"pyproject\.toml") as caught:
        load_config(environ={})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["tool = 3\n", "[tool]\nainb = 3\n", ""])
def test_a_file_without_a_table_of_ours_sets_nothing(clone, content):
    root = clone("")
    (root / "pyproject.toml").write_text(content)

    assert load_config(environ={}) == load_config(environ={}, folder=root.parents[-1])


def test_a_pipe_or_a_folder_of_that_name_is_no_file(clone):
    root = clone("")
    (root / "pyproject.toml").unlink()
    os.mkfifo(root / "pyproject.toml")
    (root / "notebooks" / "pyproject.toml").mkdir()

    assert load_config(environ={}).model is None


def test_a_working_folder_that_was_deleted_has_no_project(clone):
    root = clone('model = "scripted:echo"')
    (gone := root / "gone").mkdir()
    os.chdir(gone)
    gone.rmdir()

    assert load_config(environ={}).model is None
