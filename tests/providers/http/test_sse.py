"""Tests of the parser of server-sent events: complete events from any split of the bytes."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ainb.providers.http.sse import EventParser


def parse(*pieces):
    parser = EventParser()
    events = [event for piece in pieces for event in parser.feed(piece)]
    return events + parser.close()


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data:a\r\n\r\ndata: b\r\rdata:  c\n\n", [b"a", b"b", b" c"]),
        (b"data: one\ndata: two\n\n", [b"one\ntwo"]),
        (b": comment\n\nevent: x\nid: 7\nretry: 5\ndata: a\n\n", [b"a"]),
        (b"data\n\n", [b""]),
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b"data: a\n\ndata: [DONE]", [b"a", b"[DONE]"]),
        (b"data: a\n", [b"a"]),
        (b"database: a\n\n", []),
        (b"\n\n\n\n", []),
        (b"", []),
    ],
)
def test_events_are_read(stream, events):
    assert parse(stream) == events


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.sampled_from(
            [b"data: gr\xc3\xbc\xc3\x9fe", b"data:", b": c", b"id: 1", b"", b"x", b"data: [DONE]"]
        )
    ),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
    st.lists(st.integers(0, 120), max_size=12),
)
def test_splits_change_nothing(lines, line_end, cuts):
    stream = b"".join(line + line_end for line in lines)
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    pieces = [stream[start:end] for start, end in itertools.pairwise(places)]

    assert parse(*pieces) == parse(stream) == parse(*(stream[at : at + 1] for at in range(len(stream))))


@settings(deadline=None, max_examples=100)
@given(st.lists(st.binary(max_size=30)))
def test_any_bytes_are_parsed_without_an_error(pieces):
    assert all(isinstance(event, bytes) for event in parse(*pieces))
