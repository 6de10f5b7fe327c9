"""Tests of keys in a file or the keyring: used after the environment, only if configured, never shown."""

from __future__ import annotations

import builtins
import stat

import keyring
import keyring.backend
import keyring.backends.fail
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ainb
from ainb import keys
from ainb.errors import ConfigError
from ainb.keys import env_file, vault
from ainb.keys.plausible import fault_of, is_variable_name
from ainb.redaction import filter as redaction

KEY = "not-of-any-pattern-42"


class Keyring(keyring.backend.KeyringBackend):
    """A keyring that counts its lookups."""

    priority = 5

    def __init__(self):
        super().__init__()
        self.held, self.asked, self.locked = {}, 0, False

    def get_password(self, service, username):
        self.asked += 1
        if self.locked:
            raise RuntimeError(f"locked; would have given {self.held.get((service, username))}")
        return self.held.get((service, username))

    def set_password(self, service, username, password):
        self.held[service, username] = password

    def delete_password(self, service, username):
        del self.held[service, username]


@pytest.fixture
def ring():
    before = keyring.get_keyring()
    made = Keyring()
    keyring.set_keyring(made)
    yield made
    keyring.set_keyring(before)


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    monkeypatch.setattr(redaction, "_remembered", {})
    monkeypatch.setattr(vault, "_values", {})
    yield
    keys.use_env_file(None)


@pytest.fixture
def dot_env(tmp_path):
    def write(text):
        path = tmp_path / ".env"
        path.write_text(text, encoding="utf-8")
        return path

    return write


# Key file


def test_a_file_is_read_only_when_it_was_named(dot_env, monkeypatch, tmp_path):
    path = dot_env(f"OPENAI_API_KEY={KEY}\n")
    monkeypatch.chdir(tmp_path)

    assert keys.get("openai") is None
    keys.use_env_file(path)
    assert keys.get("openai") == KEY
    assert repr(keys.get("openai")) == "'***'"
    assert (keys.where("openai"), keys.found()) == (".env", ["OPENAI_API_KEY"])


def test_the_environment_comes_before_the_file(dot_env, monkeypatch):
    keys.use_env_file(dot_env(f"OPENAI_API_KEY={KEY}\n"))
    monkeypatch.setenv("OPENAI_API_KEY", "from-the-environment")

    assert keys.get("openai") == "from-the-environment"
    assert keys.where("openai") == "environment"


def test_a_changed_file_counts_from_the_next_call_on(dot_env):
    keys.use_env_file(dot_env("OPENAI_API_KEY=first-of-its-kind\n"))
    assert keys.get("openai") == "first-of-its-kind"

    dot_env("OPENAI_API_KEY=the-second-of-its-kind\n")
    assert keys.get("openai") == "the-second-of-its-kind"


def test_a_value_from_the_file_is_redacted_like_one_from_the_environment(dot_env):
    keys.use_env_file(dot_env(f"OPENAI_API_KEY={KEY}\n"))
    keys.get("openai")

    assert redaction.redact(f"a {KEY}") == "a [redacted OPENAI_API_KEY]"


def test_a_session_takes_the_file_from_its_options(dot_env):
    path = dot_env(f"GROQ_API_KEY={KEY}\n")
    with ainb.Session("scripted:echo", config=ainb.Config(env_file=path)):
        assert keys.get("groq") == KEY


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b", "b"),
        ("export A=b", "b"),
        ("  A = b  ", "b"),
        ("A='b c' # note", "b c"),
        ('A="b#c"', "b#c"),
        ("A=b#c", "b#c"),
        ("A=b # note", "b"),
        ("A=", ""),
        ("A=$(rm -rf /)${HOME}", "$(rm -rf /)${HOME}"),
        ("A='b", "'b"),
        ("A=1=2", "1=2"),
    ],
)
def test_a_line_of_the_file(line, value):
    assert env_file.parse(line) == {"A": value}


@pytest.mark.parametrize("line", ["# A=b", "A", "1A=b", "", "A-B=c", "[section]"])
def test_what_is_no_line_of_name_and_value_is_left_out(line):
    assert env_file.parse(line) == {}


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_any_text_can_be_read_as_a_file(text):
    assert all(name.isidentifier() for name in env_file.parse(text))


def test_a_file_that_cannot_be_read_is_named_without_its_folders_and_content(tmp_path, dot_env):
    keys.use_env_file(tmp_path / "missing.env")
    with pytest.raises(ConfigError, match=r"^env_file missing.env cannot be read \(FileNotFoundError\)"):
        keys.get("openai")

    path = dot_env("")
    path.write_bytes(b"OPENAI_API_KEY=\xff" + KEY.encode())
    keys.use_env_file(path)
    with pytest.raises(ConfigError, match="UnicodeDecodeError") as caught:
        keys.get("openai")
    assert KEY not in str(caught.value)


def test_a_file_that_is_no_list_of_keys_is_not_read_in(dot_env):
    keys.use_env_file(dot_env("x" * (2**20 + 1)))

    with pytest.raises(ConfigError, match="larger than 1 MB"):
        keys.get("openai")


# Keyring


def test_a_login_is_found_after_the_environment_and_only_after_a_login(ring, monkeypatch):
    assert keys.get("openai") is None
    assert ring.asked == 0

    assert keys.login("openai", f" {KEY}\n") == "OPENAI_API_KEY is in the keyring now"
    assert keys.get("openai") == KEY
    assert keys.where("openai") == "keyring"
    monkeypatch.setenv("OPENAI_API_KEY", "from-the-environment")
    assert keys.get("openai") == "from-the-environment"


