"""Tests of --chat and %ai chat: messages sent, turns kept, display."""

from __future__ import annotations

import pytest

from ainb import session as sessions
from ainb.errors import ConfigError
from ainb.pricing import Prices
from ainb.testing import script


class Watched:
    """Records the messages of every call."""

    def __init__(self, terminal, monkeypatch):
        self.terminal = terminal
        self.sent = []
        original = sessions.Session.handle

        async def handle(session, call):
            self.sent.append([(item.role, item.text) for item in call.request.messages])
            return await original(session, call)

        monkeypatch.setattr(sessions.Session, "handle", handle)

    def run(self, cell, *, cell_id=None):
        header = {"metadata": {"cellId": cell_id}} if cell_id else {}
        self.terminal.shell.get_parent = lambda: header
        return self.terminal.run(cell)


@pytest.fixture
def watched(terminal, monkeypatch):
    return Watched(terminal, monkeypatch)


def test_the_turns_before_go_along(watched):
    script("talk", ["hello Ann", "Ann, as you said"])
    watched.run("%%ai scripted:talk --chat c\nI am Ann")
    watched.run("%%ai scripted:talk --chat c\nWho am I?")

    assert watched.sent[1] == [("user", "I am Ann"), ("assistant", "hello Ann"), ("user", "Who am I?")]


def test_a_cell_that_runs_again_replaces_its_own_turn_and_sees_only_those_before(watched):
    for cell_id, text in (("a", "one"), ("b", "two"), ("c", "three"), ("b", "two again"), ("d", "four")):
        watched.run(f"%%ai scripted:echo --chat c\n{text}", cell_id=cell_id)

    questions = [[text for role, text in sent if role == "user"] for sent in watched.sent]
    assert questions[3] == ["one", "two again"]
    assert questions[4] == ["one", "two again", "three", "four"]


def test_without_cell_ids_the_same_question_is_a_turn_of_its_own(watched):
    for _ in range(2):
        watched.run("%%ai scripted:echo --chat c\ngo on")

    assert len(watched.sent[1]) == 3


def test_a_cell_without_chat_sends_itself_alone(watched):
    watched.run("%%ai scripted:echo --chat c\none")
    watched.run("%%ai scripted:echo\ntwo")

    assert watched.sent[1] == [("user", "two")]


def test_the_system_message_of_a_chat_stays(watched):
    watched.run("%%ai scripted:echo --chat c --system brief\none")
    watched.run("%%ai scripted:echo --chat c\ntwo")

    assert watched.sent[1][0] == ("system", "brief")


def test_a_call_that_failed_leaves_no_turn(watched):
    script("down", [400])
    watched.run("%%ai scripted:down --chat c\none")
    watched.run("%%ai scripted:echo --chat c\ntwo")

    assert watched.sent[1] == [("user", "two")]


def test_turns_that_no_longer_fit_are_left_out_and_that_is_said(watched):
    watched.run("%config Ainb.chat_tokens = 30")
    watched.run(f"%%ai scripted:echo --chat c\n{'long ' * 50}")
    cell = watched.run("%%ai scripted:echo --chat c\nshort")

    assert watched.sent[1] == [("user", "short")]
    assert "the first 1 turns of c no longer fit into chat_tokens" in cell.err


def test_turns_that_do_not_fit_into_the_models_context_are_left_out_and_that_is_said(watched, monkeypatch):
    # A context of 100 tokens, a quarter of it for the answer.
    monkeypatch.setattr(Prices, "loaded", property(lambda _: True))
    monkeypatch.setattr(Prices, "context_window", lambda *_: 100)
    watched.run(f"%%ai scripted:echo --chat c\n{'long ' * 50}")
    cell = watched.run(f"%%ai scripted:echo --chat c\n{'more ' * 20}")

    assert [role for role, _ in watched.sent[1]] == ["user"]
    assert "the first 1 turns of c no longer fit into the model's context and are left out" in cell.err


def test_a_dry_run_shows_the_turns_that_would_go_along_and_keeps_nothing(watched):
    watched.run("%%ai scripted:echo --chat c\nI am Ann")
    cell = watched.run("%%ai scripted:echo --chat c --reset --dry-run\nWho am I?")
    watched.run("%%ai scripted:echo --chat c\nlast")

    assert "I am Ann" not in watched.run("%%ai scripted:echo --dry-run\nalone").out
    assert "Who am I?" in cell.out
    assert [text for role, text in watched.sent[-1] if role == "user"] == ["I am Ann", "last"]


def test_a_chat_run_again_costs_nothing(watched):
    script("talk", ["a", "b", "never"])
    for _ in range(2):
        watched.run("%%ai scripted:talk --chat c\none")
        last = watched.run("%%ai scripted:talk --chat c\ntwo")
        watched.run("%ai reset")

    assert last.result.cached


def test_chats_are_listed_shown_forked_cut_and_reset(watched):
    assert "There are no chats" in watched.run("%ai chat").out
    for text in ("one", "two", "three"):
        watched.run(f"%%ai scripted:echo --chat c\n{text}")

    assert "c     3" in watched.run("%ai chat").out
    shown = watched.run("%ai chat c").out
    assert "one" in shown
    assert "three" in shown
    assert "d goes on from the 3 turns of c" in watched.run("%ai chat fork c d").out
    assert "2 turns of d are dropped" in watched.run("%ai chat cut d 1").out
    assert "d is forgotten" in watched.run("%ai chat reset d").out
    assert "1 chat forgotten" in watched.run("%ai reset").out
    watched.run("%%ai scripted:echo --chat e\nfirst")
    watched.run("%%ai scripted:echo --chat e --reset\nsecond")
    assert "first" not in watched.run("%ai chat e").out
    assert "e is forgotten" in watched.run("%ai reset e").out
    assert "There are no chats" in watched.run("%ai chat").out


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%ai chat nobody", "there is no chat 'nobody'"),
        ("%ai chat fork c", "is written %ai chat fork NAME NEW"),
        ("%ai chat cut c many", "TURNS is how many turns to keep"),
        ("%%ai scripted:echo --chat reset\nx", "--chat takes a name"),
        ("%%ai scripted:echo --chat 'a b'\nx", "--chat takes a name"),
    ],
)
def test_what_makes_no_sense_is_said_on_one_line(watched, line, said):
    watched.run("%%ai scripted:echo --chat c\none")

    cell = watched.run(line)

    assert isinstance(cell.error, ConfigError)
    assert said in str(cell.error)
