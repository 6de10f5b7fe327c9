"""Tests of network and provider faults: every adapter raises the same errors."""

from __future__ import annotations

import asyncio
import pickle

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ainb.clock import SYSTEM_CLOCK
from ainb.errors import AinbError, PermanentProviderError, ProviderError, TransientProviderError
from ainb.messages import Call, CallOptions, Message, Reply, Request
from ainb.providers import make_provider
from ainb.providers.http.client import close_clients
from tests.fault_server import Fault, FaultServer

KEY = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)


@pytest.fixture(params=["openai", "anthropic"])
def service(request):
    return request.param


def run(work):
    async def main():
        try:
            return await asyncio.wait_for(work, 30)
        finally:
            await close_clients()

    return asyncio.run(main())


def make_call(service, base, *, adapter=None, pieces=None, text="hi"):
    request = Request(provider=service, model="m", messages=(Message("user", text),), api_base=base)
    options = CallOptions(on_text=None if pieces is None else pieces.append)
    return Call(
        request=request, provider=adapter or make_provider(service, clock=SYSTEM_CLOCK), options=options
    )


def ask(service, base, **fields):
    call = make_call(service, base, **fields)
    return run(call.provider.send(call))


def fails(service, *steps, stream=False):
    with FaultServer(steps) as server, pytest.raises(ProviderError) as caught:
        ask(service, server.base_url, pieces=[] if stream else None)
    return caught.value


BOTH = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])


@BOTH
@pytest.mark.parametrize(
    ("step", "words", "billed"),
    [
        (Fault(action="reset"), "closed the connection without an answer", True),
        (Fault(action="cut"), "broke off in the middle", True),
        (Fault(action="garbage"), "not JSON", True),
        (Fault(action="html"), "an HTML page '502 Bad Gateway'", True),
        (Fault(action="empty"), "an empty body", True),
        (Fault(action="no_choices"), "without content|no choice", True),
        (Fault(action="wrong_types"), "without content|a choice without a message", True),
        (Fault(action="not_http"), "does not speak HTTP", True),
        (Fault(status=503), "answered 503", False),
        (Fault(status=429, retry_after=3), "answered 429", False),
        (Fault(status=502, action="html"), "an HTML page", False),
        (Fault(status=529, action="empty"), "answered 529", False),
        (Fault(body={"error": {"message": "upstream died", "code": 502}}), "upstream died", False),
    ],
)
def test_every_transient_fault_is_a_clear_error(step, words, billed, stream, service):
    error = fails(service, step, stream=stream)

    assert type(error) is TransientProviderError
    assert any(one in str(error) for one in words.split("|"))
    assert error.billed is billed
    assert error.__cause__ is None
    assert str(error).isprintable()
    if step.retry_after:
        assert error.retry_after == 3


@BOTH
@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422])
def test_refusals_are_permanent_and_not_billed(status, stream, service):
    error = fails(service, Fault(status=status, code="why", message=f"because {KEY}"), stream=stream)

    assert type(error) is PermanentProviderError
    assert (error.status_code, error.code, error.request_id, error.billed) == (
        status,
        "why",
        "req_fault",
        False,
    )
    assert "because ***" in str(error)


def test_a_redirect_is_not_followed_and_the_key_stays_here(service):
    with FaultServer() as other:
        step = Fault(status=307, headers={"location": f"{other.base_url}/chat/completions?key=x"})
        error = fails(service, step)

    assert type(error) is PermanentProviderError
    assert "not followed" in str(error)
    assert "?key" not in str(error)
    assert other.hits == 0


def test_no_trace_of_the_key_is_left_in_an_error(service):
    for step in (
        Fault(status=401, message=KEY),
        Fault(action="reset"),
        Fault(action="not_http"),
        Fault(action="garbage"),
    ):
        error = fails(service, step)
        shown = [repr(error), str(vars(error)), repr(error.__context__), repr(error.__cause__)]
        trace = error.__traceback__
        while trace is not None:
            shown.append(
                repr(
                    {
                        name: value
                        for name, value in trace.tb_frame.f_locals.items()
                        if "ainb/" in trace.tb_frame.f_code.co_filename
                    }
                )
            )
            trace = trace.tb_next
        assert not [text for text in shown if KEY in text]


