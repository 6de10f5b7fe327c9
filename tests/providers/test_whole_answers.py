"""Tests of incomplete answers in both protocols: errors with status 200, cut streams, refusals, filters."""

from __future__ import annotations

import json

import orjson
import pytest

import ainb
from ainb.errors import (
    ContentFilteredError,
    InvalidReplyError,
    PermanentProviderError,
    ProviderError,
    RefusedError,
    TransientProviderError,
)
from ainb.providers.http.no_proxy import is_excluded
from tests.fault_server import Fault, FaultServer

SERVICES = ("openai", "anthropic")
STREAM = {"content-type": "text/event-stream; charset=utf-8"}
TEXT = "half an answer"
LIST = '["a"]'


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-made-up-0123456789")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-made-up-0123456789")


def chunk(text=None, finish=None, **more):
    delta = {} if text is None else {"content": text}
    return {"model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


def begun(service, text=TEXT):
    """Events of a stream that has begun and not ended."""
    if service == "openai":
        return [chunk(text)]
    return [
        {
            "type": "message_start",
            "message": {"model": "m", "usage": {"input_tokens": 3, "output_tokens": 1}},
        },
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
    ]


def ended(service, reason=None):
    if service == "openai":
        return [chunk(None, reason or "stop")]
    return [
        {
            "type": "message_delta",
            "delta": {"stop_reason": reason or "end_turn"},
            "usage": {"output_tokens": 5},
        },
        {"type": "message_stop"},
    ]


def whole(service, text=TEXT, reason=None, **more):
    if service == "openai":
        message = {"role": "assistant", "content": text}
        return {"model": "m", "choices": [{"message": message, "finish_reason": reason or "stop"}], **more}
    content = [{"type": "text", "text": text}]
    return {"type": "message", "model": "m", "content": content, "stop_reason": reason or "end_turn", **more}


def sse(items, end=b""):
    lines = [item if isinstance(item, bytes) else b"data: " + orjson.dumps(item) for item in items]
    return Fault(body=b"".join(line + b"\n\n" for line in lines) + end, headers=STREAM)


def session_for(service, server, tmp_path, **options):
    options = {"retry": None, "circuit": None, **options}
    return ainb.Session(f"{service}:m", api_base=server.base_url, home=tmp_path, **options)


ERRORS = {
    "object with code": ({"error": {"code": 502, "message": "Upstream broke"}}, 502, "Upstream broke"),
    "code as text": ({"error": {"code": "429", "message": "Slow down"}}, 429, "Slow down"),
    "type alone": ({"error": {"type": "overloaded_error", "message": "Overloaded"}}, 529, "Overloaded"),
    "text": ({"error": "it broke"}, 500, "it broke"),
    "object error": ({"object": "error", "message": "no such model", "code": 404}, 404, "no such model"),
    "type error": ({"type": "error", "error": {"type": "api_error", "message": "Internal"}}, 500, "Internal"),
    "code and msg": ({"code": 1302, "msg": "too many requests at once"}, 500, "too many requests"),
    "status": ({"error": {"status": 503, "message": "Down"}}, 503, "Down"),
    "success false": ({"success": False, "message": "not now"}, 500, "not now"),
    "list": (
        [{"error": {"code": 400, "message": "Bad request", "status": "INVALID_ARGUMENT"}}],
        400,
        "Bad request",
    ),
    "detail": ({"detail": "the worker died"}, 500, "the worker died"),
}


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(("body", "status", "words"), ERRORS.values(), ids=ERRORS)
class TestAnErrorInsideA200:
    def test_of_a_whole_reply_is_an_error_row_and_never_cached(self, service, body, status, words, tmp_path):
        with (
            FaultServer([Fault(body=body), "fine"]) as server,
            session_for(service, server, tmp_path) as session,
        ):
            with pytest.raises(ProviderError, match=words) as caught:
                session.ask("hi")
            assert session.usage()["status"].tolist() == ["error"]
            assert session.ask("hi").text == "fine"

        assert caught.value.status_code == status
        assert isinstance(caught.value, TransientProviderError) is (status >= 429)

    @pytest.mark.parametrize("at", ["alone", "after text", "after the end"])
    def test_of_a_stream_is_an_error_wherever_it_stands(self, service, body, status, words, at, tmp_path):
        before = {"alone": [], "after text": begun(service), "after the end": [*begun(service)]}[at]
        after = ended(service) if at == "after the end" else []
        step = sse([*before, body, *after])
        with FaultServer([step]) as server, session_for(service, server, tmp_path) as session:
            with pytest.raises(ProviderError, match=words) as caught:
                session.ask("hi", on_text=lambda _text: None)
            assert session.usage()["status"].tolist() == ["error"]

        assert caught.value.status_code == status

    def test_is_retried_where_nothing_was_shown(self, service, body, status, words, tmp_path):
        retry = ainb.Retry(attempts=2, base_seconds=0.001)
        with FaultServer([Fault(body=body), "fine"]) as server:
            with session_for(service, server, tmp_path, retry=retry) as session:
                if status >= 429:
                    assert session.ask("hi").text == "fine"
                else:
                    with pytest.raises(PermanentProviderError, match=words):
                        session.ask("hi")
            assert server.hits == (2 if status >= 429 else 1)


BESIDE = {
    "error beside the choices": whole("openai", error={"code": 502, "message": "cut off upstream"}),
    "error in the choice": {
        "choices": [
            {
                "message": {"content": TEXT},
                "finish_reason": "stop",
                "error": {"code": 502, "message": "cut off"},
            }
        ]
    },
    "finish_reason error": whole("openai", reason="error"),
    "error and null choices": {"choices": None, "error": {"code": 502, "message": "cut off"}},
}


@pytest.mark.parametrize("body", BESIDE.values(), ids=BESIDE)
def test_an_error_beside_the_text_of_a_whole_reply_counts(body, tmp_path):
    with (
        FaultServer([Fault(body=body)]) as server,
        session_for("openai", server, tmp_path) as session,
        pytest.raises(TransientProviderError),
    ):
        session.ask("hi")


@pytest.mark.parametrize(
    "last",
    [
        chunk(None, "error"),
        chunk("", "error", error={"code": 502, "message": "Provider disconnected"}),
        b'error: {"code": 502, "message": "broke"}',
        b"error: broke",
        b'event: error\ndata: {"message": "broke", "code": 502}',
        b"event: error\ndata: broke",
        b"event: error",
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_an_error_of_an_event_counts_first_or_last(last, first, tmp_path):
    step = sse([last] if first else [chunk(TEXT), last], b"data: [DONE]\n\n")
    with (
        FaultServer([step]) as server,
        session_for("openai", server, tmp_path) as session,
        pytest.raises(TransientProviderError),
    ):
        session.ask("hi", on_text=lambda _text: None)


@pytest.mark.parametrize(
    "body",
    [
        whole("openai", error=None),
        whole("openai", error={}),
        whole("openai", error={"code": None, "message": ""}),
    ],
)
def test_an_empty_error_is_none(body, tmp_path):
    with FaultServer([Fault(body=body)]) as server, session_for("openai", server, tmp_path) as session:
        assert session.ask("hi").text == TEXT


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("end", [b"data: [DONE]\n\n", b"", b": bye\n\n"])
class TestAStreamThatEndsUnfinished:
    def test_is_shown_and_never_stored(self, service, end, tmp_path):
        with FaultServer([sse(begun(service), end), "whole"]) as server:
            with session_for(service, server, tmp_path) as session:
                pieces = []
                reply = session.ask("hi", on_text=pieces.append)
                again = session.ask("hi")
            with session_for(service, server, tmp_path) as other:
                third = other.ask("hi")

        assert (reply.text, "".join(pieces), reply.finish_reason, reply.complete) == (TEXT, TEXT, None, False)
        assert (again.text, again.cached) == ("whole", False)
        assert (third.text, third.cached) == ("whole", True)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"\xef\xbb\xbf" + orjson.dumps(whole("openai", "ok")), "ok"),
        (json.dumps(whole("openai", "a\ud83d b")).encode(), "a\ufffd b"),
        (json.dumps(whole("openai", "\ud83d\ude00")).encode(), "\U0001f600"),
        (json.dumps(whole("openai", "ok", logprob=float("nan"), low=float("-inf"))).encode(), "ok"),
        (orjson.dumps(whole("openai", "a@b")).replace(b"@", b"\x01"), "a\x01b"),
        (orjson.dumps(whole("openai", "a@b")).replace(b"@", b"\xff"), "a\ufffdb"),
        (orjson.dumps(whole("openai", "ok", usage={"prompt_tokens": 12.0, "completion_tokens": 2.0})), "ok"),
    ],
)
def test_bytes_that_other_clients_read_are_read(body, text, tmp_path):
    with FaultServer([Fault(body=body)]) as server, session_for("openai", server, tmp_path) as session:
        assert session.ask("hi").text == text
        assert server.hits == 1


