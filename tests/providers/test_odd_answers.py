"""Tests of answers in forms of other servers: undeclared streams, odd choices and reasons, empty replies."""

from __future__ import annotations

import orjson
import pytest

import ainb
from ainb.errors import ContentFilteredError, InvalidReplyError, ProviderError, TransientProviderError
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


# -- reasons -----------------------------------------------------------------------------------------------

CUT = (
    "length", "LENGTH", "max_tokens", "MAX_TOKENS", "max_output_tokens", "max_completion_tokens",
    "max_new_tokens", "model_length", "token_limit", "max_length", "error_limit",
    "model_context_window_exceeded", "context_length_exceeded",
)  # fmt: skip
BROKEN = (
    "error", "ERROR", "network_error", "insufficient_system_resource", "abort", "aborted", "cancelled",
    "canceled", "failed", "timeout", "upstream_error",
)  # fmt: skip
WITHHELD = (
    "content_filter", "content-filter", "Content Filter", "SAFETY", "sensitive", "error_toxic",
    "guardrail_intervened", "refusal",
)  # fmt: skip


@pytest.mark.parametrize("reason", CUT)
@pytest.mark.parametrize("stream", [True, False])
def test_a_cut_reply_is_cut_in_every_spelling(reason, stream, tmp_path):
    step = sse([chunk('{"label": "po'), chunk(None, reason)]) if stream else whole("openai", "half", reason)
    step = step if stream else Fault(body=step)
    reply, _, again = asked(step, tmp_path / "plain", stream=stream)
    assert (reply.finish_reason, again.text) == ("length", "again")

    with FaultServer([step]) as server, session_for("openai", server, tmp_path) as session:
        with pytest.raises(InvalidReplyError, match="raise --max-tokens"):
            session.ask("hi", schema="label: pos|neg", max_tokens=5)
        assert server.hits == 1


@pytest.mark.parametrize("reason", BROKEN)
@pytest.mark.parametrize("stream", [True, False])
def test_a_reply_that_the_service_broke_off_is_an_error(reason, stream, tmp_path):
    step = (
        sse([chunk("half"), chunk(None, reason)]) if stream else Fault(body=whole("openai", "half", reason))
    )
    with pytest.raises(TransientProviderError, match=reason):
        asked(step, tmp_path, stream=stream)


@pytest.mark.parametrize("reason", WITHHELD)
def test_a_withheld_reply_is_withheld_in_every_spelling(reason, tmp_path):
    with pytest.raises(ContentFilteredError):
        asked(Fault(body=whole("openai", "", reason)), tmp_path, stream=False)


@pytest.mark.parametrize("reason", ["pause_turn", "compaction", "OTHER", "incomplete", "null", "a new one"])
@pytest.mark.parametrize("service", ["openai", "anthropic"])
def test_a_reply_with_an_unknown_reason_is_not_stored(reason, service, tmp_path):
    _, _, again = asked(Fault(body=whole(service, "half", reason)), tmp_path, service=service, stream=False)

    assert again.text == "again"


# -- replies without text ----------------------------------------------------------------------------------

EMPTY = {
    "empty": {"content": ""},
    "null": {"content": None},
    "absent": {},
    "reasoning alone": {"content": None, "reasoning_content": "hm"},
    "an unknown part": {"content": [{"type": "image", "url": "x"}]},
    "no parts": {"content": []},
    "no calls": {"content": None, "tool_calls": []},
}


@pytest.mark.parametrize("message", EMPTY.values(), ids=EMPTY)
@pytest.mark.parametrize("stream", [True, False])
def test_an_empty_reply_is_not_stored(message, stream, tmp_path):
    body = {"choices": [{"message": message, "finish_reason": "stop"}]}
    step = sse([choice(message, "stop")], DONE) if stream else Fault(body=body)
    reply, _, again = asked(step, tmp_path, stream=stream)

    assert (reply.text, reply.complete) == ("", False)
    assert again.text == "again"


@pytest.mark.parametrize(
    "blocks", [[], [{"type": "thinking", "thinking": "hm"}], [{"type": "text", "text": ""}]]
)
def test_an_empty_message_is_not_stored(blocks, tmp_path):
    step = Fault(body={**whole("anthropic"), "content": blocks})
    reply, _, again = asked(step, tmp_path, service="anthropic", stream=False)

    assert (reply.text, reply.complete, again.text) == ("", False, "again")


# -- token counts ------------------------------------------------------------------------------------------

COUNTED = {"prompt_tokens": 300, "completion_tokens": 40}


@pytest.mark.parametrize(
    "later",
    [
        {},
        None,
        {"prompt_tokens": None, "completion_tokens": None},
        {"prompt_tokens": 0, "completion_tokens": 0},
        {"total_tokens": 340},
        "many",
        [1],
        {"prompt_tokens": 300},
    ],
)
def test_known_counts_of_a_stream_stay_known(later, tmp_path):
    events = [chunk("a", None, usage=COUNTED), chunk(None, "stop"), {"choices": [], "usage": later}]
    usage = asked(sse(events, DONE), tmp_path)[0].usage

    assert (usage.input_tokens, usage.output_tokens) == (300, 40)


def test_the_last_counts_of_a_stream_are_the_largest(tmp_path):
    first = {"prompt_tokens": 300, "completion_tokens": 1}
    events = [chunk("a", None, usage=first), chunk(None, "stop"), {"choices": [], "usage": COUNTED}]
    usage = asked(sse(events, DONE), tmp_path)[0].usage

    assert (usage.input_tokens, usage.output_tokens) == (300, 40)


ZEROS = {
    "openai": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    "anthropic": {"input_tokens": 0, "output_tokens": 0},
}


@pytest.mark.parametrize("service", ZEROS)
@pytest.mark.parametrize("kept", [(), ("first",), ("second",)])
def test_zeros_of_a_service_that_does_not_count_are_unknown_and_not_free(service, kept, tmp_path):
    names = list(ZEROS[service])[:2]
    counts = {**ZEROS[service], **{names[place == "second"]: 25 for place in kept}}
    model = {"openai": "gpt-6-luna", "anthropic": "claude-haiku-5-5"}[service]
    step = Fault(body=whole(service, "some text", usage=counts))
    with (
        FaultServer([step]) as server,
        ainb.Session(
            f"{service}:{model}", api_base=server.base_url, home=tmp_path, budget="1/day"
        ) as session,
    ):
        reply = session.ask("hi")
        costs = session.usage()["cost_usd"].dropna().tolist()

    assert reply.usage.input_tokens == (25 if kept == ("first",) else None)
    assert reply.usage.output_tokens == (25 if kept == ("second",) else None)
    assert reply.cost_usd is None
    assert costs == []
