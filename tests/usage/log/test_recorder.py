"""Tests of recorded calls: calls made elsewhere, monitored functions, JSON log lines."""

from __future__ import annotations

import asyncio
import json
import logging
from decimal import Decimal

import pytest
from usage_calls import finished

from ainb.messages import Reply, Usage
from ainb.testing import FakeClock, run_virtual
from ainb.usage.log.log import UsageLog
from ainb.usage.log.recorder import Estimators


def count_words(text, model):
    return len(text.split())


WORDS = Estimators(
    count_tokens=count_words,
    price=lambda model, *, input_tokens, output_tokens: (
        Decimal(input_tokens + output_tokens) if model == "known" else None
    ),
)


@pytest.fixture
def log():
    log = UsageLog(None, clock=FakeClock(), estimators=WORDS)
    yield log
    log.close()


def test_a_call_made_elsewhere_is_a_row_with_estimates_marked_so(log):
    row = log.recorder.record(prompt="one two", reply="three", model="known", tags={"k": "v"}, duration_s=2.0)

    assert (row.input_tokens, row.output_tokens, row.tokens_source) == (2, 1, "estimate")
    assert (row.cost_usd, row.cost_source) == (Decimal(3), "table")
    assert (row.tags, row.status, row.session_id) == ('{"k":"v"}', "ok", log.session_id)
    assert log.recent() == [row]


def test_what_is_reported_is_taken_as_it_is(log):
    usage = Usage(input_tokens=7, output_tokens=8, source="provider")
    row = log.recorder.record(prompt="x", reply="y", model="m", usage=usage, cost_usd=0.25)

    assert (row.input_tokens, row.output_tokens, row.tokens_source) == (7, 8, "provider")
    assert (row.cost_usd, row.cost_source) == (Decimal("0.25"), "provider")
    assert log.recorder.record(prompt="x", reply=Reply(text="y", usage=usage), model="m").input_tokens == 7


def test_without_estimators_tokens_and_money_are_unknown():
    log = UsageLog(None)
    row = log.recorder.record(prompt="one two", reply="three", model="known")
    log.close()

    assert (row.input_tokens, row.tokens_source, row.cost_usd, row.cost_source) == (
        None,
        "unknown",
        None,
        "unpriced",
    )


def test_a_monitored_plain_function_leaves_a_row_and_its_answer(log):
    @log.recorder.monitored(operation="text_generation", model="known")
    def generate(number, prompt):
        """Says so."""
        return f"{prompt} {number}"

    assert generate(3, prompt="a b") == "a b 3"
    (row,) = log.recent()
    assert (row.operation_name, row.request_model, row.status) == ("text_generation", "known", "ok")
    assert (row.input_tokens, row.output_tokens, row.tokens_source) == (2, 3, "estimate")
    assert generate.__doc__ == "Says so."


def test_a_monitored_async_function_leaves_a_row_whatever_happens(log):
    @log.recorder.monitored(operation="op", model="m")
    async def fail(error):
        raise error

    for error in (ValueError("no"), asyncio.CancelledError()):
        with pytest.raises(type(error)):
            run_virtual(fail(error))

    assert [row.status for row in log.recent()] == ["error", "cancelled"]
    assert log.recent()[0].error_message == "no"


LOADING_SECONDS = 5.0
FUNCTION_SECONDS = 0.01


def slow_estimators(clock, loaded):
    """Estimators that are slow at the first use for a model."""

    def load(model):
        if model not in loaded:
            loaded.append(model)
            clock.advance(LOADING_SECONDS)

    def count(text, model):
        load(model)
        return len(text)

    return Estimators(count_tokens=count, prepare=load)


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "plain"])
def test_the_first_calls_of_a_monitored_function_last_as_long_as_the_function_does(is_async):
    clock, loaded = FakeClock(), []
    log = UsageLog(None, clock=clock, estimators=slow_estimators(clock, loaded))

    def work(prompt):
        clock.advance(FUNCTION_SECONDS)
        return prompt

    async def work_async(prompt):
        await asyncio.sleep(0)
        return work(prompt)

    call = log.recorder.monitored(operation="op", model="m")(work_async if is_async else work)

    async def three():
        await asyncio.gather(*(call(text) for text in "abc"))

    if is_async:
        run_virtual(three())
    else:
        for text in "abc":
            call(text)

    assert loaded == ["m"]
    assert all(row.duration_s < LOADING_SECONDS for row in log.recent())
    assert len(log.recent()) == 3
    log.close()


def test_a_function_whose_row_cannot_be_made_still_answers():
    def broken(_text, model):
        raise RuntimeError(model)

    log = UsageLog(None, estimators=Estimators(count_tokens=broken))

    @log.recorder.monitored(operation="op", model="m")
    def answer(prompt):
        return prompt

    assert answer("yes") == "yes"
    log.close()


def test_one_json_line_a_call_failures_as_errors(log, caplog):
    key = "sk-ant-" + "api03-" + "Zz9" * 12
    with caplog.at_level(logging.INFO, logger="ainb"):
        log.listener(finished(1))
        log.listener(finished(2, error=RuntimeError(f"key {key}")))
        log.flush()

    lines = [json.loads(record.getMessage()) for record in caplog.records]
    assert [record.levelname for record in caplog.records] == ["INFO", "ERROR"]
    assert (lines[0]["call_id"], lines[0]["cost_usd"], lines[0]["status"]) == ("call-1", 0.001, "ok")
    assert "error_message" not in lines[0]
    assert key not in caplog.text
    assert lines[1]["error_message"] == "key [redacted Anthropic key]"


def test_the_logger_is_silent_without_a_handler(log, capfd):
    log.listener(finished(2, error=RuntimeError("quiet")))
    log.flush()

    assert capfd.readouterr() == ("", "")
    assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("ainb").handlers)
