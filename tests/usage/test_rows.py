"""Tests of usage rows: columns, status, cost, redaction."""

from __future__ import annotations

import asyncio
import concurrent.futures
import datetime as dt
import hashlib
import json
from decimal import Decimal

import pytest
from usage_calls import START, finished

from ainb.errors import (
    BudgetExceededError,
    CallInterrupted,
    ConfigError,
    DeadlineExceededError,
    InvalidReplyError,
    PermanentProviderError,
    TransientProviderError,
)
from ainb.usage.columns import COLUMNS
from ainb.usage.rows import MESSAGE_CHARACTERS, Row, build_row


def row_of(*arguments, content=False, **named):
    return build_row(finished(*arguments, **named), session_id="s", content=content)


def test_a_row_has_the_columns_of_the_log():
    assert Row._fields == tuple(COLUMNS)


def test_an_answered_call_is_a_row_with_its_tokens_and_money():
    row = row_of(3, request_id="req-1", finish_reason="stop")

    assert (row.status, row.error_type, row.session_id) == ("ok", None, "s")
    assert (row.input_tokens, row.output_tokens, row.tokens_source) == (10, 3, "provider")
    assert (row.cost_usd, row.cost_source) == (Decimal("0.001"), "table")
    assert row.started_at == dt.datetime.fromtimestamp(START - 0.5, dt.UTC)
    assert (row.request_id, row.finish_reason, row.duration_s) == ("req-1", "stop", 0.5)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (TransientProviderError("x", status_code=503), "error"),
        (InvalidReplyError("x"), "error"),
        (DeadlineExceededError("x"), "error"),
        (RuntimeError("x"), "error"),
        (BudgetExceededError("x"), "rejected"),
        (ConfigError("x"), "rejected"),
        (asyncio.CancelledError(), "cancelled"),
        (concurrent.futures.CancelledError(), "cancelled"),
        (KeyboardInterrupt(), "cancelled"),
        (CallInterrupted("x"), "cancelled"),
        (GeneratorExit(), "cancelled"),
    ],
)
def test_the_status_says_how_the_call_ended(error, status):
    row = row_of(error=error)

    assert (row.status, row.error_type) == (status, type(error).__name__)
    assert row.http_status == getattr(error, "status_code", None)
    assert row.input_tokens is None


@pytest.mark.parametrize(
    ("error", "attempts", "cost"),
    [
        (BudgetExceededError("x"), 0, (Decimal(0), "free")),
        (PermanentProviderError("x", status_code=401), 1, (Decimal(0), "free")),
        (TransientProviderError("x", billed=True), 1, (None, "unpriced")),
        (InvalidReplyError("x"), 1, (None, "unpriced")),
        (asyncio.CancelledError(), 0, (Decimal(0), "free")),
        (asyncio.CancelledError(), 1, (None, "unpriced")),
        (ConfigError("x"), 1, (Decimal(0), "free")),
    ],
)
def test_a_failed_call_cost_nothing_unless_it_may_have_been_billed(error, attempts, cost):
    row = row_of(error=error, attempts=attempts)

    assert (row.cost_usd, row.cost_source) == cost


def test_a_refusal_after_a_billed_attempt_has_an_unknown_cost():
    event = finished(error=BudgetExceededError("x"))
    event.call.errors.append(TransientProviderError("cut", billed=True))

    assert build_row(event, session_id="s").cost_usd is None


def test_a_hit_differs_from_a_coalesced_call():
    hit = row_of(cached=True)
    shared = row_of(cached=True, coalesced=True)

    assert (hit.cache_hit, hit.coalesced) == (True, False)
    assert (shared.cache_hit, shared.coalesced) == (False, True)


def test_a_reply_that_no_stage_priced_is_free_or_unpriced():
    assert row_of(cost_source=None, cost_usd=None, free=True).cost_source == "free"
    assert row_of(cost_source=None, cost_usd=None).cost_source == "unpriced"


def test_error_messages_are_redacted_cut_and_on_one_line():
    key = "sk-ant-" + "api03-" + "A1b2" * 10
    row = row_of(error=RuntimeError(f"bad key {key}\nsecond line " + "x" * 2000))

    assert key not in row.error_message
    assert row.error_message.startswith("bad key [redacted Anthropic key] second line x")
    assert len(row.error_message) == MESSAGE_CHARACTERS


def test_prompt_and_reply_are_in_the_row_only_when_asked_for():
    assert (row_of().prompt, row_of().reply) == (None, None)

    row = row_of(content=True)
    assert (row.prompt, row.reply) == ("user: hello", "hi")


def test_the_prompt_digest_is_that_of_the_canonical_messages():
    expected = hashlib.sha256(json.dumps([["user", "hello"]], separators=(",", ":")).encode()).hexdigest()

    assert row_of().prompt_sha256 == expected
    assert row_of(prompt="\ud800").prompt_sha256 != expected


def test_labels_are_redacted_and_tags_are_json():
    key = "AKIA" + "ABCDEFGHIJKLMNOP"
    event = finished(options={"user": key, "tags": {"b": "2", "a": key}, "notebook": "n.ipynb"})
    row = build_row(event, session_id="s")

    assert row.user == "[redacted AWS access key]"
    assert json.loads(row.tags) == {"a": "[redacted AWS access key]", "b": "2"}
    assert row.notebook == "n.ipynb"


@pytest.mark.parametrize("error", [ConfigError("the key is missing"), BudgetExceededError("x")])
def test_a_refusal_on_this_machine_is_free_also_when_it_was_noted_as_an_attempt(error):
    event = finished(error=error, attempts=1)
    event.call.errors.append(error)

    row = build_row(event, session_id="s")
    assert (row.cost_usd, row.cost_source) == (Decimal(0), "free")


HALF = "a\ud83db"


def test_halves_of_surrogate_pairs_become_question_marks_in_every_column():
    options = {"user": HALF, "tags": {HALF: HALF}, "notebook": HALF, "cell_id": HALF, "batch_id": HALF}
    answered = build_row(
        finished(model=HALF, prompt=HALF, text=HALF, request_id=HALF, finish_reason=HALF, options=options),
        session_id="s",
        content=True,
    )
    failed = build_row(finished(error=RuntimeError(HALF)), session_id="s")

    assert failed.error_message == "a?b"
    assert (answered.request_model, answered.response_model, answered.user) == ("a?b", "a?b-2026", "a?b")
    assert json.loads(answered.tags) == {"a?b": "a?b"}
    for value in (*answered, *failed):
        str(value).encode()
