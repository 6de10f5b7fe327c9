"""Tests of every model family against its rule server: at most one extra request per refused parameter."""

from __future__ import annotations

from decimal import Decimal

import pydantic
import pytest

from ainb.model_rules import THINKING_TOKENS, family_of, thinking_tokens
from ainb.session import Session
from tests.providers.rule_servers import FAMILIES, RuleServer


class Label(pydantic.BaseModel):
    label: str = pydantic.Field(min_length=1)
    score: int = pydantic.Field(default=1, ge=0, le=10)
    why: str | None = None


CALLS = {
    "plain": {},
    "schema": {"schema": Label},
    "list": {"schema": list[Label]},
    "temperature": {"temperature": 0},
    "max_tokens": {"max_tokens": 50},
    "effort": {"effort": "low"},
    "effort_max": {"effort": "max"},
    "effort_none": {"effort": "none"},
    "budget": {"budget_usd": Decimal(100)},
    "all": {
        "schema": Label,
        "temperature": 0,
        "max_tokens": 5_000,
        "effort": "low",
        "budget_usd": Decimal(100),
    },
}


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    for name in ("OPENAI", "ANTHROPIC", "GROQ", "DEEPSEEK", "MISTRAL", "OPENROUTER", "GEMINI"):
        monkeypatch.setenv(f"{name}_API_KEY", "sk-for-tests-0123456789")


@pytest.fixture
def session(tmp_path):
    prices = {"*": {"input_usd_per_million": 1, "output_usd_per_million": 2}}
    from ainb.config import Config

    with Session(config=Config(home=tmp_path, prices=prices), retry=None, cache=None) as made:
        yield made


def ask(session, server, model, *, streamed=False, **options):
    pieces = []
    if streamed:
        options["on_text"] = pieces.append
    return session.ask("what is it", model=model, api_base=server.base_url, **options)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("kind", CALLS)
@pytest.mark.parametrize("model", FAMILIES)
def test_a_family_answers_every_kind_of_call(session, model, kind, streamed):
    with RuleServer(model) as server:
        first = ask(session, server, model, streamed=streamed, **CALLS[kind])
        refused = len(server.refusals)
        second = ask(session, server, model, streamed=streamed, **CALLS[kind])

        assert len(server.refusals) == refused, "what was refused once is not sent again"
    assert refused == 0 or model.split(":")[0] in {"groq", "mistral", "gemini", "openrouter"}, server.refusals
    assert refused <= (2 if kind == "all" else 1)
    for reply in (first, second):
        assert reply.text
        assert reply.attempts in {1, 1 + refused}
        if "schema" in CALLS[kind]:
            assert isinstance(reply.parsed, list | Label)


def test_the_rules_know_what_the_table_of_models_says():
    # provider, model, requested effort, sent effort
    for service, model, asked, sent in [
        ("openai", "gpt-5-mini", "none", "minimal"),
        ("openai", "gpt-5-mini", "xhigh", "high"),
        ("openai", "gpt-5.1", "minimal", "none"),
        ("openai", "gpt-5.2", "max", "xhigh"),
        ("openai", "gpt-6-luna", "minimal", "none"),
        ("openai", "gpt-6-luna", "max", "max"),
        ("openai", "gpt-6-astra", "none", "low"),
        ("openai", "gpt-4o", "low", None),
        ("openai", "gpt-7-nova", "ultra", "ultra"),
        ("openai", "o3", "max", "high"),
        ("openai", "gpt-5.2-chat-latest", "low", "medium"),
        ("anthropic", "claude-opus-4-5", "max", "high"),
        ("anthropic", "claude-opus-4-6", "xhigh", "high"),
        ("anthropic", "claude-haiku-4-5", "low", None),
        ("anthropic", "claude-opus-5-5", "minimal", "low"),
        ("groq", "qwen/qwen3-32b", "low", None),
        ("groq", "openai/gpt-oss-20b", "xhigh", "high"),
    ]:
        assert family_of(service, model).level(asked) == sent, (service, model)


@pytest.mark.parametrize(
    ("model", "schema"),
    [
        ("claude-opus-4-1-20250805", "json_schema"),
        ("claude-opus-4-20250514", "tool"),
        ("claude-3-5-sonnet-latest", "tool"),
        ("claude-haiku-4-5-20251001", "json_schema"),
        ("us.anthropic.claude-opus-4-6", "json_schema"),
        ("claude-opus-7", "json_schema"),
        ("claude-next-10-2", "json_schema"),
        ("my-gateway-model", "tool"),
    ],
)
def test_structured_output_is_native_where_the_model_has_it(model, schema):
    assert family_of("anthropic", model).schema == schema


@pytest.mark.parametrize(
    ("service", "model", "parameters", "room"),
    [
        ("openai", "gpt-4o", {}, 0),
        ("openai", "gpt-6-luna", {}, THINKING_TOKENS["medium"]),
        ("openai", "gpt-6-luna", {"effort": "none"}, 0),
        ("openai", "gpt-5.2", {}, 0),
        ("openai", "gpt-5.2", {"reasoning_effort": "high"}, THINKING_TOKENS["high"]),
        ("anthropic", "claude-opus-5", {}, THINKING_TOKENS["high"]),
        ("anthropic", "claude-opus-5", {"effort": "none"}, 0),
        ("anthropic", "claude-opus-5-5", {"effort": "none"}, THINKING_TOKENS["low"]),
        ("anthropic", "claude-haiku-4-5", {}, 0),
        ("anthropic", "claude-haiku-4-5", {"thinking": {"type": "enabled", "budget_tokens": 9_000}}, 9_000),
        ("anthropic", "claude-opus-4-6", {"effort": "high"}, 0),
        ("anthropic", "claude-opus-4-6", {"thinking": {"type": "adaptive"}}, THINKING_TOKENS["high"]),
        ("anthropic", "claude-opus-9", {}, THINKING_TOKENS["high"]),
    ],
)
def test_a_default_limit_leaves_room_for_thinking(service, model, parameters, room):
    assert thinking_tokens(service, model, parameters) == room


@pytest.mark.parametrize(
    "name",
    [
        "openai/gpt-6-luna",
        "OpenAI/GPT-6-Luna",
        "gpt-6-luna-2026-09-01",
        "ft:gpt-6-luna:acme::abc",
        " gpt-6-luna ",
    ],
)
@pytest.mark.parametrize("service", ["openai", "azure"])
def test_a_model_has_the_rules_of_its_family_under_every_spelling(service, name):
    assert family_of(service, name) is family_of("openai", "gpt-6-luna")


@pytest.mark.parametrize("name", ["openai/gpt-60", "other/gpt-6-luna", "my-gpt-6-luna", "openai/"])
def test_another_model_has_no_rules(name):
    assert family_of("openai", name) is family_of("openai", "unknown")
