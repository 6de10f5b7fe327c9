"""Tests of the shipped prices against genai-prices: names, context windows, costs by date and size."""

from __future__ import annotations

import gzip
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib import metadata
from pathlib import Path

import orjson
import pytest
from genai_prices import Usage as PricedUsage
from genai_prices.data_snapshot import get_snapshot
from hypothesis import given, settings
from hypothesis import strategies as st

import ainb
from ainb.messages import Usage
from ainb.pricing.compile import compile_prices
from ainb.pricing.snapshot import FILE_NAME, PACKAGE, Snapshot

DATA = orjson.loads(
    gzip.decompress((Path(ainb.__file__).parent / "data" / FILE_NAME).read_bytes()),
)
OURS, THEIRS = Snapshot(DATA), get_snapshot()
OF_PACKAGE = DATA["package_version"] == metadata.version(PACKAGE)
NAMES = [(item.id, model.id) for item in THEIRS.providers for model in item.models]
NEAR = Decimal("1e-12")
pytestmark = pytest.mark.skipif(not OF_PACKAGE, reason="another genai-prices is installed; it is used then")


def theirs(provider, model):
    try:
        return THEIRS.find_provider_model(model, None, provider, None)
    except LookupError:
        return None


NAMES_FOUND = [name for name in NAMES if theirs(*name) is not None]


@pytest.mark.parametrize(
    "change",
    [
        lambda provider, model: (provider, model),
        lambda _provider, model: (None, model),
        lambda provider, model: (provider.upper(), model.upper()),
        lambda _provider, model: ("openai", f"{model}-2026-01-01"),
        lambda provider, model: (provider, f"{model}-20260101"),
        lambda _provider, model: (None, f"{model}-preview"),
        lambda provider, model: ("openrouter", f"{provider}/{model}"),
        lambda provider, model: ("litellm", f"{provider}/{model}"),
        lambda _provider, model: ("litellm", model),
        lambda _provider, model: ("azure", model),
        lambda provider, model: (f" {provider}", model),
        lambda _provider, model: ("nowhere", model),
    ],
)
def test_every_name_finds_the_model_that_the_package_finds(change):
    differ = []
    for name in NAMES:
        provider, model = change(*name)
        ours, found = OURS.find(provider, model, {}), theirs(provider, model)
        if (ours is None) != (found is None) or (ours and ours.window != found[1].context_window):
            differ.append((provider, model))
    assert differ == []


@given(
    name=st.sampled_from(NAMES_FOUND),
    read=st.integers(0, 600_000),
    share=st.floats(0, 1),
    output=st.integers(0, 100_000),
    day=st.integers(0, 900),
)
@settings(deadline=None, max_examples=500)
def test_every_cost_is_the_one_that_the_package_computes(name, read, share, output, day):
    listed, (provider, model) = OURS.find(*name, {}), theirs(*name)
    at = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=day, hours=5)
    if not listed.prices:
        return
    cached = int(read * share)
    usage = Usage(input_tokens=read, output_tokens=output, cache_read_input_tokens=cached)
    cost = listed.cost(usage, at)
    if cost is None:
        prices = vars(model.get_prices(at, None))
        assert prices.get("input_mtok") is None or prices.get("output_mtok") is None
        return
    tokens = PricedUsage(input_tokens=read, output_tokens=output, cache_read_tokens=cached)
    price = model.calc_price(tokens, provider, genai_request_timestamp=at, price_context=None)
    assert abs(cost - price.total_price) < NEAR


@pytest.mark.parametrize(
    "wanted", [{"processing": "batch"}, {"service_tier": "flex"}, {"service_tier": "default"}]
)
def test_a_model_with_a_price_of_its_own_for_what_is_wanted_is_left_to_the_package(wanted):
    for provider, name in NAMES_FOUND:
        listed, (_, model) = OURS.find(provider, name, wanted), theirs(provider, name)
        varies = any(item.when.items() <= wanted.items() for item in model.price_variants or ())
        if varies:
            assert listed.prices == ()


def test_the_data_is_what_the_installed_package_compiles_to():
    made = orjson.loads(gzip.decompress(compile_prices()))
    assert made["providers"] == DATA["providers"]


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-6-luna", "gpt-5.6-luna", "o3"])
def test_the_first_cost_imports_neither_the_package_nor_another_http_client(model):
    code = (
        "import sys; from ainb.messages import Usage; from ainb.pricing import Prices;"
        f"print(Prices().cost('openai', '{model}', Usage(input_tokens=10, output_tokens=10))[1],"
        "*[name for name in ('genai_prices', 'httpx', 'httpx2', 'pydantic') if name in sys.modules])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert printed.split() == ["table"]
