"""Tests of keys from the environment: names, missing keys, redacted display."""

from __future__ import annotations

import pytest

from ainb import keys
from ainb.errors import ConfigError
from ainb.providers.services import SERVICES


def test_a_service_and_a_variable_name_give_the_same_key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", " sk-secret\n")

    assert keys.get("openai") == keys.get("OPENAI_API_KEY") == "sk-secret"


def test_an_unset_or_blank_key_is_none(monkeypatch):
    monkeypatch.setenv("GROQ_API_KEY", "  ")

    assert keys.get("groq") is None
    assert keys.get("openai") is None


def test_all_missing_names_stand_in_one_error_and_no_value_does(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")

    with pytest.raises(ConfigError, match="MISTRAL_API_KEY, DATABASE_URL") as caught:
        keys.require("openai", "mistral", "DATABASE_URL")
    assert "sk-secret" not in str(caught.value)


def test_what_require_returns_shows_no_value(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("DATABASE_URL", "postgres://u:pw@h/d")

    found = keys.require("openai", "DATABASE_URL")
    assert found == {"openai": "sk-secret", "DATABASE_URL": "postgres://u:pw@h/d"}
    assert repr(found) == str(found) == "{'openai': '***', 'DATABASE_URL': '***'}"
    assert repr(keys.get("openai")) == "'***'"


def test_found_lists_names_of_set_provider_keys_only(monkeypatch):
    monkeypatch.setenv("GROQ_API_KEY", "x")
    monkeypatch.setenv("OPENAI_API_KEY", "y")
    monkeypatch.setenv("SOME_OTHER_API_KEY", "z")

    assert keys.found() == ["OPENAI_API_KEY", "GROQ_API_KEY"]


def test_the_table_of_services_takes_its_key_variables_from_here():
    with_keys = {name: service.key_variable for name, service in SERVICES.items() if service.key_variable}

    assert with_keys == {name: keys.KEY_VARIABLES[name] for name in with_keys}
    assert set(with_keys) == set(keys.KEY_VARIABLES)
