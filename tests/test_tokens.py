"""Tests of token counts: exact without a network, bounded time on hostile input."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ainb import tokens
from ainb.errors import AinbError
from ainb.messages import Message, Request
from ainb.pipeline.answer.schema import read_schema

HARD = {
    "empty": "",
    "english": "Hello, world! It's the year's end; they'll say we've won.",
    "emoji": "👩‍👩‍👧‍👦🇩🇪👍🏽 ok",
    "cjk": "今天天气很好，我们去公园散步吧。日本語のテキストです。한국어 문장입니다.",  # noqa: RUF001 - Chinese punctuation is tested
    "code": "def f(x):\n    return {k: v**2 for k, v in x.items() if k != '__id__'}\n\n\n# done\t\t!",
    "white space": "a   \n\n\n   b \t\t  \r\n\r\n    c     ",
    "special tokens": "<|endoftext|> and <|endofprompt|> and <|fim_prefix|>",
    "digits": "3.14159265358979 1234567890 ١٢٣٤",
    "arabic": "مرحبا بالعالم، كيف حالك اليوم؟",
    "hindi": "नमस्ते दुनिया, आप कैसे हैं?",
    "zalgo": "h\u0301\u0302\u0303e\u0301l\u0308lo",
    "surrogate": "broken \ud83d half",
    "nul": "a\x00b\x7f\u200b\ufeff",
}


def plain(name, text):
    return len(tokens._encoding(name).encode(text, disallowed_special=()))


@pytest.mark.parametrize("label", HARD)
@pytest.mark.parametrize(("model", "name"), [("gpt-5-mini", "o200k_base"), ("gpt-4", "cl100k_base")])
def test_a_hard_string_counts_as_tiktoken_counts_it(label, model, name):
    assert tokens.count(HARD[label], model) == tokens.TokenCount(plain(name, HARD[label]), "exact")


def test_known_counts_hold():
    assert tokens.count_tokens("hello world") == 2
    assert tokens.count_tokens("antidisestablishmentarianism", "gpt-4") == 6
    assert tokens.count_tokens("<|endoftext|>", "gpt-4") == 7


@given(text=st.text(max_size=200), model=st.sampled_from(["gpt-4o", "gpt-3.5-turbo"]))
@settings(deadline=None, max_examples=200)
def test_any_short_text_counts_as_tiktoken_counts_it(text, model):
    assert tokens.count_tokens(text, model) == plain(tokens.vocabulary_for(model)[0], text)


@pytest.mark.parametrize("unit", [" ", "a", "😀", "\n", "=", "\r\n", "漢", "e\u0301", " \n", "ab1", "'s"])
def test_a_megabyte_of_one_character_neither_hangs_nor_raises(unit):
    text = unit * (1_000_000 // len(unit))
    alone = tokens.count_tokens(unit * 4_096)

    assert 0 < tokens.count_tokens(text) <= len(text) // (4_096 * len(unit)) * (alone + 2) + alone + 2


def test_a_cut_costs_at_most_two_tokens():
    rng = random.Random(4)
    for unit in ("a", " ", "\n", "=", "😀", "漢", "e\u0301", "xyz", "'s", "Ab", " \n"):
        for model in ("gpt-5", "gpt-4"):
            text = unit * (40_000 // len(unit) + rng.randrange(99)) + "tail"
            name, _ = tokens.vocabulary_for(model)
            cuts = len(list(tokens._pieces(text))) - 1

            assert cuts > 5
            assert abs(tokens.count_tokens(text, model) - plain(name, text)) <= 2 * cuts


def test_ordinary_text_of_any_length_is_counted_whole():
    text = "\n\n".join(HARD[label] for label in HARD if label != "surrogate") * 300

    assert list(tokens._pieces(text)) == [text]


@pytest.mark.parametrize("alphabet", ["abcXYZ019+/", "ab(){};=.,!$%'_\"", "天地玄黄\uff0c。、宇宙"])
@pytest.mark.parametrize("model", ["gpt-5", "gpt-4"])
def test_a_long_stretch_with_punctuation_or_digits_stays_exact(alphabet, model):
    text = "see " + "".join(random.Random(7).choices(alphabet, k=30_000)) + " end"

    assert len(list(tokens._pieces(text))) > 5
    assert tokens.count_tokens(text, model) == plain(tokens.vocabulary_for(model)[0], text)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gpt-4o", ("o200k_base", True)),
        ("gpt-4o-mini-2024-07-18", ("o200k_base", True)),
        ("gpt-4.1-nano", ("o200k_base", True)),
        ("gpt-5.1", ("o200k_base", True)),
        ("o1", ("o200k_base", True)),
        ("o3-mini", ("o200k_base", True)),
        ("openai:gpt-5-mini", ("o200k_base", True)),
        ("openrouter:openai/gpt-4o", ("o200k_base", True)),
        ("ft:gpt-4o-mini:org::x", ("o200k_base", True)),
        ("gpt-oss-20b", ("o200k_base", True)),
        ("gpt-4", ("cl100k_base", True)),
        ("gpt-4-turbo", ("cl100k_base", True)),
        ("gpt-3.5-turbo-0125", ("cl100k_base", True)),
        ("text-embedding-3-small", ("cl100k_base", True)),
        ("claude-haiku-4-5", ("o200k_base", False)),
        ("llama-o1", ("o200k_base", False)),
        ("o1000", ("o200k_base", False)),
        ("gpt-40", ("o200k_base", False)),
    ],
)
def test_the_vocabulary_follows_the_model(model, expected):
    assert tokens.vocabulary_for(model) == expected


def test_another_vendors_count_is_marked_as_an_estimate():
    assert tokens.count("hello world", "claude-haiku-4-5") == tokens.TokenCount(2, "estimate")


def test_a_conversation_counts_the_framing_of_its_messages():
    as_dicts = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    as_messages = [Message(item["role"], item["content"]) for item in as_dicts]
    words = sum(tokens.count_tokens(item[key]) for item in as_dicts for key in ("role", "content"))

    assert tokens.count(as_dicts) == tokens.TokenCount(words + 2 * 3 + 3, "estimate")
    assert tokens.count(as_messages) == tokens.count(as_dicts)


def test_a_picture_counts_at_its_upper_bound():
    def picture(**more):
        return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:…", **more}}]}]

    bare = tokens.count_tokens([{"role": "user", "content": []}])

    assert tokens.count_tokens(picture()) - bare == 85 + 8 * 170
    assert tokens.count_tokens(picture(detail="low")) - bare == 85
    assert tokens.count_tokens(picture(), "gpt-4o-mini") - bare >= 2_833 + 8 * 5_667


def test_tools_and_schema_of_a_request_count_as_input():
    message = (Message("user", "hi"),)
    bare = tokens.count_request(Request(provider="openai", model="gpt-4o", messages=message))
    tools = tokens.count_request(
        Request(
            provider="openai", model="gpt-4o", messages=message, parameters={"tools": [{"name": "look_up"}]}
        )
    )
    schema = tokens.count_request(
        Request(provider="openai", model="gpt-4o", messages=message, schema=read_schema({"type": "object"}))
    )

    assert bare.tokens == tokens.count_tokens(message, "gpt-4o")
    assert tools.tokens > bare.tokens
    assert schema.tokens > bare.tokens


def test_many_threads_load_a_vocabulary_once(monkeypatch):
    loads, start = [], threading.Barrier(8)
    real = tokens._load
    monkeypatch.setattr(tokens, "_loaded", {})
    monkeypatch.setattr(tokens, "_load", lambda name: loads.append(name) or real(name))

    def count():
        start.wait(5)
        return tokens._count_pieces("cl100k_base", "hello world")

    with ThreadPoolExecutor(8) as pool:
        counts = [job.result(30) for job in [pool.submit(count) for _ in range(8)]]

    assert counts == [2] * 8
    assert loads == ["cl100k_base"]


def test_a_damaged_vocabulary_is_refused(monkeypatch):
    monkeypatch.setitem(tokens.SHA256, "cl100k_base", "0" * 64)

    with pytest.raises(AinbError, match=r"cl100k_base in ainb/data is damaged"):
        tokens._load("cl100k_base")


def test_preload_loads_what_the_model_needs(monkeypatch):
    monkeypatch.setattr(tokens, "_loaded", {})

    tokens.preload("gpt-4")

    assert set(tokens._loaded) == {"cl100k_base"}
