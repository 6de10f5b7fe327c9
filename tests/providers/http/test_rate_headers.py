"""Tests of rate-limit headers in the formats of all providers."""

from __future__ import annotations

import pytest

from ainb.providers.http.rate_headers import read_limits

OPENAI = {
    "x-ratelimit-limit-requests": "500",
    "x-ratelimit-remaining-requests": "499",
    "x-ratelimit-reset-requests": "12ms",
    "x-ratelimit-limit-tokens": "200000",
    "x-ratelimit-remaining-tokens": "0",
    "x-ratelimit-reset-tokens": "1m0s",
}
ANTHROPIC = {
    "anthropic-ratelimit-input-tokens-limit": "40000",
    "anthropic-ratelimit-input-tokens-remaining": "39000",
    "anthropic-ratelimit-input-tokens-reset": "1970-01-01T00:00:07Z",
}
MISTRAL = {"x-ratelimit-limit-req-minute": "60", "x-ratelimit-remaining-req-minute": "59"}
GROQ_BY_THE_DAY = {
    "x-ratelimit-limit-requests": "14400",
    "x-ratelimit-remaining-requests": "14370",
    "x-ratelimit-reset-requests": "2m59.5s",
}
AZURE_UNKNOWN = {"x-ratelimit-limit-requests": "0", "x-ratelimit-remaining-requests": "0"}


@pytest.mark.parametrize(
    ("headers", "readings"),
    [
        (OPENAI, [("requests", 500.0, 499.0, 0.012), ("tokens", 200_000.0, 0.0, 60.0)]),
        (ANTHROPIC, [("input_tokens", 40_000.0, 39_000.0, 7.0)]),
        (MISTRAL, [("requests", 60.0, 59.0, None)]),
        (GROQ_BY_THE_DAY, []),
        (AZURE_UNKNOWN, [("requests", None, None, None)]),
        ({"x-ratelimit-limit-requests": "-1"}, [("requests", None, None, None)]),
        (
            {"x-ratelimit-limit-tokens": "lots", "x-ratelimit-reset-tokens": "soon"},
            [("tokens", None, None, None)],
        ),
        ({"retry-after": "3", "x-ratelimit-reset": "7"}, []),
    ],
)
def test_limits_by_the_minute_are_read_and_nonsense_is_unknown(headers, readings):
    assert read_limits(headers, unix_now=0.0) == readings
