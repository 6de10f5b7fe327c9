"""Tests of token estimates from text length: no tokenising on the event loop, correction by replies."""

from __future__ import annotations

import subprocess
import sys
import tempfile

import pytest

from ainb.clock import SYSTEM_CLOCK
from ainb.messages import Call, Message, Request, Usage
from ainb.pipeline.rate_limit import TokenEstimates
from ainb.providers.scripted import ScriptedProvider

PICTURE = [{"type": "image_url", "image_url": {"url": "data:"}}, {"type": "text", "text": "what is it"}]


def call(text, model="m", **parameters):
    request = Request(provider="p", model=model, messages=(Message("user", text),), parameters=parameters)
    return Call(request=request, provider=ScriptedProvider(clock=SYSTEM_CLOCK))


@pytest.mark.parametrize("characters_per_token", [0.7, 2.0, 4.5, 9.0])
def test_the_ratio_of_a_model_is_learnt_from_replies(characters_per_token):
    estimates = TokenEstimates()
    for size in (400, 900, 3_000, 50, 2_000) * 4:
        estimates.learn(call("x" * size), Usage(input_tokens=round(size / characters_per_token) + 5))
    found, _ = estimates(call("x" * 5_000))
    assert found == pytest.approx(5_000 / characters_per_token, rel=0.15)
    unknown, _ = estimates(call("x" * 3_000, model="other"))
    assert unknown == pytest.approx(1_000, rel=0.1)


def test_a_change_of_texts_is_followed():
    estimates = TokenEstimates()
    for _ in range(50):
        estimates.learn(call("x" * 1_000), Usage(input_tokens=250))
    for _ in range(30):
        estimates.learn(call("x" * 1_000), Usage(input_tokens=1_000))
    assert estimates(call("x" * 1_000))[0] == pytest.approx(1_000, rel=0.1)


@pytest.mark.parametrize("usage", [Usage(), Usage(input_tokens=0), Usage(input_tokens=-5)])
def test_an_unknown_count_does_not_change_the_ratio(usage):
    estimates = TokenEstimates()
    before = estimates(call("x" * 600))
    estimates.learn(call("x" * 600), usage)
    assert estimates(call("x" * 600)) == before


@pytest.mark.parametrize(
    ("parameters", "output"),
    [({}, 1_024), ({"max_tokens": 50}, 50), ({"max_completion_tokens": 70, "max_tokens": 9}, 70)],
)
def test_the_output_is_what_the_call_allows(parameters, output):
    assert TokenEstimates()(call("x", **parameters))[1] == output


@pytest.mark.parametrize("text", ["", "x", PICTURE, []])
def test_every_call_takes_something(text):
    assert TokenEstimates()(call(text))[0] >= 1
    assert TokenEstimates()(call(PICTURE))[0] > 500


def test_no_vocabulary_is_loaded_for_a_limit_on_tokens():
    code = (
        "import sys, ainb; from ainb.testing import script; script('s', ['ok'] * 30);"
        "session = ainb.Session('scripted:s', home=sys.argv[1], cache=None,"
        " rate_limit=ainb.RateLimit(tokens_per_minute=10**9));"
        "session.map(['x' * 3000] * 3 + list('abc'), '{value}'); session.close();"
        "print(*[name for name in ('tiktoken',) if name in sys.modules])"
    )
    with tempfile.TemporaryDirectory() as home:
        printed = subprocess.run(
            [sys.executable, "-c", code, home], capture_output=True, text=True, check=True, timeout=100
        ).stdout
    assert printed.split() == []
