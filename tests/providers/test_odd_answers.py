"""Tests of answers in forms of other servers: undeclared streams, odd choices, parts and tool calls."""

from __future__ import annotations

import orjson
import pytest

import ainb
from ainb.errors import ProviderError, TransientProviderError
from tests.fault_server import Fault, FaultServer
from tests.providers.test_whole_answers import begun, chunk, ended, keys, session_for, sse, whole

__all__ = ["keys"]

DONE = b"data: [DONE]\n\n"


def asked(step, tmp_path, *, service="openai", stream=True, **options):
    """The reply to a first call, the pieces shown, and the reply to the same call again."""
    pieces = []
    watch = {"on_text": pieces.append} if stream else {}
    with FaultServer([step, "again"]) as server, session_for(service, server, tmp_path) as session:
        first = session.ask("hi", **watch, **options)
        return first, "".join(pieces), session.ask("hi", **watch, **options)


def choice(delta, finish=None, **more):
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish, **more}]}


# -- an error after the finish reason ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        {"error": {"code": 502, "message": "broke"}},
        {"choices": [], "error": {"message": "broke"}},
        {"error": {"type": "overloaded_error", "message": "broke"}},
        {"error": {"code": 400, "message": "broke"}},
        b'event: error\ndata: {"message": "broke"}',
        b"error: broke",
    ],
)
@pytest.mark.parametrize("service", ["openai", "anthropic"])
def test_an_error_after_the_finish_reason_counts_and_is_not_stored(error, service, tmp_path):
    events = [*begun(service), *ended(service)[:1], error]
    with FaultServer([sse(events), "again"]) as server, session_for(service, server, tmp_path) as session:
        with pytest.raises(ProviderError, match="broke"):
            session.ask("hi", on_text=lambda _text: None)
        assert session.ask("hi").text == "again"


@pytest.mark.parametrize("end", [b"data: not JSON\n\n", b"data: [1]\n\n", b"data: {", b""])
def test_what_cannot_be_read_after_the_finish_reason_costs_no_answer(end, tmp_path):
    reply, shown, again = asked(sse([chunk("ok"), chunk(None, "stop")], end), tmp_path)

    assert (reply.text, shown, again.cached) == ("ok", "ok", True)


# -- streams and bodies that say they are something else ---------------------------------------------------

KINDS = ("application/json", "text/plain; charset=utf-8", "", "application/x-ndjson", "TEXT/Event-Stream")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("before", [b"", b"\n\n", b": hello\n\n", b"\xef\xbb\xbf", b"event: x\n", b"id: 1\n"])
@pytest.mark.parametrize("stream", [True, False])
def test_a_stream_is_read_whatever_type_it_declares(kind, before, stream, tmp_path):
    step = sse([chunk("a"), chunk("b"), chunk(None, "stop")], DONE)
    step = Fault(body=before + step.body, headers={"content-type": kind})
    reply, shown, again = asked(step, tmp_path, stream=stream)

    assert (reply.text, shown, again.cached) == ("ab", "ab" if stream else "", True)


@pytest.mark.parametrize("service", ["openai", "anthropic"])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("size", [None, 1, 7])
@pytest.mark.parametrize("before", [b"", b"\r\n ", b"\xef\xbb\xbf"])
def test_a_whole_body_that_declares_a_stream_is_read(service, stream, size, before, tmp_path):
    body = before + orjson.dumps(whole(service, "ok"), option=orjson.OPT_INDENT_2)
    step = Fault(body=body, headers={"content-type": "text/event-stream"}, chunk_bytes=size)
    reply, shown, again = asked(step, tmp_path, service=service, stream=stream)

    assert (reply.text, shown, again.cached) == ("ok", "ok" if stream else "", True)


@pytest.mark.parametrize("body", [{"error": {"code": 429, "message": "Slow down"}}, {"detail": "Slow down"}])
def test_an_error_whose_body_declares_a_stream_keeps_its_words(body, tmp_path):
    step = Fault(body=body, headers={"content-type": "text/event-stream"})
    with pytest.raises(TransientProviderError, match="Slow down"):
        asked(step, tmp_path)


def test_an_undeclared_stream_that_ends_unfinished_is_not_stored(tmp_path):
    step = Fault(body=sse([chunk("half")]).body, headers={"content-type": "text/plain"})
    reply, _, again = asked(step, tmp_path)

    assert (reply.text, reply.complete, again.text) == ("half", False, "again")


def test_events_without_blank_lines_between_them_are_read(tmp_path):
    lines = [b"data: " + orjson.dumps(item) + b"\n" for item in (chunk("a"), chunk("b"), chunk(None, "stop"))]
    step = Fault(body=b"".join(lines) + DONE, headers={"content-type": "text/event-stream"})

    assert asked(step, tmp_path)[0].text == "ab"


@pytest.mark.parametrize("noise", [b"data: null", {"choices": []}, {"type": "ping"}, {"id": "x"}])
def test_events_that_hold_nothing_are_skipped(noise, tmp_path):
    reply, _, _ = asked(sse([noise, chunk("ok"), noise, chunk(None, "stop"), noise], DONE), tmp_path)

    assert (reply.text, reply.complete) == ("ok", True)


