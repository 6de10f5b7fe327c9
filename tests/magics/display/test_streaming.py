"""Tests of streamed replies in notebooks and terminals."""

from __future__ import annotations

import asyncio
import io
import sys
import threading

from ainb.clock import SYSTEM_CLOCK
from ainb.engine import ENGINE
from ainb.magics.display.streaming import NotebookStream, TerminalStream
from ainb.testing import FakeClock, run_virtual


class Publisher:
    """Records the messages that a shell sends to its front end."""

    def __init__(self, *, broken=False):
        self.sent = []
        self.broken = broken

    def publish(self, data, *, transient, update):
        if self.broken:
            raise RuntimeError("no socket")
        self.sent.append((data["text/plain"], update, transient["display_id"]))

    def clear_output(self, *, wait):
        self.sent.append(("cleared", wait, None))


def play(publisher, pieces, *, complete=True, complaints=None):
    async def scene():
        clock = FakeClock(loop=asyncio.get_running_loop())
        stream = NotebookStream(
            publisher,
            clock,
            (complaints if complaints is not None else []).append,
            get_loop=asyncio.get_running_loop,
        )
        for wait, piece in pieces:
            await asyncio.sleep(wait)
            stream.feed(piece)
        await asyncio.sleep(1)
        stream.end(complete=complete)
        return stream

    return run_virtual(scene())


def test_pieces_renew_one_output_about_ten_times_a_second():
    publisher = Publisher()

    play(publisher, [(0.001, "x")] * 1000)

    shows = publisher.sent[:-1]
    assert len(shows) <= 12
    assert len({display_id for _, _, display_id in shows}) == 1
    assert [update for _, update, _ in shows] == [False] + [True] * (len(shows) - 1)


def test_the_first_piece_is_shown_at_once_and_the_last_before_long():
    publisher = Publisher()

    play(publisher, [(0, "a"), (0.01, "b"), (0.01, "c")])

    assert [text for text, _, _ in publisher.sent] == ["a", "abc", "cleared"]


def test_a_whole_reply_takes_the_place_of_its_pieces():
    publisher = Publisher()

    play(publisher, [(0, "a")])

    assert publisher.sent[-1] == ("cleared", True, None)


def test_a_broken_reply_leaves_what_has_come():
    publisher = Publisher()

    play(publisher, [(0, "a"), (0, "b")], complete=False)

    assert publisher.sent[-1][0] == "ab"


def test_nothing_is_cleared_when_nothing_came():
    publisher = Publisher()

    play(publisher, [])

    assert publisher.sent == []


def test_a_display_error_is_reported_once_and_ends_streaming():
    publisher, complaints = Publisher(broken=True), []

    stream = play(publisher, [(0, "a"), (0.5, "b")], complaints=complaints)

    assert not stream.shown
    assert complaints == ["the reply cannot be shown while it arrives (RuntimeError: no socket)"]


def wait_for_the_first_piece(publisher, *, seconds, piece=None, complete=True):
    """Run a stream on the real engine until the first piece; tests check what is published."""
    stream = NotebookStream(publisher, SYSTEM_CLOCK, [].append)
    stream.wait(lambda: "loading the model")
    until(lambda: len(publisher.sent) >= seconds)
    if piece is not None:
        ENGINE.run(feed(stream, piece))
    stream.end(complete=complete)
    return stream


async def feed(stream, piece):
    stream.feed(piece)


def until(condition):
    for _ in range(600):
        if condition():
            return
        threading.Event().wait(0.05)
    raise AssertionError("it did not happen in 30 s")


def test_before_the_first_piece_the_cell_says_what_it_waits_for_each_second():
    publisher = Publisher()

    stream = wait_for_the_first_piece(publisher, seconds=2, piece="Paris")

    texts = [text for text, _, _ in publisher.sent]
    assert texts == ["loading the model · 1 s", "loading the model · 2 s", "Paris", "cleared"]
    assert stream.cleared


def test_a_call_that_fails_leaves_no_wait_behind():
    publisher = Publisher()

    stream = wait_for_the_first_piece(publisher, seconds=1, complete=False)

    assert publisher.sent[-1][0] == "cleared"
    assert stream.cleared


def test_in_a_terminal_pieces_are_written_clean(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    stream = TerminalStream()

    for piece in ("a\x1b", "[31mb", "c"):
        stream.feed(piece)
    stream.end(complete=True)

    assert out.getvalue() == "abc\n"


def test_a_terminal_that_went_away_does_not_fail_the_call(monkeypatch):
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Gone())
    stream = TerminalStream()

    stream.feed("a")
    stream.end(complete=True)

    assert not stream.shown
