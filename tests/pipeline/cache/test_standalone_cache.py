"""Tests of the standalone cache: decorator for async and plain functions, `get` and `set`."""

from __future__ import annotations

import asyncio
import doctest
import functools

import pytest

from ainb.errors import ConfigError
from ainb.pipeline.cache import function_keys
from ainb.pipeline.cache import standalone as response_cache
from ainb.pipeline.cache.options import Cache
from ainb.pipeline.cache.standalone import ResponseCache
from ainb.stores.memory import MemoryStore
from ainb.testing import FakeClock, run_virtual


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def notices():
    return []


@pytest.fixture
def cache(clock, notices):
    return ResponseCache(Cache(where="memory"), clock=clock, sink=notices.append)


def test_the_examples_hold():
    result = doctest.testmod(response_cache)

    assert (result.failed, result.attempted > 3) == (0, True)


def test_get_and_set_go_by_prompt_model_and_parameters(cache):
    cache.set("q", "m", {"temperature": 0}, "a")

    assert cache.get("q", "m", {"temperature": 0}) == "a"
    assert cache.get("q", "m") is None
    assert cache.get("q", "m", {"temperature": 0.0}) is None
    assert cache.get("q", "n", {"temperature": 0}) is None
    assert cache.get([{"role": "user", "content": "q"}], "m", {"temperature": 0}) is None
    cache.set([{"role": "user", "content": "q"}], "m", None, "b")
    assert cache.get(({"content": "q", "role": "user"},), "m", {}) == "b"
    status = cache.status()
    assert (status["hits"], status["misses"], status["hit_rate"], status["entries"]) == (
        2,
        4,
        pytest.approx(1 / 3),
        2,
    )


def plain_ask(asked):
    def ask(prompt, model="m", **params):
        asked.append(prompt)
        return prompt.upper()

    return ask


def async_ask(asked):
    async def ask(prompt, model="m", **params):
        asked.append(prompt)
        return prompt.upper()

    return ask


def named_ask(asked):
    def ask(client, prompt, *, model="m", temperature=0, top_p=None):
        asked.append(prompt)
        return prompt.upper()

    return ask


def call(function, *arguments, **named):
    result = function(*arguments, **named)
    return run_virtual(result) if asyncio.iscoroutine(result) else result


@pytest.mark.parametrize("make", [plain_ask, async_ask], ids=["plain", "async"])
def test_get_finds_what_a_function_of_prompt_and_model_has_stored_and_the_function_what_set_has(cache, make):
    asked = []
    ask = cache.cached(make(asked))

    assert call(ask, "why", temperature=0) == "WHY"
    assert cache.get("why", "m", {"temperature": 0}) == "WHY"
    assert cache.get("why", "m") is None
    assert cache.get("why", "n", {"temperature": 0}) is None
    cache.set("how", "n", {"temperature": 1}, "by hand")
    assert call(ask, "how", model="n", temperature=1) == "by hand"
    assert asked == ["why"]


def test_named_arguments_are_parameters_and_ignored_ones_are_not(cache):
    asked = []
    ask = cache.cached(ignore=["client"])(named_ask(asked))

    ask(object(), "why", temperature=1)

    assert cache.get("why", "m", {"temperature": 1, "top_p": None}) == "WHY"


def test_two_functions_of_prompt_and_model_do_not_answer_for_each_other(cache):
    asked = []

    def shout(prompt, model="m"):
        asked.append(prompt)
        return prompt + "!"

    first, second = cache.cached(plain_ask(asked)), cache.cached(shout)

    assert [first("why"), second("why"), first("why"), second("why")] == ["WHY", "why!", "WHY", "why!"]
    assert asked == ["why", "why"]
    assert cache.get("why", "m") == "why!"


@pytest.mark.parametrize(
    "function",
    [
        lambda prompt: prompt,
        lambda question, model: question + model,
        lambda prompt, model, *more: prompt + model + "".join(more),
        lambda prompt, model: {prompt: model},
        lambda prompt, model: None if prompt == model else 1,
    ],
    ids=["no model", "no prompt", "more arguments", "an object", "a number"],
)
def test_get_finds_nothing_of_other_functions(cache, function):
    cached = cache.cached(function)

    cached(*["q", "m"][: function.__code__.co_argcount])

    assert cache.get("q", "m") is None


def test_an_age_limit_holds_for_what_a_function_has_stored_under_get(cache, clock):
    cache.cached(ttl_seconds=60)(plain_ask([]))("why")

    clock.advance(90)

    assert cache.get("why", "m", ttl_seconds=60) is None
    assert cache.get("why", "m") == "WHY"


def test_an_age_limit_holds_for_get_set_and_functions(clock):
    cache = ResponseCache(Cache(where="memory", ttl_seconds=60), clock=clock)
    runs = []

    @cache.cached(ttl_seconds=10)
    def ask(question):
        runs.append(question)
        return len(runs)

    cache.set("q", "m", None, "a")
    assert ask("x") == ask("x") == 1
    clock.advance(10)
    assert ask("x") == 1
    clock.advance(1)
    assert ask("x") == 2
    assert cache.get("q", "m", ttl_seconds=5) is None
    assert cache.get("q", "m") == "a"
    clock.advance(50)
    assert cache.get("q", "m") is None
    assert cache.prune() == 1
    assert cache.clear() == 1


