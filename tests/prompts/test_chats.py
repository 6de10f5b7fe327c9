"""Tests of chats: turns by cell, token windows, forks and cuts."""

from __future__ import annotations

import pytest

from ainb.errors import ConfigError
from ainb.messages import Message
from ainb.prompts.chats import Chat, Chats, Turn, window


def turn(key, question="q", answer="a"):
    return Turn(key, Message("user", question), answer, "m")


def texts(turns):
    return [item.question.text for item in turns]


def test_turns_are_kept_in_order_and_a_cell_that_runs_again_replaces_its_own():
    chat = Chat()
    for key, question in (("c1", "one"), ("c2", "two"), ("c3", "three"), ("c2", "two again")):
        chat.keep(turn(key, question))

    assert texts(chat.turns) == ["one", "two again", "three"]


def test_a_cell_is_sent_the_turns_before_its_own():
    chat = Chat([turn("c1", "one"), turn("c2", "two"), turn("c3", "three")])

    assert texts(chat.before("c2")) == ["one"]
    assert texts(chat.before("new")) == ["one", "two", "three"]


def test_a_cell_without_an_id_gets_a_new_turn_unless_it_repeats_the_last_question():
    chat = Chat()
    chat.keep(turn(chat.new_key(), "go on"))
    chat.keep(turn(chat.new_key(), "go on"))
    assert len(chat.turns) == 2

    chat.keep(turn(chat.new_key(repeats=Message("user", "go on")), "go on", "other"))
    assert [item.answer for item in chat.turns] == ["a", "other"]
    chat.keep(turn(chat.new_key(repeats=Message("user", "next")), "next"))
    assert len(chat.turns) == 3


def test_a_window_holds_the_latest_whole_turns():
    turns = [turn("1", "a" * 10, "b"), turn("2", "c" * 3, "d"), turn("3", "e" * 2, "f")]

    def count(messages):
        return sum(len(item.text) for item in messages)

    messages, left_out = window(turns, limit_tokens=8, count=count)

    assert [item.text for item in messages] == ["ccc", "d", "ee", "f"]
    assert [item.role for item in messages] == ["user", "assistant"] * 2
    assert left_out == 1
    assert window(turns, limit_tokens=0, count=count) == ([], 3)
    assert window(turns, limit_tokens=100, count=count)[1] == 0
    assert window([], limit_tokens=0, count=count) == ([], 0)


def test_a_later_short_turn_does_not_let_an_earlier_one_jump_over_a_long_one():
    turns = [turn("1", "a"), turn("2", "b" * 50), turn("3", "c")]

    messages, left_out = window(turns, limit_tokens=10, count=lambda m: sum(len(i.text) for i in m))

    assert (len(messages), left_out) == (2, 2)


def test_chats_belong_to_their_notebook():
    chats = Chats()
    chats.open("a", "x").keep(turn("1"))

    assert (chats.names("a"), chats.names("b")) == (["x"], [])
    with pytest.raises(ConfigError, match="there are none"):
        chats.find("b", "x")


def test_a_fork_is_independent():
    chats = Chats()
    chats.open("n", "x").keep(turn("1", "one"))
    fork = chats.fork("n", "x", "y")
    fork.keep(turn("2", "two"))

    assert texts(chats.find("n", "x").turns) == ["one"]
    assert texts(chats.find("n", "y").turns) == ["one", "two"]
    with pytest.raises(ConfigError, match="there is a chat 'y' already"):
        chats.fork("n", "x", "y")


def test_cut_drops_what_comes_later():
    chats = Chats()
    for key in "123":
        chats.open("n", "x").keep(turn(key, key))

    assert chats.cut("n", "x", 1) == 2
    assert texts(chats.find("n", "x").turns) == ["1"]
    assert chats.cut("n", "x", 9) == 0


def test_reset_forgets_one_or_all():
    chats = Chats()
    for name in "xyz":
        chats.open("n", name).keep(turn("1"))
    chats.open("other", "x").keep(turn("1"))

    assert chats.reset("n", "x") == 1
    with pytest.raises(ConfigError, match="no chat 'x'"):
        chats.reset("n", "x")
    assert chats.reset("n") == 2
    assert chats.names("other") == ["x"]
