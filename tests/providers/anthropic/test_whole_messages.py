"""Tests of messages in the Messages protocol that a server sends whole, in one event of a stream."""

from __future__ import annotations

import orjson
import pytest

from ainb.errors import InvalidReplyError, RefusedError, TransientProviderError
from tests.fault_server import Fault, FaultServer
from tests.providers.test_whole_answers import begun, ended, keys, session_for, sse

__all__ = ["keys"]

USAGE = {"input_tokens": 3, "output_tokens": 5}
TEXT = [{"type": "text", "text": "the answer"}]
STOP = {"type": "message_stop"}
NAMED = b"event: message\ndata: "


def message(content, reason="end_turn", **more):
    return {
        "type": "message", "id": "m1", "role": "assistant", "model": "m-1", "content": content,
        "stop_reason": reason, "usage": USAGE, **more,
    }  # fmt: skip


def asked(step, tmp_path, *, stream=True, **options):
    """The first reply, the text shown, the reply to the same call again, and the number of requests."""
    pieces = []
    watch = {"on_text": pieces.append} if stream else {}
    with FaultServer([step, "again"]) as server, session_for("anthropic", server, tmp_path) as session:
        first = session.ask("hi", **watch, **options)
        return first, "".join(pieces), session.ask("hi", **watch, **options), server.hits


UNTYPED = {name: value for name, value in message(TEXT).items() if name != "type"}


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("kind", ["text/event-stream", "application/json", ""])
@pytest.mark.parametrize("end", [b"", b"data: [DONE]\n\n", b": bye\n\n"])
@pytest.mark.parametrize(
    "events",
    [
        [message(TEXT)],
        [NAMED + orjson.dumps(message(TEXT))],
        [UNTYPED],
        [{"type": "ping"}, message(TEXT), STOP],
        [message([{"type": "text", "text": "the "}, {"type": "text", "text": "answer"}])],
        [message([{"type": "thinking", "thinking": "hm"}, *TEXT])],
        [message(TEXT, stop_sequence=None), {"type": "message_delta", "delta": {}, "usage": USAGE}],
    ],
)
def test_a_whole_message_in_an_event_is_an_answer(events, end, kind, stream, tmp_path):
    step = Fault(body=sse(events, end).body, headers={"content-type": kind})
    reply, shown, again, hits = asked(step, tmp_path, stream=stream)

    assert (reply.text, reply.finish_reason, reply.model) == ("the answer", "stop", "m-1")
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (3, 5)
    assert shown == ("the answer" if stream else "")
    assert (again.text, again.cached, hits) == ("the answer", True, 1)


@pytest.mark.parametrize("size", [1, 7, 64])
def test_it_is_read_from_pieces_of_any_size(size, tmp_path):
    step = Fault(
        body=sse([message(TEXT)]).body, headers={"content-type": "text/event-stream"}, chunk_bytes=size
    )

    assert asked(step, tmp_path)[0].text == "the answer"


@pytest.mark.parametrize("more", [{}, {"content": TEXT}, {"content": []}, {"content": None}])
def test_a_message_after_its_own_pieces_adds_nothing(more, tmp_path):
    events = [*begun("anthropic", "the answer"), {**message(TEXT), **more}, *ended("anthropic")]
    reply, shown, again, _ = asked(sse(events), tmp_path)

    assert (reply.text, shown, reply.finish_reason, again.cached) == (
        "the answer",
        "the answer",
        "stop",
        True,
    )


def test_tool_calls_of_a_whole_message_are_its_text(tmp_path):
    call = {"type": "tool_use", "id": "t", "name": "look", "input": {"at": "Paris"}}
    reply, _, _, _ = asked(sse([message([call], "tool_use")]), tmp_path)

    assert reply.json() == [{"name": "look", "arguments": '{"at":"Paris"}'}]
    assert reply.finish_reason == "tool_calls"


@pytest.mark.parametrize("reason", ["max_tokens", "pause_turn", None])
def test_an_unfinished_whole_message_is_shown_and_not_stored(reason, tmp_path):
    reply, shown, again, _ = asked(sse([message(TEXT, reason)]), tmp_path)

    assert (reply.text, shown, again.text) == ("the answer", "the answer", "again")


def test_a_refusal_in_a_whole_message_is_one(tmp_path):
    with pytest.raises(RefusedError, match="not this"):
        asked(sse([message([], "refusal", stop_details={"explanation": "not this"})]), tmp_path)


@pytest.mark.parametrize("content", [None, "text", 7, {}, []])
def test_a_message_without_content_is_no_answer(content, tmp_path):
    with pytest.raises((TransientProviderError, InvalidReplyError)):
        asked(sse([message(content, None)]), tmp_path)
