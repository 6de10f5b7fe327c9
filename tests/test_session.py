"""Tests of Session: stage order, prompts, models, and calls without a network."""

from __future__ import annotations

import asyncio
import doctest

import pytest

import ainb
from ainb import functions as guarding
from ainb import session as sessions
from ainb import testing
from ainb.errors import ConfigError, DeadlineExceededError, InvalidPromptError, TransientProviderError
from ainb.messages import Message
from ainb.prompts.messages import read_prompt
from ainb.session import Session


def test_a_prompt_is_sent_and_a_reply_returned():
    with Session("scripted:echo") as session:
        reply = session.ask("hello there")

    assert (reply.text, reply.provider, reply.model, reply.attempts) == ("hello there", "scripted", "echo", 1)
    assert reply.duration_s >= 0


def test_a_job_is_awaited_in_a_loop_of_the_caller():
    async def main():
        return await Session("scripted:echo").submit("x")

    assert asyncio.run(main()).text == "x"


def test_a_model_may_be_named_for_one_call():
    testing.script("other", ["from the other"])

    assert Session("scripted:echo").ask("x", model="scripted/other").text == "from the other"


def test_an_alias_stands_for_a_model():
    session = Session("e", config=ainb.Config(aliases={"e": "f", "f": "scripted:echo"}))

    assert session.ask("x").text == "x"


def test_cyclic_aliases_are_an_error():
    session = Session("e", config=ainb.Config(aliases={"e": "f", "f": "e"}))

    with pytest.raises(ConfigError, match="refers to itself"):
        session.ask("x")


def test_a_list_of_messages_is_sent_as_it_is():
    messages = read_prompt([{"role": "user", "content": "a"}, Message("assistant", "b")], system="s")

    assert [(message.role, message.content) for message in messages] == [
        ("system", "s"),
        ("user", "a"),
        ("assistant", "b"),
    ]


@pytest.mark.parametrize("item", ["text", {"role": "robot", "content": "x"}, {"role": "user"}, 3])
def test_an_item_that_is_no_message_is_named(item):
    with pytest.raises(ConfigError, match="a message is a dict of role"):
        read_prompt([item])


@pytest.mark.parametrize("prompt", ["", " \n\t ", [], [{"role": "user", "content": ""}]])
def test_an_empty_prompt_is_refused_before_anything_is_sent(prompt):
    with pytest.raises(InvalidPromptError, match="empty or white space only"):
        Session("scripted:echo").ask(prompt)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("opnai:gpt-5", "did you mean 'openai'"),
        ("gpt", "providers are: "),
        ("openai:", "names a provider but no model"),
        ("scripted:nowhere", "there is no script 'nowhere'"),
    ],
)
def test_an_error_for_an_unknown_model_names_those_that_exist(model, said):
    with pytest.raises(ConfigError, match=said):
        Session(model).ask("x")


def test_no_model_configured_lists_the_ways_to_choose_and_the_keys_found(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AINB_MODEL_DIR", str(tmp_path))
    monkeypatch.setenv("GROQ_API_KEY", "gsk_not_shown")

    with pytest.raises(ConfigError, match=r"no model is configured.*keys found: GROQ_API_KEY") as caught:
        Session().ask("x")
    assert "gsk_not_shown" not in str(caught.value)


def test_a_call_that_takes_too_long_ends_at_its_deadline():
    testing.script("hang", [testing.Step(hang=True)])

    with pytest.raises(DeadlineExceededError, match=r"within the 0\.05 s") as caught:
        Session("scripted:hang").ask("x", timeout_seconds=0.05)
    assert caught.value.billed


def test_an_attempt_that_takes_too_long_is_a_transient_fault_that_may_have_been_billed():
    testing.script("hang", [testing.Step(hang=True)])
    config = ainb.Config(deadline=ainb.Deadline(attempt_seconds=0.05), retry=None)

    with pytest.raises(TransientProviderError, match=r"within the 0\.05 s of one attempt") as caught:
        Session("scripted:hang", config=config).ask("x")
    assert caught.value.billed


def test_pieces_of_a_streamed_reply_arrive_in_order():
    pieces = []

    reply = Session("scripted:echo").ask("one\ntwo\nthree", on_text=pieces.append)
    assert pieces == ["one\n", "two\n", "three"]
    assert reply.text == "one\ntwo\nthree"


def test_every_public_name_can_be_imported():
    assert all(getattr(ainb, name) is not None for name in ainb.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        ainb.nothing  # noqa: B018 - the lookup is tested


def test_a_user_has_limits_of_its_own_inside_those_of_all(tmp_path):
    config = ainb.Config(user_rate_limit=ainb.RateLimit(requests_per_minute=6, on_full="raise"), cache=None)
    with Session("scripted:echo", home=tmp_path, config=config) as session:
        assert session.ask("x", user="ann").text == "x"
        with pytest.raises(ainb.RateLimitError):
            session.ask("x", user="ann")
        assert session.ask("x", user="bob").text == "x"


def test_the_examples_of_the_session_are_true():
    tried = [doctest.testmod(module) for module in (sessions, guarding)]

    assert sum(result.attempted for result in tried) > 0
    assert not any(result.failed for result in tried)