@pytest.mark.parametrize(
    "noise",
    [
        b"data:",
        b"data: ",
        b": keep-alive",
        b":",
        b"event: ping",
        b"id: 7",
        b"retry: 100",
        b"\xef\xbb\xbf: first",
    ],
)
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_noise_between_events_is_skipped(noise, line_end, tmp_path):
    events = [
        noise,
        b"data: " + orjson.dumps(chunk("ok")),
        noise,
        b"data: " + orjson.dumps(chunk(None, "stop")),
        noise,
    ]
    body = b"".join(event + 2 * line_end for event in events) + b"data: [DONE]" + 2 * line_end
    with (
        FaultServer([Fault(body=body, headers=STREAM)]) as server,
        session_for("openai", server, tmp_path) as session,
    ):
        reply = session.ask("hi", on_text=lambda _text: None)

    assert (reply.text, reply.complete) == ("ok", True)


@pytest.mark.parametrize(
    "pieces", [["a\ud83d", "\ude00b"], ["\ud83d", "\ude00"], ["x", "\ud83d", "\ude00", "y"]]
)
def test_a_surrogate_pair_over_two_chunks_is_one_character(pieces, tmp_path):
    lines = [b"data: " + json.dumps(chunk(piece)).encode() for piece in pieces]
    step = sse([*lines, chunk(None, "stop")], b"data: [DONE]\n\n")
    shown = []
    with FaultServer([step]) as server, session_for("openai", server, tmp_path) as session:
        reply = session.ask("hi", on_text=shown.append)

    assert reply.text == "".join(shown) == "".join(pieces).encode("utf-16", "surrogatepass").decode("utf-16")


