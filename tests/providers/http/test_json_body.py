"""Tests of JSON bodies at their limits: replies that are read leniently, and values of the user."""

from __future__ import annotations

import collections
import math
import types
from typing import NamedTuple

import orjson
import pytest

from ainb.errors import InvalidPromptError
from ainb.providers.http.exchange import encode_body
from ainb.providers.http.json_body import parse_json


class Pair(NamedTuple):
    """A tuple that orjson does not write by itself."""

    a: int
    b: int


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"\xef\xbb\xbf[1]", [1]),
        (b'["a\tb"]', ["a\tb"]),
        (b"[NaN, Infinity]", [math.nan, math.inf]),
        (b'["\xff"]', ["�"]),
        pytest.param(b"[%s]" % (b"9" * 5_000), [math.inf], id="5,000 digits"),
        pytest.param(b"[-%s]" % (b"9" * 5_000), [-math.inf], id="minus 5,000 digits"),
        (b"[123456789012345678901234567890]", [1.2345678901234568e29]),
    ],
)
def test_a_body_that_other_clients_accept_is_read(body, value):
    assert repr(parse_json(body)) == repr(value)


@pytest.mark.parametrize(
    ("piece", "times"), [(b"", 1), (b"no", 1), (b"[1", 1), (b"[", 200_000), (b'{"a":', 200_000)]
)
def test_any_other_body_is_an_error(piece, times):
    with pytest.raises(ValueError, match=r"Expecting|nested too deeply"):
        parse_json(piece * times)


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (types.MappingProxyType({"a": 1}), {"a": 1}),
        (Pair(1, 2), [1, 2]),
        ((1, (2,)), [1, [2]]),
        (collections.OrderedDict(a=1), {"a": 1}),
    ],
)
def test_mappings_and_tuples_of_the_user_are_sent_as_json(value, sent):
    assert orjson.loads(encode_body({"value": value})) == {"value": sent}


@pytest.mark.parametrize("value", ["\ud800", b"bytes", {1, 2}, object(), {1: 2}, 10**30])
def test_a_value_without_json_is_refused_before_it_is_sent(value):
    with pytest.raises(InvalidPromptError, match="nothing was sent"):
        encode_body({"value": value})
