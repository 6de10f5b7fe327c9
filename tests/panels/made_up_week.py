"""A week of made-up calls, identical apart from the current time, for browser tests and the README."""

from __future__ import annotations

import datetime as dt
import random
from decimal import Decimal
from pathlib import Path

from ainb.call_ids import CallIds
from ainb.clock import SYSTEM_CLOCK
from ainb.pipeline.budget.accounts import Account
from ainb.stores.day_book import DayBook
from ainb.usage.log.store import LogStore, open_log
from ainb.usage.rows import Row, utc

CALLS = 3000
WEEK_SECONDS = 7 * 86_400
NOW = SYSTEM_CLOCK.unix()
# Provider, model, weight, USD per call (None: unknown).
MODELS = [
    ("openai", "gpt-5-mini", 10.0, "0.0011"),
    ("anthropic", "claude-haiku-4-5", 2.0, "0.0037"),
    ("local", "smollm2", 4.0, "0"),
    ("openai", "my-finetune", 0.3, None),
]
# Error class, HTTP status, message.
FAULTS = [
    ("TransientProviderError", 429, "{} answered 429 (rate limit reached for requests)"),
    ("TransientProviderError", None, "no answer from {} within the 120 s of one attempt"),
    ("TransientProviderError", 503, "{} answered 503 (the server is overloaded)"),
    ("InvalidReplyError", None, 'the reply is not of the schema Label, asked twice: "label" is "mixed"'),
]
REVOKED = ("PermanentProviderError", 401, "{} answered 401 (this key has been revoked)")


def fill(home: Path, *, hostile: str = "") -> None:
    """Write the week to the log of a home, and today's cost to its daily budget.

    Args:
        home: The folder, not yet used by a session.
        hostile: Text that is also used as a model name and in messages.
    """
    rng = random.Random(3)
    ids = CallIds(SYSTEM_CLOCK, rng)
    models = [*MODELS, *([("openai", hostile, 0.3, "0.0002")] if hostile else [])]
    rows = sorted((_row(rng, ids(), models, hostile) for _ in range(CALLS)), key=lambda row: row.started_at)
    home.mkdir(parents=True, exist_ok=True)
    store = LogStore(open_log(home / "usage.sqlite3"))
    store.add(rows)
    store.close()
    today = dt.datetime.fromtimestamp(NOW, dt.UTC).astimezone().date()
    spent = sum(
        (row.cost_usd or Decimal(0) for row in rows if row.started_at.astimezone().date() == today),
        Decimal(0),
    )
    book = DayBook(home / "budget.sqlite3")
    book.spend(Account("day", today.isoformat()), spent)
    book.close()


def _row(rng: random.Random, call_id: str, models, hostile: str) -> Row:
    provider, model, _weight, price = rng.choices(models, [row[2] for row in models])[0]
    age = rng.random() ** 1.5 * WEEK_SECONDS
    cost = None if price is None else Decimal(price)
    kind, status, message = _fault(rng, provider, age)
    hit = kind is None and rng.random() < 0.2
    free = hit or status is not None
    return Row(
        call_id=call_id,
        started_at=utc(NOW - age),
        operation_name="chat",
        provider_name=provider,
        request_model=model,
        response_model=model,
        input_tokens=rng.randrange(200, 1500),
        output_tokens=rng.randrange(20, 300),
        tokens_source="provider",
        cost_usd=Decimal(0) if free else cost,
        cost_source="free" if free else "table" if cost is not None else "unpriced",
        saved_usd=cost if hit else None,
        duration_s=rng.expovariate(0.9),
        attempts=0 if hit else rng.choice([1] * 20 + [2, 3]),
        status="error" if kind else "ok",
        error_type=kind,
        http_status=status,
        error_message=f"{message} {hostile}".format(provider).strip() if message else None,
        cache_hit=hit,
        request_id=f"req_{rng.getrandbits(48):012x}",
        notebook=rng.choice(["survey.ipynb", "report.ipynb"]),
        session_id="S",
    )


def _fault(rng: random.Random, provider: str, age: float):
    """Error class, HTTP status and message of a call; each None if it is answered."""
    if provider == "local" or rng.random() >= 0.02:
        return None, None, None
    return REVOKED if provider == "anthropic" and age < 86_400 else rng.choice(FAULTS)
