"""Tests of provider errors: classification by status and code, and messages with a fix."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ainb.errors import PermanentProviderError, ProviderError, TransientProviderError
from ainb.providers.http.faults import Origin, clean, response_fault
from ainb.providers.http.refusal import read_refusal

KEY = "sk-very-secret-0123456789"
ORIGIN = Origin(
    service="openai",
    base_url="https://api.openai.com/v1",
    key_variable="OPENAI_API_KEY",
    base_url_variable="OPENAI_BASE_URL",
    secrets=(KEY,),
)


def fault(status, body=b"", headers=None, **more):
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return response_fault(ORIGIN, status, raw, headers=headers or {}, **more)


def openai_error(message="no", code=None, kind="invalid_request_error"):
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 520, 529, 599])
def test_these_statuses_are_transient(status):
    assert type(fault(status)) is TransientProviderError


@pytest.mark.parametrize("status", [301, 307, 400, 401, 402, 403, 404, 405, 413, 418, 422])
def test_these_statuses_are_permanent(status):
    assert type(fault(status)) is PermanentProviderError


@pytest.mark.parametrize(
    "body",
    [
        openai_error("You exceeded your current quota", "insufficient_quota", "insufficient_quota"),
        openai_error("You exceeded your current quota", None, "insufficient_quota"),
        openai_error("Insufficient Balance"),
        openai_error("Your credit balance is too low to access the API"),
        openai_error(
            "Rate limit reached for model `x` on tokens per day (TPD): Limit 100000", "rate_limit_exceeded"
        ),
        openai_error("Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 a day", 429),
        [
            {
                "error": {
                    "code": 429,
                    "message": "You exceeded your current quota",
                    "status": "RESOURCE_EXHAUSTED",
                    "details": [
                        {
                            "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                            "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}],
                        }
                    ],
                }
            }
        ],
    ],
)
def test_a_429_of_quota_credit_or_a_day_is_permanent(body):
    error = fault(429, body)

    assert type(error) is PermanentProviderError
    assert "waiting a minute does not help" in str(error)


@pytest.mark.parametrize(
    "body",
    [
        openai_error(
            "Rate limit reached for gpt-4 on tokens per min (TPM): Limit 10000",
            "rate_limit_exceeded",
            "tokens",
        ),
        openai_error(
            "Rate limit reached on requests per min. Add a payment method at https://x.com/account/billing"
        ),
        openai_error("Requests rate limit exceeded"),
        [
            {
                "error": {
                    "code": 429,
                    "message": "You exceeded your current quota",
                    "status": "RESOURCE_EXHAUSTED",
                }
            }
        ],
    ],
)
def test_a_429_of_a_minute_is_transient_and_names_the_option(body):
    error = fault(429, body)

    assert type(error) is TransientProviderError
    assert "requests_per_minute" in str(error)


def test_what_the_headers_say_is_on_the_error():
    headers = {"retry-after-ms": "1500", "x-should-retry": "false", "x-ratelimit-remaining-requests": "0"}
    error = fault(429, openai_error("slow down", "rate_limit_exceeded"), headers, request_id="req_1")

    assert (error.status_code, error.code, error.request_id) == (429, "rate_limit_exceeded", "req_1")
    assert (error.retry_after, error.should_retry, error.billed) == (1.5, False, False)
    assert error.headers == headers


def test_googles_retry_delay_is_read_from_the_body():
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "45.8s"}]
    body = [{"error": {"code": 429, "message": "slow", "status": "RESOURCE_EXHAUSTED", "details": details}}]

    assert fault(429, body).retry_after == 45.8


@pytest.mark.parametrize(
    ("status", "way_out"),
    [
        (401, "check the key in OPENAI_API_KEY"),
        (402, "add credit"),
        (403, "whether it may use gpt-x"),
        (404, "%ai list openai"),
        (413, "shorten the prompt"),
        (422, "change the request"),
        (503, "another attempt may succeed"),
    ],
)
def test_each_status_has_a_fix(status, way_out):
    assert way_out in str(fault(status, openai_error(), model="gpt-x"))


def test_a_missing_key_is_to_be_set_rather_than_checked():
    origin = Origin(service="vllm", base_url="http://127.0.0.1:8000/v1", key_variable="VLLM_API_KEY")

    assert "set a key in VLLM_API_KEY" in str(response_fault(origin, 401, b"", headers={}))


@pytest.mark.parametrize(
    "body",
    [
        openai_error("This model's maximum context length is 8192 tokens.", "context_length_exceeded"),
        openai_error("maximum context length is 4096 tokens. However, you requested 5000"),
        openai_error("prompt is too long: 210000 tokens > 200000 maximum"),
    ],
)
def test_a_prompt_that_is_too_long_says_so_and_is_permanent_whatever_the_status(body):
    for status in (400, 500):
        error = fault(status, body)
        assert type(error) is PermanentProviderError
        assert "shorten the prompt" in str(error)


def test_llama_cpp_gives_both_numbers():
    body = {
        "error": {
            "code": 400,
            "message": "the request exceeds the available context size, try increasing it",
            "type": "exceed_context_size_error",
            "n_prompt_tokens": 5000,
            "n_ctx": 4096,
        }
    }

    error = fault(400, body)
    assert type(error) is PermanentProviderError
    assert error.code == "exceed_context_size_error"
    assert "5000 tokens" in str(error)
    assert "4096 tokens" in str(error)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (openai_error("plain words"), "plain words"),
        ({"error": "model 'x' not found"}, "model 'x' not found"),
        (
            {"object": "error", "message": "Invalid model: x", "type": "invalid_model", "code": "1500"},
            "Invalid model: x",
        ),
        ({"detail": "Not Found"}, "Not Found"),
        ({"detail": [{"loc": ["body", "temperature"], "msg": "too hot"}]}, "body.temperature: too hot"),
        ({"message": {"detail": [{"loc": ["body", "n"], "msg": "too many"}]}}, "body.n: too many"),
        (
            {"error": {"message": "Provider returned error", "metadata": {"raw": "upstream is sad"}}},
            "upstream is sad",
        ),
        ("just a string", "just a string"),
        (b"no JSON at all", "no JSON at all"),
        (b"<html><title>502 Bad\nGateway</title></html>", "an HTML page"),
    ],
)
def test_messages_are_found_in_bodies_of_every_shape(body, said):
    assert said in str(fault(500, body))


def test_a_message_is_one_short_line_without_escapes_controls_or_key():
    nasty = f"\x1b[31mred\x1b]0;title\x07\nnext\u2028line\u202e {KEY} \x00{'x' * 5000}"

    text = str(fault(401, openai_error(nasty, code=f"bad_{KEY}")))
    assert text.isprintable()
    assert KEY not in text
    assert "***" in text
    assert len(text) < 600


def test_a_key_is_hidden_before_the_text_is_cut():
    text = clean("x" * 290 + KEY + "y", (KEY,))

    assert not any(KEY[:length] in text for length in range(6, len(KEY)))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["error", "message", "detail", "code", "type", "details", "msg", "loc", "metadata", "raw"]
            )
            | st.text(max_size=5),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@settings(deadline=None, max_examples=300)
@given(st.one_of(JSON.map(orjson.dumps), st.binary(max_size=200)), st.integers(300, 599))
def test_any_error_body_is_read_without_an_error(body, status):
    error = fault(status, body)

    assert isinstance(error, ProviderError)
    assert str(error).isprintable()
    assert read_refusal(body).retry_after is None


def test_a_secret_at_the_cut_of_a_long_message_is_not_left_in_half():
    secret = "sk-" + "proj-a1B2c3D4e5F6g7H8i9J0k1L2m3"

    for before in range(280, 320):
        said = clean("x " * (before // 2) + secret + " more" * 50)
        assert "sk-" not in said
        assert len(said) <= 300


def test_a_picture_for_a_model_that_reads_none_is_permanent_though_the_server_says_500():
    error = fault(
        500, openai_error("image input is not supported - hint: mmproj", None, "server_error"), model="m"
    )

    assert type(error) is PermanentProviderError
    assert "m reads no pictures; leave the picture out, or use a model that reads them" in str(error)
