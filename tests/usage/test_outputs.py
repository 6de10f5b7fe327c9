"""Tests of the usual length of replies, estimated from the log."""

from __future__ import annotations

from ainb.messages import Reply, Usage
from ainb.usage.log.log import UsageLog


def log_of(outputs, path=None, **facts):
    log = UsageLog(path)
    for tokens in outputs:
        log.recorder.record(
            prompt="p",
            reply=Reply(text="r", usage=Usage(input_tokens=1, output_tokens=tokens, source="provider")),
            **{"model": "m", "provider": "openai", **facts},
        )
    return log


def test_it_is_the_median_of_the_last_replies(tmp_path):
    log = log_of([10_000] * 50 + [1, 2, 3, 4] + [7] * 99, tmp_path / "usage.sqlite3")

    assert log.usual_output_tokens("openai", "m") == 7


def test_too_few_replies_give_no_estimate():
    assert log_of([5] * 4).usual_output_tokens("openai", "m") is None
    assert log_of([5] * 5).usual_output_tokens("openai", "m") == 5
    assert log_of([]).usual_output_tokens("openai", "m") is None


def test_another_model_and_another_provider_do_not_count():
    log = log_of([5] * 9)

    assert log.usual_output_tokens("openai", "other") is None
    assert log.usual_output_tokens("groq", "m") is None


def test_unknown_counts_are_left_out():
    assert log_of([None] * 9 + [4] * 4).usual_output_tokens("openai", "m") is None