def test_a_login_that_another_place_hides_says_so(ring, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "from-the-environment")

    assert "the key from the environment comes first" in keys.login("openai", KEY)


def test_the_keyring_is_asked_once_and_again_after_a_new_login_elsewhere(ring, monkeypatch):
    keys.login("openai", KEY)
    monkeypatch.setattr(vault, "_values", {})
    for _ in range(3):
        assert keys.get("openai") == KEY
    assert ring.asked == 1


def test_of_other_keys_the_keyring_is_never_asked(ring):
    keys.login("openai", KEY)
    monkeypatch_free = [keys.get(name) for name in ("groq", "ollama", "vllm", "MY_VARIABLE")]

    assert monkeypatch_free == [None] * 4
    assert ring.asked == 0


def test_what_stands_beside_the_keyring_names_variables_and_nothing_else(ring, tmp_path):
    keys.login("openai", KEY)
    keys.login("MY_VARIABLE", KEY + "x")

    path = tmp_path / "home" / "logins"
    assert path.read_text(encoding="utf-8") == "MY_VARIABLE\nOPENAI_API_KEY\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_logout_forgets(ring):
    keys.login("openai", KEY)

    assert keys.logout("openai") == "OPENAI_API_KEY is no longer in the keyring"
    assert keys.get("openai") is None
    assert ring.held == {}
    assert keys.logout("openai") == "OPENAI_API_KEY was not in the keyring"


def test_a_value_from_the_keyring_is_redacted(ring):
    keys.login("openai", KEY)
    keys.get("openai")

    assert redaction.redact(f"a {KEY}") == "a [redacted OPENAI_API_KEY]"


def test_a_keyring_that_refuses_says_so_without_the_key(ring):
    keys.login("openai", KEY)
    vault._values.clear()
    ring.locked = True

    with pytest.raises(
        ConfigError, match=r"the keyring refused \(RuntimeError\); unlock it, or set OPENAI_API_KEY"
    ) as caught:
        keys.get("openai")
    assert KEY not in "".join(
        [str(caught.value), repr(caught.value.__context__), repr(caught.value.__cause__)]
    )


def test_without_a_keyring_the_way_out_is_the_environment(monkeypatch, ring):
    keyring.set_keyring(keyring.backends.fail.Keyring())
    with pytest.raises(ConfigError, match="no keyring that stores keys securely"):
        keys.login("openai", KEY)

    real = builtins.__import__

    def without(name, *arguments):
        if name == "keyring":
            raise ImportError(name)
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"pip install 'ainb-notebook\[keyring\]'"):
        keys.login("openai", KEY)


def test_a_keyring_in_a_plain_file_is_none(ring):
    class Plain(Keyring):
        priority = 0.5

    keyring.set_keyring(Plain())
    with pytest.raises(ConfigError, match="a plain file"):
        keys.login("openai", KEY)


# Values that cannot be keys


@pytest.mark.parametrize(
    ("name", "key", "fault"),
    [
        ("OPENAI_API_KEY", "", "is empty"),
        ("OPENAI_API_KEY", "sk-abc def-4242", "white space"),
        ("OPENAI_API_KEY", "sk-abc…4242424242", "a character that no key contains"),
        ("OPENAI_API_KEY", '"sk-abc4242424242"', "quotes"),
        ("OPENAI_API_KEY", "OPENAI_API_KEY=sk-abc42424", "its own name"),
        ("OPENAI_API_KEY", "sk-4242", "fewer than 8"),
        ("OPENAI_API_KEY", "sk-" + "ant-api03-4242424242", "looks like one for ANTHROPIC_API_KEY"),
        ("GROQ_API_KEY", "h" + "f_4242424242424242", "looks like one for HF_TOKEN"),
    ],
)
def test_an_invalid_key_is_reported_without_showing_it(ring, name, key, fault):
    with pytest.raises(ConfigError, match=fault) as caught:
        keys.login(name, key)

    assert ring.held == {}
    assert len(key) < 8 or key not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("OPENAI_API_KEY", "sk-4242424242"),
        ("OPENAI_API_KEY", "of-a-gateway-of-our-own"),
        ("GROQ_API_KEY", "gs" + "k_4242424242"),
        ("GOOGLE_API_KEY", "AI" + "za4242424242"),
        ("OLLAMA_API_KEY", "whatever"),
    ],
)
def test_a_valid_key_has_no_fault(name, key):
    assert fault_of(name, key) is None


@pytest.mark.parametrize(
    "name", ["OPENAI_API_KEY", "a", "_X1", "AZURE_OPENAI_API_KEY", "MY_VERY_LONG_VARIABLE_NAME_OF_2025"]
)
def test_names_of_variables(name):
    assert is_variable_name(name)


@pytest.mark.parametrize("text", ["", "sk-4242", "1A", "a b", "0f" * 16, "a1" * 16, "MY KEY", "x=y"])
def test_a_key_in_the_place_of_its_name_is_not_repeated(text):
    for ask in (keys.get, keys.require, keys.where):
        with pytest.raises(ConfigError, match="not repeated here because it may be the key itself") as caught:
            ask(text)
        assert len(text) < 7 or text not in str(caught.value)
