"""Tests of the ends of answers: finish reasons of many services, empty replies, token counts."""

from __future__ import annotations

import pytest

import ainb
from ainb.errors import ContentFilteredError, InvalidReplyError, TransientProviderError
from tests.fault_server import Fault, FaultServer
from tests.providers.test_odd_answers import DONE, asked, choice
from tests.providers.test_whole_answers import chunk, keys, session_for, sse, whole

__all__ = ["keys"]


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
