"""Tests of the cache key: two requests have the same key exactly if the same bytes are sent."""

from __future__ import annotations

import enum
import itertools
import json
from collections import OrderedDict
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ainb.clock import SYSTEM_CLOCK
from ainb.errors import ConfigError
from ainb.messages import Call, CallOptions, Message, Request
from ainb.pipeline.answer.schema import read_schema
from ainb.pipeline.cache.key import canonical, digest, is_json, reply_key
from ainb.providers.scripted import ScriptedProvider


class Elsewhere(ScriptedProvider):
    def endpoint(self, request):
        return "https://elsewhere.example/v1"


class Other(ScriptedProvider):
    name = "other"


def key(provider=None, *, replica=None, schema=None, prompt="hello", role="user", model="m", **parameters):
    request = Request(
        provider="scripted",
        model=model,
        messages=(Message(role, prompt),),
        parameters=parameters,
        schema=schema,
    )
    return reply_key(
        Call(
            request=request,
            provider=provider or ScriptedProvider(clock=SYSTEM_CLOCK),
            options=CallOptions(replica=replica),
        )
    )


def test_every_part_of_what_leaves_is_part_of_the_key():
    variants = [
        key(),
        key(Elsewhere(clock=SYSTEM_CLOCK)),
        key(Other(clock=SYSTEM_CLOCK)),
        key(prompt="hello "),
        key(role="system"),
        key(model="n"),
        key(temperature=0.2),
        key(temperature=0.3),
        key(max_tokens=10),
        key(stop=["a", "b"]),
        key(stop=["b", "a"]),
        key(replica=0),
        key(replica=1),
        key(schema=read_schema({"type": "object"})),
        key(anything_new={"deep": [1, {"er": None}]}),
    ]

    assert len(set(variants)) == len(variants)
    assert key() == key()


def test_how_a_call_is_treated_is_no_part_of_the_key():
    request = Request(provider="scripted", model="m", messages=(Message("user", "x"),))
    provider = ScriptedProvider(clock=SYSTEM_CLOCK)
    plain = reply_key(Call(request=request, provider=provider))
    treated = CallOptions(timeout_seconds=3, ttl_seconds=9, user="ann", tags={"a": "b"}, on_text=print)

    assert reply_key(Call(request=request, provider=provider, options=treated)) == plain


def test_types_of_numbers_are_told_apart_and_the_order_of_names_is_not():
    values = [
        1,
        1.0,
        True,
        "1",
        None,
        "null",
        0,
        0.0,
        -0.0,
        False,
        "",
        [],
        {},
        [[]],
        {"a": None},
        [1, 2],
        [2, 1],
        "true",
    ]

    assert len({digest({"x": value}) for value in values}) == len(values)
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({"x": (1, (2, 3))}) == digest({"x": [1, [2, 3]]})


class Colour(str, enum.Enum):  # noqa: UP042 - the older form is common
    RED = "red"


class Number(float):
    pass


class View(Mapping):
    def __getitem__(self, name):
        return {"a": 1}[name]

    def __iter__(self):
        return iter(["a"])

    def __len__(self):
        return 1


def test_values_that_equal_a_plain_one_count_as_it():
    assert digest({"x": Colour.RED}) == digest({"x": "red"})
    assert digest({"x": Number(0.5)}) == digest({"x": 0.5})
    assert digest({"x": OrderedDict(b=1, a=2)}) == digest({"x": {"a": 2, "b": 1}})
    assert digest({"x": View()}) == digest({"x": {"a": 1}})


def test_bytes_count_by_content_and_place_and_no_text_passes_for_them():
    raw = digest({"image": b"\x00\xff"})

    assert raw == digest({"image": bytearray(b"\x00\xff")})
    assert raw != digest({"image": b"\x00\xfe"})
    encoded = json.loads(canonical({"image": b"\x00\xff"}))
    assert raw != digest({"image": encoded[1]["image"]})
    assert digest({"a": b"x", "b": encoded[1]["image"]}) != digest({"a": encoded[1]["image"], "b": b"x"})


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (float("nan"), "is nan"),
        (float("inf"), "is inf"),
        (Number("-inf"), "is -inf"),
        ({1: "x"}, "has the key 1"),
        ({None: "x"}, "has the key None"),
        ({1, 2}, "is a set"),
        (object(), "is a object"),
        (Decimal(1), "is a decimal.Decimal"),
        (date(2026, 1, 1), "is a datetime.date"),
        (UUID(int=1), "is a uuid.UUID"),
        (2**64, "more than 64 bits"),
        (-(2**63) - 1, "more than 64 bits"),
        ("\ud800", "surrogate"),
        ({"\ud800": 1}, "surrogate"),
        (1j, "is a complex"),
    ],
)
def test_what_has_no_canonical_form_is_refused_by_name(value, what):
    with pytest.raises(ConfigError, match=r"parameter logit\.bias\[1\]") as refused:
        digest({"temperature": 0.5, "logit": {"bias": [0, value]}})

    assert what in str(refused.value)
    assert "\n" not in str(refused.value)


def test_cyclic_and_endlessly_nested_values_are_refused():
    circle: list = []
    circle.append(circle)
    with pytest.raises(ConfigError, match="parameter stop"):
        digest({"stop": circle})

    deep: list = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(ConfigError, match="nested deeper"):
        digest({"stop": deep})


def test_a_refusal_comes_before_anything_is_sent_and_names_the_parameter():
    with pytest.raises(ConfigError, match="parameter temperature is nan"):
        key(temperature=float("nan"))


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.sampled_from([0.0, -0.0, 1.0, 2.5, 1e300, 5e-324]),
    st.sampled_from(
        ["", "1", "null", "true", "a", "\x00", "é", "e\u0301", "𝄞", '"', "\\", "{}", "[]", "a,b"]
    ),
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "1", ""]), inner, max_size=3)
    ),
    max_leaves=8,
)


def tagged(value):
    """A reference encoding with explicit types: slow, and clearly injective."""
    if isinstance(value, dict):
        return ("dict", tuple(sorted((name, tagged(item)) for name, item in value.items())))
    if isinstance(value, list):
        return ("list", tuple(tagged(item) for item in value))
    return (type(value).__name__, repr(value))


@settings(max_examples=400, deadline=None)
@given(st.lists(values, min_size=2, max_size=6))
def test_keys_are_equal_exactly_when_values_are(items):
    for one, other in itertools.pairwise(items):
        assert (canonical({"x": one}) == canonical({"x": other})) == (tagged(one) == tagged(other))


@settings(max_examples=200, deadline=None)
@given(values)
def test_the_fast_and_the_careful_way_agree(value):
    fast = canonical({"x": value, "y": {"b": 1, "a": 2}})
    careful = canonical(View2({"x": value, "y": OrderedDict(b=1, a=2)}))

    assert careful == fast


class View2(View):
    def __init__(self, inner):
        self.inner = inner

    def __getitem__(self, name):
        return self.inner[name]

    def __iter__(self):
        return iter(self.inner)

    def __len__(self):
        return len(self.inner)


def test_only_what_json_gives_back_exactly_counts_as_json():
    circle: list = []
    circle.append(circle)
    good = [None, True, 1, 1.5, "x", [1, {"a": [None]}], {}]
    bad = [(1,), {"a": (1,)}, {1: 2}, float("nan"), b"x", {1}, object(), Decimal(1), circle, Colour.RED]

    assert all(map(is_json, good))
    assert not any(map(is_json, bad))
