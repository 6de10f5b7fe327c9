"""Tests of the fault server, on which other tests depend: it follows its plan."""

from __future__ import annotations

import http.client
import json

import pytest

from tests.fault_server import Fault, FaultServer, random_plan


def fetch(server, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request(method, path, body, {"Authorization": "Bearer k"})
        response = connection.getresponse()
        return response.status, response.read(), response.headers
    finally:
        connection.close()


def ask(server, prompt="hi there", **parameters):
    body = {"model": "m", "messages": [{"role": "user", "content": prompt}], **parameters}
    return fetch(server, "POST", "/v1/chat/completions", json.dumps(body))


def text_of(body):
    return json.loads(body)["choices"][0]["message"]["content"]


def test_without_a_plan_it_echoes_and_keeps_what_it_saw():
    with FaultServer() as server:
        status, body, _ = ask(server, "grüße")

    assert (status, text_of(body)) == (200, "grüße")
    assert server.hits == server.served == 1
    assert server.requests[0].headers["authorization"] == "Bearer k"
    assert server.requests[0].path == "/v1/chat/completions"
    assert server.requests[0].body["messages"][0]["content"] == "grüße"


def test_steps_are_played_in_order_and_the_last_is_repeated():
    with FaultServer([503, Fault(status=429, retry_after=2, code="slow"), "done"]) as server:
        answers = [ask(server) for _ in range(4)]

    assert [status for status, _, _ in answers] == [503, 429, 200, 200]
    assert answers[1][2]["retry-after"] == "2"
    assert json.loads(answers[1][1])["error"]["code"] == "slow"
    assert text_of(answers[3][1]) == "done"
    assert (server.hits, server.served) == (4, 2)


def test_a_stream_carries_the_text_word_by_word_and_the_usage_when_asked():
    with FaultServer(["a b  c\nd"]) as server:
        _, body, headers = ask(server, stream=True, stream_options={"include_usage": True})

    events = [line.removeprefix("data: ") for line in body.decode().splitlines() if line]
    chunks = [json.loads(event) for event in events[:-1]]
    assert headers["content-type"] == "text/event-stream"
    assert events[-1] == "[DONE]"
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"]) == "a b  c\nd"
    assert chunks[-1]["usage"]["completion_tokens"] == 4


@pytest.mark.parametrize("action", ["reset", "cut", "not_http"])
def test_broken_connections_break(action):
    with FaultServer([Fault(action=action)]) as server, pytest.raises((OSError, http.client.HTTPException)):
        ask(server)

    assert server.hits == 1


def test_limits_of_its_own_refuse_with_a_wait():
    with FaultServer(requests_per_minute=60, burst=2) as bucket, FaultServer(window=(1, 60.0)) as window:
        first = [ask(bucket)[0] for _ in range(3)]
        second = [ask(window) for _ in range(2)]

    assert first == [200, 200, 429]
    assert [status for status, _, _ in second] == [200, 429]
    assert 0 < float(second[1][2]["retry-after"]) <= 60
    assert (bucket.limited, window.limited) == (1, 1)


def test_a_random_plan_is_the_same_for_the_same_seed():
    plans = [random_plan(7, {503: 0.3, Fault(action="cut"): 0.1}) for _ in range(2)]

    steps = [[plan(None) for _ in range(200)] for plan in plans]
    assert steps[0] == steps[1]
    assert 40 <= steps[0].count(503) <= 80


def test_it_lists_models_and_checks_the_key():
    with FaultServer(api_key="k", models=["one"]) as server:
        listed = json.loads(fetch(server, "GET", "/v1/models")[1])
        server.api_key = "another"
        status, _, _ = ask(server)

    assert [item["id"] for item in listed["data"]] == ["one"]
    assert status == 401


def test_the_fast_path_answers_the_same():
    with FaultServer(record=False) as server:
        assert server.fast
        assert text_of(ask(server, "x")[1]) == "x"
        assert b"[DONE]" in ask(server, stream=True)[1]
        assert server.hits == server.served == 2