FILTERED = {
    "no message": {"choices": [{"index": 0, "finish_reason": "content_filter"}]},
    "null message": {"choices": [{"message": None, "finish_reason": "content_filter"}]},
    "empty content": whole("openai", "", "content_filter"),
    "gemini": {"choices": [{"message": {"content": None}, "finish_reason": "content_filter: SAFETY"}]},
    "azure": {
        "choices": [
            {
                "message": {"content": ""},
                "finish_reason": "content_filter",
                "content_filter_results": {"violence": {"filtered": True, "severity": "high"}},
            }
        ]
    },
}


def ends_at_once(step, kind, tmp_path, service="openai", **options):
    retry = ainb.Retry(attempts=4, base_seconds=0.001)
    circuit = ainb.Circuit(minimum_calls=1, failure_rate=0.01)
    with FaultServer([step]) as server:
        with session_for(service, server, tmp_path, retry=retry, circuit=circuit) as session:
            with pytest.raises(kind) as caught:
                session.ask("hi", **options)
            assert session.status()["circuit"].dropna().tolist() == ["closed"]
        assert server.hits == 1
    return caught.value


@pytest.mark.parametrize("schema", [None, list[str]])
@pytest.mark.parametrize("body", FILTERED.values(), ids=FILTERED)
def test_a_filtered_reply_is_one_request(body, schema, tmp_path):
    ends_at_once(Fault(body=body), ContentFilteredError, tmp_path, schema=schema)


def test_an_error_names_the_category_of_a_filter(tmp_path):
    error = ends_at_once(Fault(body=FILTERED["azure"]), ContentFilteredError, tmp_path)

    assert error.category == "violence"


def test_a_prompt_that_azure_filters_is_one_request(tmp_path):
    ends_at_once(Fault(status=400, code="content_filter", message="filtered"), ContentFilteredError, tmp_path)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("service", SERVICES)
def test_a_refusal_is_one_request(service, stream, tmp_path):
    details = {"type": "refusal", "category": "cyber", "explanation": "I cannot help with that"}
    if service == "openai":
        message = {"role": "assistant", "content": None, "refusal": "I cannot help with that"}
        body = {"choices": [{"message": message, "finish_reason": "stop"}]}
        parts = [
            {"choices": [{"index": 0, "delta": {"refusal": text}}]}
            for text in ("I cannot ", "help with that")
        ]
        events = [*parts, chunk(None, "stop")]
    else:
        body = {**whole("anthropic", "", "refusal"), "content": [], "stop_details": details}
        events = [begun("anthropic")[0], *ended("anthropic", "refusal")]
        events[-2]["delta"]["stop_details"] = details
    step = sse(events) if stream else Fault(body=body)
    options = {"on_text": lambda _text: None} if stream else {}

    error = ends_at_once(step, RefusedError, tmp_path, service, **options)

    assert "I cannot help with that" in str(error)
    assert error.category == (None if service == "openai" else "cyber")


@pytest.mark.parametrize("service", SERVICES)
def test_a_reply_cut_at_its_limit_is_asked_once(service, tmp_path):
    reason = "length" if service == "openai" else "max_tokens"
    step = Fault(body=whole(service, '{"label": "pos', reason))
    error = ends_at_once(step, InvalidReplyError, tmp_path, service, schema="label: str", max_tokens=40)

    assert "the reply was cut at max_tokens = 40" in str(error)
    assert "--max-tokens" in str(error)


@pytest.mark.parametrize("service", SERVICES)
def test_asking_again_after_an_empty_reply_sends_no_empty_turn(service, tmp_path):
    steps = [Fault(body=whole(service, "")), Fault(body=whole(service, '{"label": "x"}'))]
    with FaultServer(steps) as server, session_for(service, server, tmp_path) as session:
        assert session.ask("hi", schema="label: str").parsed == {"label": "x"}
        turns = server.requests[1].body["messages"]

    assert all(turn["content"] for turn in turns)


