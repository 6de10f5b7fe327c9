"""Tests of reservations by an upper bound: tokens are counted only near the limit."""

from __future__ import annotations

from decimal import Decimal

import pytest

import ainb
from ainb import tokens
from ainb.errors import ProviderError
from tests.fault_server import Fault, FaultServer

PRICES = {"ollama:m": {"input_usd_per_million": 1_000, "output_usd_per_million": 1_000}}
TEXT = "The quick brown fox jumps over the lazy dog. " * 8


@pytest.fixture
def counted(monkeypatch):
    calls = []
    real = tokens.count_request
    monkeypatch.setattr(tokens, "count_request", lambda request: calls.append(request) or real(request))
    return calls


def opened(server, tmp_path, usd, **options):
    config = ainb.Config(
        budget=ainb.Budget(usd=usd), prices=PRICES, api_base=server.base_url, cache=None, **options
    )
    return ainb.Session("ollama:m", home=tmp_path, config=config)


@pytest.mark.parametrize("rows", [1, 20, 80])
def test_far_from_the_limit_nothing_is_counted(tmp_path, counted, rows):
    with FaultServer() as server, opened(server, tmp_path, 10_000) as session:
        frame = session.map([f"{TEXT} {number}" for number in range(rows)], "{value}", max_tokens=50)
        assert (frame["status"] == "ok").all()
        spent = session.budget_status()[0].spent_usd
    assert counted == []
    assert spent == sum(map(Decimal, map(str, frame["cost_usd"])))


@pytest.mark.parametrize("usd", ["0.5", "1", "2"])
def test_near_the_limit_rows_are_counted_and_the_money_is_used(tmp_path, counted, usd):
    with FaultServer() as server, opened(server, tmp_path, usd) as session:
        frame = session.map([f"{TEXT} {number}" for number in range(60)], "{value}", max_tokens=80)
        spent = session.budget_status()[0].spent_usd
    row = max(frame["cost_usd"].dropna())
    exact = Decimal(tokens.count_tokens(TEXT) * 2 + 200) / 1_000
    assert spent <= Decimal(usd)
    assert Decimal(usd) - spent <= max(exact, Decimal(str(row)))
    assert counted
    assert set(frame["error_type"].dropna()) == {"BudgetExceededError"}


def test_a_cost_that_stays_unknown_is_booked_at_the_counted_estimate(tmp_path, counted):
    answer = Fault(action="cut")
    with (
        FaultServer(plan=lambda _seen: answer) as server,
        opened(server, tmp_path, 10_000, retry=None) as session,
    ):
        with pytest.raises(ProviderError):
            session.ask(TEXT, max_tokens=50)
        (status,) = session.budget_status()
    (request, *_) = counted
    bound = tokens.bound_request(request)
    assert 0 < status.spent_usd * 1_000 < bound + 50
    assert status.reserved_usd == 0
