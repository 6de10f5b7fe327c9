"""Tests of option values: numpy scalars count as numbers, misspelt options get a suggestion."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import ainb
from ainb.errors import ConfigError
from ainb.plain import join_surrogates, plain_scalar, plain_value
from ainb.testing.faults import SCRIPTS

SCALARS = [
    np.int64(3),
    np.int8(3),
    np.uint16(3),
    np.float64(3.0),
    np.float32(3.0),
    np.float16(3),
    np.longdouble(3),
    np.array(3),
    pd.Series([3])[0],
    pd.Series([3.0]).mean(),
]


@pytest.fixture
def session(tmp_path):
    made = ainb.Session("scripted:echo", home=tmp_path)
    yield made
    made.close()
    SCRIPTS.clear()


@pytest.mark.parametrize("value", SCALARS)
def test_scalars_are_numbers_in_parameters_bodies_and_keys(session, value):
    call = session.make_call(
        "x", temperature=value, seed=value, extra_body={"top_k": value, "list": [value, {"n": value}]}
    )

    assert json.loads(json.dumps(dict(call.request.parameters))) == call.request.parameters
    assert {
        type(item)
        for item in (call.request.parameters["temperature"], call.request.parameters["extra_body"]["top_k"])
    } <= {int, float}
    assert session.ask("x", temperature=value).text == session.ask("x", temperature=3).text
    assert session.ask("x", temperature=value).cached


@pytest.mark.parametrize("value", SCALARS)
def test_scalars_are_numbers_in_options(value):
    assert ainb.RateLimit(requests_per_minute=value).requests_per_minute == 3
    assert type(ainb.Retry(base_seconds=value).base_seconds) in {int, float}
    assert type(ainb.Circuit(window_seconds=value).window_seconds) in {int, float}
    assert type(ainb.Cache(ttl_seconds=value).ttl_seconds) in {int, float}
    assert ainb.Budget(usd=value).usd == 3


def test_whole_numbers_of_numpy_are_whole_numbers(session):
    three = np.int64(3)

    assert ainb.RateLimit(concurrency=three).concurrency == 3
    assert ainb.Retry(attempts=three).attempts == 3
    assert ainb.Circuit(minimum_calls=three, probes=three).probes == 3
    assert len(session.map(list("abcdef"), "{value}", limit=three, concurrency=three)) == 3
    assert (
        len(
            session.map(
                list("abcdef"),
                "{value}",
                sample=np.int32(2),
                timeout_seconds=np.float64(9),
                budget_usd=np.float64(1),
            )
        )
        == 2
    )
    assert (
        session.ask("x", max_tokens=np.int64(7), timeout_seconds=np.float32(5), replica=np.int64(1)).text
        == "x"
    )
    with ainb.Session(
        "scripted:echo", timeout_seconds=np.float64(9), budget=np.float64(2), home=session.core.config.home
    ) as other:
        assert other.ask("x").text == "x"


def test_other_values_stay_what_they_are():
    for value in (None, "x", 3, 2.5, True, [1], np.datetime64("2024-01-01"), pd.NA, np.arange(3)):
        assert plain_scalar(value) is value
    assert plain_value({"a": (np.int64(1), [np.bool_(True)]), np.str_("k"): np.arange(2)}) == {
        "a": (1, [True]),
        "k": [0, 1],
    }
    assert join_surrogates("a\ud83d\ude00\ud800b") == "a😀�b"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("max_token", "max_tokens"),
        ("temprature", "temperature"),
        ("timeout_second", "timeout_seconds"),
        ("shema", "schema"),
        ("tag", "tags"),
        ("extra_boddy", "extra_body"),
        ("sytem", "system"),
        ("top_P", "top_p"),
    ],
)
def test_a_misspelt_option_of_a_call_is_an_error(session, name, meant):
    for send in (
        lambda: session.ask("x", **{name: 5}),
        lambda: session.submit("x", **{name: 5}),
        lambda: session.map(["x"], "{value}", **{name: 5}),
    ):
        with pytest.raises(ConfigError, match=f"did you mean '{meant}'"):
            send()
    assert session.usage().empty


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("kep", "keep"),
        ("resme", "resume"),
        ("limt", "limit"),
        ("concurency", "concurrency"),
        ("retryfailed", "retry_failed"),
        ("overwrit", "overwrite"),
    ],
)
def test_a_misspelt_option_of_a_batch_is_an_error(session, name, meant):
    for task in ("{value}", lambda item: item):
        with pytest.raises(ConfigError, match=f"did you mean '{meant}'"):
            session.map(["x"], task, **{name: 5})
    with pytest.raises(ConfigError, match="extra_body"):
        session.map(["x"], "{value}", zzqq=5)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("budgt", "budget"), ("rate_limits", "rate_limit"), ("caches", "cache"), ("modle", "model")],
)
def test_a_misspelt_option_of_a_session_is_an_error(tmp_path, name, meant):
    with pytest.raises(ConfigError, match=f"Session has no option '{name}'; did you mean '{meant}'"):
        ainb.Session(home=tmp_path, **{name: None})


@pytest.mark.parametrize(
    "given",
    [
        {"top_k": 5},
        {"thinking": {"type": "enabled"}},
        {"min_p": 0.1},
        {"extra_body": {"anything": 1}},
        {"metadata": {"a": "b"}},
        {"reasoning_effort": "low"},
        {"openai_service_tier": "flex"},
        {"google_thinking_config": {}},
        {"stop": ["x"]},
    ],
)
def test_parameters_that_a_protocol_knows_go_through(session, given):
    assert session.make_call("x", **given).request.parameters == given