# -- which choice, and where its text stands ---------------------------------------------------------------


@pytest.mark.parametrize("index", [0, None, "0"])
def test_the_first_choice_counts_wherever_it_stands(index, tmp_path):
    one = {"index": 1, "message": {"content": "one"}, "delta": {"content": "one"}, "finish_reason": "length"}
    zero = {
        "index": index,
        "message": {"content": "zero"},
        "delta": {"content": "zero"},
        "finish_reason": "stop",
    }
    for stream in (True, False):
        for place, order in enumerate(([one, zero], [zero, one])):
            body = {"choices": order}
            step = sse([body], DONE) if stream else Fault(body=body)
            reply, _, again = asked(step, tmp_path / f"{stream}{place}", stream=stream)
            assert (reply.text, again.cached) == ("zero", True)


@pytest.mark.parametrize(
    "event",
    [
        {"choices": [{"index": 0, "message": {"content": "ok"}, "finish_reason": "stop"}]},
        {"choices": [{"index": 0, "delta": None, "message": {"content": "ok"}, "finish_reason": "stop"}]},
        {"choices": [{"index": 0, "delta": {}, "message": {"content": "ok"}, "finish_reason": "stop"}]},
        {"choices": [{"index": 0, "text": "ok", "finish_reason": "stop"}]},
        choice({"content": [{"type": "output_text", "text": "ok"}]}, "stop"),
        choice({"content": ["o", "k"]}, "stop"),
        choice({"content": [{"text": "ok"}]}, "stop"),
        choice({"content": [{"type": "thinking", "text": "no"}, {"type": "text", "text": "ok"}]}, "stop"),
    ],
)
def test_the_text_of_an_event_is_found_where_servers_put_it(event, tmp_path):
    reply, shown, _ = asked(sse([event], DONE), tmp_path)

    assert (reply.text, shown) == ("ok", "ok")


@pytest.mark.parametrize("part", [{"type": "refusal", "refusal": "I cannot"}, {"refusal": "I cannot"}])
@pytest.mark.parametrize("stream", [True, False])
def test_a_refusal_as_a_part_is_a_refusal(part, stream, tmp_path):
    body = {"choices": [{"message": {"content": [part]}, "finish_reason": "stop"}]}
    step = sse([choice({"content": [part]}, "stop")]) if stream else Fault(body=body)
    with pytest.raises(ainb.errors.RefusedError, match="I cannot"):
        asked(step, tmp_path, stream=stream)


# -- tool calls --------------------------------------------------------------------------------------------


def calls(*pieces, finish="tool_calls"):
    return sse([*(choice({"tool_calls": [piece]}) for piece in pieces), chunk(None, finish)], DONE)


def call(index, arguments, **more):
    return {"index": index, "function": {"name": "f" if more else None, "arguments": arguments}, **more}


@pytest.mark.parametrize("arguments", ['{"a":', '{"a": 1}}', "{", '{"a": "x'])
@pytest.mark.parametrize("finish", ["tool_calls", "stop", "function_call"])
def test_a_tool_call_whose_arguments_were_cut_is_not_stored(arguments, finish, tmp_path):
    reply, _, again = asked(calls(call(0, arguments, id="x"), finish=finish), tmp_path)

    assert not reply.complete
    assert again.text == "again"


@pytest.mark.parametrize(
    ("pieces", "arguments"),
    [
        ([call(0, "{}", id="x"), call(0, '{"b": 1}', id="y")], ["{}", '{"b": 1}']),
        ([call(0, '{"a":', id="x"), call(0, " 1}")], ['{"a": 1}']),
        ([call(0, '{"a":', id="x"), call(0, " 1}", id="x")], ['{"a": 1}']),
        ([call(0, "{}", id="x"), call(1, "{", id="y"), call(1, "}")], ["{}", "{}"]),
        ([call(None, "{}", id="x"), call(None, "[]", id="y")], ["{}", "[]"]),
        ([call(0, {"a": 1}, id="x")], ['{"a":1}']),
        ([call(0, "{}", id="x"), call(0, "{", id="y"), call(0, "}")], ["{}", "{}"]),
    ],
)
def test_the_pieces_of_tool_calls_are_joined_by_call(pieces, arguments, tmp_path):
    reply, _, again = asked(calls(*pieces), tmp_path)

    assert [item["arguments"] for item in orjson.loads(reply.text)] == arguments
    assert again.cached


@pytest.mark.parametrize("stream", [True, False])
def test_a_function_call_of_the_older_form_is_the_answer(stream, tmp_path):
    message = {"content": None, "function_call": {"name": "f", "arguments": '{"a": 1}'}}
    body = {"choices": [{"message": message, "finish_reason": "function_call"}]}
    step = sse([choice(message, "function_call")]) if stream else Fault(body=body)
    reply, _, again = asked(step, tmp_path, stream=stream)

    assert orjson.loads(reply.text) == [{"name": "f", "arguments": '{"a": 1}'}]
    assert again.cached