def test_positional_and_named_arguments_of_a_function_share_an_entry(cache):
    runs = []

    @cache.cached
    def ask(question, *more, model="m", **params):
        runs.append(question)
        return f"{question} {model}"

    assert ask("q") == ask(question="q") == ask("q", model="m") == "q m"
    ask("q", "more")
    ask("q", temperature=1)
    ask("q", temperature=1.0)
    ask("q", model="n")
    assert len(runs) == 5
    with pytest.raises(TypeError, match="missing a required argument"):
        ask()
    assert ask.__name__ == "ask"


def test_functions_of_the_same_name_are_distinguished_by_their_code(cache):
    def make(version):
        if version == 1:

            def ask(question):
                return "Summarise: " + question

        else:

            def ask(question):
                return "Summarise in one line: " + question

        return cache.cached(ask)

    assert make(1)("x") == "Summarise: x"
    assert make(2)("x") == "Summarise in one line: x"
    assert make(1)("x") == "Summarise: x"
    assert cache.status()["hits"] == 1


def test_a_name_for_the_code_is_the_same_in_every_process():
    def one(word):
        return word in {"b", "a", "c"} and (lambda: (1, None, "x"))

    name = function_keys._describe(one.__code__)

    assert "0x" not in name
    assert "{str 'a',str 'b',str 'c'}" in name


def test_arguments_that_do_not_matter_can_be_left_out(cache):
    class Client:
        @cache.cached(ignore=["self"])
        def ask(self, question):
            return question.upper()

        @cache.cached
        def refuse(self, question):
            return question

    assert Client().ask("x") == Client().ask("x") == "X"
    assert cache.status()["hits"] == 1
    with pytest.raises(ConfigError, match=r"parameter self is a .*Client"):
        Client().refuse("x")
    with pytest.raises(ConfigError, match="ignore names 'client', which is not an argument of"):
        cache.cached(ignore=["client"])(lambda question: question)


def test_an_async_function_runs_once_for_identical_concurrent_calls(cache):
    runs = []

    @cache.cached(ttl_seconds=60)
    async def ask(question):
        runs.append(question)
        await asyncio.sleep(1)
        return {"answer": [question]}

    async def main():
        leader = asyncio.ensure_future(ask("x"))
        others = [asyncio.ensure_future(ask("x")) for _ in range(99)]
        await asyncio.sleep(0.5)
        leader.cancel()
        first = await asyncio.gather(*others)
        return first, await ask("x"), await ask("y")

    first, again, other = run_virtual(main())

    assert runs == ["x", "y"]
    assert first == [{"answer": ["x"]}] * 99
    assert len({id(value["answer"]) for value in first}) == 99
    assert (again, other) == ({"answer": ["x"]}, {"answer": ["y"]})
    status = cache.status()
    assert (status["hits"], status["misses"], status["coalesced"]) == (1, 2, 99)


def test_errors_are_not_kept(cache):
    runs = []

    @cache.cached
    async def ask(question):
        runs.append(question)
        raise ValueError("no")

    @cache.cached
    def plain(question):
        runs.append(question)
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            run_virtual(ask("x"))
        with pytest.raises(ValueError, match="no"):
            plain("x")
    assert len(runs) == 4


@pytest.mark.parametrize("value", [(1, 2), object(), {1: 2}, {"a": float("nan")}, b"x", 2**70, "\ud800"])
def test_a_result_that_json_cannot_hold_exactly_is_returned_and_not_kept(cache, notices, value):
    runs = []

    @cache.cached
    def ask():
        runs.append(1)
        return value

    assert ask() is value
    assert ask() is value
    assert (len(runs), len(notices)) == (2, 1)


@pytest.mark.parametrize("value", [None, False, 0, "", [], {"a": [1, 1.5, None, True]}])
def test_results_come_back_as_they_were(cache, value):
    runs = []

    @cache.cached
    def ask():
        runs.append(1)
        return value

    assert ask() == ask() == value
    assert type(ask()) is type(value)
    assert len(runs) == 1


def test_what_cannot_be_kept_is_refused_when_decorated(cache):
    def generator():
        yield 1

    async def stream():
        yield 1

    for function in (generator, stream, functools.partial(print, 1)):
        with pytest.raises(ConfigError, match="plain and async functions"):
            cache.cached(function)
    with pytest.raises(ConfigError, match="ttl_seconds"):
        cache.cached(ttl_seconds=0)
    with pytest.raises(ConfigError, match="reply_text must be a string; it is int"):
        cache.set("q", "m", None, 5)


@pytest.mark.parametrize("text", ["", "[]", '{"version": 1}', '{"version": 2, "created_at": 1, "value": 1}'])
def test_a_damaged_entry_is_a_miss_and_one_notice(clock, notices, text):
    store = MemoryStore()
    cache = ResponseCache(store=store, clock=clock, sink=notices.append)
    cache.set("q", "m", None, "a")
    (name,) = store._items
    store.write(name, text, 0)

    assert cache.get("q", "m") is None
    assert cache.get("q", "m") is None
    assert len(notices) == 1


def test_on_disk_answers_outlive_the_process(tmp_path):
    first = ResponseCache(home=tmp_path / "mine")
    first.set("q", "m", None, "a")
    first.close()
    second = ResponseCache(home=tmp_path / "mine")

    assert second.get("q", "m") == "a"
    assert second.status()["store"] == "disk"
    second.close()


def test_the_usual_folder_is_the_home_of_ainb(tmp_path, monkeypatch):
    monkeypatch.setenv("AINB_HOME", str(tmp_path / "somewhere"))
    cache = ResponseCache()
    cache.set("q", "m", None, "a")
    cache.close()

    assert (tmp_path / "somewhere" / "cache" / "cache.db").exists()
    monkeypatch.delenv("AINB_HOME")
    assert response_cache.default_home().name == "ainb"
