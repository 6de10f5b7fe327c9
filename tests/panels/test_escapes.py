"""Tests of the removal of escape sequences and control characters."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ainb.panels.escapes import Cleaner, clean

PIECES = st.sampled_from(
    [
        "a",
        "\n",
        "\t",
        "\x1b",
        "[",
        "]",
        "31",
        "m",
        ";",
        "0",
        "\x07",
        "\\",
        "\x9b",
        "\x9d",
        "\x9c",
        "P",
        "^",
        "(",
        "B",
        " ",
        "\r",
        "\x08",
        "é",
        "\ud800",
    ]
)


def test_colours_titles_and_links_are_taken_out():
    text = (
        "\x1b[31mred\x1b[0m \x1b]0;title\x07x "
        "\x1b]8;;http://e.org\x1b\\link\x1b]8;;\x1b\\ \x9b2Jy\x1b(Bz\x1bcw"
    )

    assert clean(text) == "red x link yzw"


def test_line_breaks_and_tabs_stay_and_other_controls_go():
    assert clean("a\n\tb\r\nc\x08\x00\x7f\x85d") == "a\n\tb\ncd"


def test_what_cannot_be_encoded_goes():
    assert clean("a\ud800b").encode() == b"ab"


@settings(deadline=None, max_examples=400)
@given(st.lists(st.lists(PIECES, max_size=8).map("".join), max_size=8))
def test_a_text_in_pieces_is_cleaned_like_the_whole(pieces):
    cleaner = Cleaner()

    shown = "".join(cleaner.feed(piece) for piece in pieces) + cleaner.end()

    assert shown == clean("".join(pieces))
    assert not set(shown) & {"\x1b", "\x9b", "\x07", "\r"}


def test_a_title_that_never_ends_does_not_swallow_the_reply():
    cleaner = Cleaner()

    shown = cleaner.feed("\x1b]0;") + cleaner.feed("x" * 5000) + cleaner.feed("tail")

    assert shown.endswith("tail")
