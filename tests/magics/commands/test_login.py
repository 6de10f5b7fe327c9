"""Tests of %ai login and logout: the typed key is stored in the keyring and nowhere else."""

from __future__ import annotations

import getpass
import sys

import pytest

from ainb import keys
from ainb.errors import ConfigError
from ainb.magics.commands import login as logins
from ainb.magics.parsing.arguments import Arguments

KEY = "not-of-any-pattern-42"


@pytest.fixture
def stored(monkeypatch):
    held = {}

    def store(name, value):
        held[name] = value

    monkeypatch.setattr(keys.vault, "store", store)
    monkeypatch.setattr(keys.vault, "check", lambda _name: None)
    return held


@pytest.mark.parametrize(
    ("word", "name"),
    [("openai", "OPENAI_API_KEY"), ("google", "GEMINI_API_KEY"), ("MY_GATEWAY_KEY", "MY_GATEWAY_KEY")],
)
def test_the_key_is_asked_for_and_stored_under_its_variable(monkeypatch, stored, word, name):
    asked = []
    monkeypatch.setattr(getpass, "getpass", lambda prompt: asked.append(prompt) or KEY)

    said = logins.login(None, Arguments(words=[word]))
    assert stored == {name: KEY}
    assert asked == [f"{name} (is not shown): "]
    assert KEY not in said


def test_without_input_the_error_names_the_environment_variable(monkeypatch, stored):
    def nobody(prompt):
        raise EOFError

    monkeypatch.setattr(getpass, "getpass", nobody)
    with pytest.raises(ConfigError, match="set OPENAI_API_KEY in the environment"):
        logins.login(None, Arguments(words=["openai"]))


def test_a_provider_that_does_not_exist_gets_a_hint(stored):
    with pytest.raises(ConfigError, match="did you mean 'openai'"):
        logins.login(None, Arguments(words=["opnai"]))


def test_a_key_typed_behind_login_is_not_repeated(stored):
    with pytest.raises(ConfigError, match="not repeated") as caught:
        logins.login(None, Arguments(words=["sk-4242-4242-4242"]))
    assert "4242" not in str(caught.value)


def test_logout_says_what_was_done():
    assert logins.logout(None, Arguments(words=["openai"])) == "OPENAI_API_KEY was not in the keyring"


class PlainFile:
    """A backend that stores keys in a plain file."""

    priority = 0.5


class Broken:
    @property
    def priority(self):
        raise RuntimeError("no session bus")


@pytest.mark.parametrize(
    "backend", [PlainFile(), Broken(), None], ids=["plain file", "broken", "not installed"]
)
def test_nobody_types_a_key_that_cannot_be_stored(monkeypatch, backend):
    if backend is None:
        monkeypatch.setitem(sys.modules, "keyring", None)
    else:
        monkeypatch.setattr("keyring.get_keyring", lambda: backend)
    monkeypatch.setattr(getpass, "getpass", lambda _prompt: pytest.fail("the key was asked for"))

    with pytest.raises(ConfigError, match=r"keyring.*set OPENAI_API_KEY in the environment"):
        logins.login(None, Arguments(words=["openai"]))
