"""Tests of Retry-After, reset and other headers, in valid and invalid forms."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ainb.providers.http.headers import (
    parse_duration,
    parse_reset,
    parse_retry_after,
    rate_limit_headers,
    request_id,
    should_retry,
)

NOW = 1_700_000_000.0


def date(seconds_from_now):
    return format_datetime(datetime.fromtimestamp(NOW + seconds_from_now, UTC), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after": "2\x1f"}, 2.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after-ms": "oops", "retry-after": "7"}, 7.0),
        ({"retry-after-ms": "-1", "retry-after": "7"}, 7.0),
        ({"retry-after": date(30)}, 30.0),
        ({"retry-after": date(-30)}, None),
        ({"retry-after": "0"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "NaN"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e9"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Mon, 99 Foo 2023 99:99:99 GMT"}, None),
        ({}, None),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 -2359"}, 253_402_387_139.0 - NOW),
        ({"retry-after": "Tue, 14 Nov 2023 22:14:00 -0000"}, 40.0),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 +99999999"}, None),
    ],
)
def test_retry_after_is_read_in_all_forms(headers, seconds):
    assert parse_retry_after(headers, unix_now=NOW) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12ms", 0.012),
        ("6m0s", 360.0),
        ("1h2m3.5s", 3723.5),
        ("45.8s", 45.8),
        ("500us", 0.0005),
        ("1d", 86_400.0),
        ("60", 60.0),
        ("0", 0.0),
        ("2023-11-14T22:14:20Z", 60.0),
        ("2023-11-14T23:14:20+01:00", 60.0),
        ("2023-11-14T22:12:20Z", 0.0),
        (str(NOW + 5), 5.0),
        (str(int(NOW + 5) * 1000), 5.0),
        ("-1", None),
        ("6m 0s", None),
        ("ms", None),
        ("12 parsecs", None),
        ("", None),
        (None, None),
        ("2023-11-14T22:14:00", 40.0),
        ("0001-01-01T00:00:00", 0.0),
        ("0001-01-01T00:00:00+23:59", 0.0),
        ("9999-12-31T23:59:59-23:59", 253_402_387_139.0 - NOW),
    ],
)
def test_resets_are_read_in_all_forms(text, seconds):
    assert parse_reset(text, unix_now=NOW) == (None if seconds is None else pytest.approx(seconds))


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.text(max_size=40), st.from_regex(r"[0-9.hmsduTZ:+-]{0,30}"), st.integers().map(str)))
def test_any_text_is_parsed_without_an_error(text):
    for value in (
        parse_retry_after({"retry-after": text, "retry-after-ms": text}, unix_now=NOW),
        parse_reset(text, unix_now=NOW),
        parse_duration(text),
    ):
        assert value is None or (math.isfinite(value) and value >= 0)


def test_headers_of_all_families_are_kept_in_lower_case_and_others_are_not():
    sent = [
        ("X-RateLimit-Limit-Requests", "500"),
        ("x-ratelimit-remaining-tokens-minute", "9"),
        ("Anthropic-RateLimit-Input-Tokens-Reset", "2023-11-14T22:14:20Z"),
        ("Retry-After", "1"),
        ("retry-after-ms", "900"),
        ("x-should-retry", "false"),
        ("Set-Cookie", "secret"),
        ("Content-Type", "application/json"),
    ]

    assert set(rate_limit_headers(sent)) == {name.lower() for name, _ in sent[:6]}


def test_the_request_id_is_found_under_any_of_its_names():
    assert request_id({"apim-request-id": "a1"}) == "a1"
    assert request_id({"x-request-id": "r1", "cf-ray": "c"}) == "r1"
    assert request_id({"x-request-id": "a\x1b[31m"}) is None
    assert request_id({}) is None


@pytest.mark.parametrize(("text", "value"), [("true", True), ("False", False), ("perhaps", None), ("", None)])
def test_should_retry_is_yes_no_or_unsaid(text, value):
    assert should_retry({"x-should-retry": text}) is value