VALUE = '{"label": "pos"}'
FOUND = {
    "thinking": f'<think>maybe {{"label": "neg"}}?</think>\n{VALUE}',
    "prose": f"Sure! Here it is: {VALUE} Hope that helps.",
    "unclosed fence": f"```json\n{VALUE}",
    "second fence": f"```python\nprint(1)\n```\nand\n```json\n{VALUE}\n```",
    "string of JSON": json.dumps(VALUE),
    "tool call": json.dumps([{"name": "reply", "arguments": VALUE}]),
    "function call": json.dumps({"function": {"name": "reply", "arguments": {"label": "pos"}}}),
    "said twice": f'{VALUE}\n\nTo repeat:\n```\n{{ "label" : "pos" }}\n```',
    "another object first": f'{{"note": 1}} {VALUE}',
}
REFUSED = {
    "two that differ": f'{VALUE} or {{"label": "neg"}}',
    "none": "positive",
    "two fences that differ": f'```\n{VALUE}\n```\n```\n{{"label": "neg"}}\n```',
}


@pytest.mark.parametrize("text", FOUND.values(), ids=FOUND)
def test_json_is_found_where_a_person_would_find_it(text, tmp_path):
    with FaultServer([Fault(body=whole("openai", text))]) as server:
        with session_for("openai", server, tmp_path) as session:
            assert session.ask("hi", schema="label: pos|neg").parsed == {"label": "pos"}
            assert session.ask("hi", schema="label: pos|neg").parsed == {"label": "pos"}  # from the cache
        assert server.hits == 1


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_what_is_not_one_value_is_refused(text, tmp_path):
    with FaultServer([Fault(body=whole("openai", text))]) as server:
        with session_for("openai", server, tmp_path) as session, pytest.raises(InvalidReplyError):
            session.ask("hi", schema="label: pos|neg")
        assert server.hits == 2


@pytest.mark.parametrize("status", [429, 413])
@pytest.mark.parametrize(
    "said",
    [
        "Request too large for m in organization o on tokens per min (TPM): Limit 30000, Requested 45210.",
        "Request too large: Limit: 30,000, Requested: 45,210. Please reduce your message size.",
    ],
)
def test_a_request_that_no_wait_can_cure_is_one_request(status, said, tmp_path):
    step = Fault(status=status, code="rate_limit_exceeded", message=said, retry_after=1)
    error = ends_at_once(step, PermanentProviderError, tmp_path)

    assert "shorten the prompt" in str(error)


def test_a_request_that_fits_after_a_wait_is_tried_again(tmp_path):
    said = "Rate limit reached: Limit 30000, Used 29000, Requested 2000. Please try again in 2s."
    step = Fault(status=429, code="rate_limit_exceeded", message=said)
    retry = ainb.Retry(attempts=2, base_seconds=0.001)
    with (
        FaultServer([step, "fine"]) as server,
        session_for("openai", server, tmp_path, retry=retry) as session,
    ):
        assert session.ask("hi").text == "fine"


@pytest.mark.parametrize(
    ("no_proxy", "host", "port", "excluded"),
    [
        ("*.internal.example", "a.internal.example", 443, True),
        ("*.internal.example", "internal.example", 443, True),
        ("*.internal.example", "notinternal.example", 443, False),
        (".example", "llm.example", 443, True),
        ("example", "llm.example", 443, True),
        ("example", "badexample", 443, False),
        ("llm.example:8443", "llm.example", 8443, True),
        ("llm.example:8443", "llm.example", 443, False),
        ("llm.example:443", "llm.example", None, True),
        ("10.0.0.0/8", "10.20.30.40", 443, True),
        ("10.0.0.0/8", "11.20.30.40", 443, False),
        ("10.20.30.40", "10.20.30.40", 443, True),
        ("fd00::/8", "fd12::1", 443, True),
        ("[fd12::1]:8080", "fd12::1", 8080, True),
        ("[fd12::1]:8080", "fd12::1", 443, False),
        ("[fd00::]/8", "fd12::1", 443, True),
        ("fd12::1", "[fd12::1]", 443, True),
        ("a.example, b.example", "b.example", 443, True),
        ("a.example b.example", "b.example", 443, True),
        ("*", "any.example", 443, True),
        ("LLM.Example", "llm.example", 443, True),
        ("", "llm.example", 443, False),
        (",.,*.", "llm.example", 443, False),
        ("10.0.0.0/99", "10.0.0.1", 443, False),
    ],
)
def test_no_proxy_is_read_as_curl_and_requests_do(no_proxy, host, port, excluded):
    assert is_excluded(no_proxy, "https", host, port) is excluded