def test_errors_pickle(service):
    error = pickle.loads(pickle.dumps(fails(service, Fault(status=429, retry_after=3, code="slow"))))  # noqa: S301 - our own bytes

    assert (error.status_code, error.retry_after, error.code) == (429, 3.0, "slow")


def test_nothing_listening_is_said_and_not_billed(service):
    with pytest.raises(TransientProviderError, match="nothing answers at 127") as caught:
        ask(service, "http://127.0.0.1:9/v1")
    assert not caught.value.billed


def test_a_cancelled_call_closes_its_connection_and_the_next_one_works(service):
    adapter = make_provider(service, clock=SYSTEM_CLOCK)
    with FaultServer([Fault(action="hang"), "fine"]) as server:

        async def story():
            def call():
                return make_call(service, server.base_url, adapter=adapter)

            task = asyncio.create_task(adapter.send(call()))
            assert await asyncio.to_thread(server.wait_for_hits, 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return await adapter.send(call())

        assert run(story()).text == "fine"


@pytest.mark.parametrize("size", [1, 2, 7, 64])
def test_a_stream_may_be_split_anywhere(service, size):
    pieces = []
    with FaultServer([Fault(text="grüße 🎈 an\nalle", chunk_bytes=size)]) as server:
        reply = ask(service, server.base_url, pieces=pieces)

    assert reply.text == "".join(pieces) == "grüße 🎈 an\nalle"
    assert reply.usage.output_tokens == 4


def test_a_cut_stream_is_transient_after_its_text_was_shown(service):
    pieces = []
    step = Fault(text="a b c d e f g h i j", action="cut")
    with FaultServer([step]) as server, pytest.raises(TransientProviderError, match="broke off") as caught:
        ask(service, server.base_url, pieces=pieces)

    assert pieces
    assert caught.value.billed
    assert caught.value.request_id == "req_fault"


# Arbitrary responses

EVENTS = [
    "message_start",
    "message_delta",
    "message_stop",
    "content_block_start",
    "content_block_delta",
    "text",
    "tool_use",
    "text_delta",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 2**53) | st.text(max_size=8) | st.sampled_from(EVENTS),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "message",
                    "delta",
                    "content",
                    "error",
                    "code",
                    "usage",
                    "model",
                    "finish_reason",
                    "type",
                    "text",
                    "index",
                    "content_block",
                    "stop_reason",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)
BODY = st.one_of(
    st.binary(max_size=60),
    JSON.map(orjson.dumps),
    st.lists(JSON, max_size=4).map(
        lambda items: (
            b"".join(b"data: " + orjson.dumps(item) + b"\n\n" for item in items) + b"data: [DONE]\n\n"
        )
    ),
)
KINDS = st.sampled_from(["application/json", "text/event-stream", "text/html", "image/png"])


async def outcome_of(work):
    try:
        return await asyncio.wait_for(work, 10)
    except AinbError as error:
        return error


def test_whatever_a_server_answers_is_a_reply_or_one_of_our_errors(service):
    steps = []
    adapter = make_provider(service, clock=SYSTEM_CLOCK)
    loop = asyncio.new_event_loop()

    with FaultServer(lambda _seen: steps[-1], record=False) as server:

        @settings(deadline=None, max_examples=250, suppress_health_check=[HealthCheck.too_slow])
        @given(
            BODY,
            KINDS,
            st.sampled_from([200, 200, 200, 206, 400, 429, 500]),
            st.booleans(),
            st.sampled_from([None, 3]),
        )
        def any_answer(body, kind, status, stream, size):
            steps.append(Fault(body=body, status=status, headers={"content-type": kind}, chunk_bytes=size))
            options = CallOptions(on_text=(lambda _text: None) if stream else None)
            call = Call(
                request=make_call(service, server.base_url).request, provider=adapter, options=options
            )
            outcome = loop.run_until_complete(outcome_of(adapter.send(call)))
            assert isinstance(outcome, Reply | AinbError)
            assert isinstance(outcome, AinbError) or isinstance(outcome.text, str)
            assert isinstance(outcome, Reply) or str(outcome).isprintable()

        any_answer()
        loop.run_until_complete(close_clients())
    loop.close()
