"""Tests of absurd token counts and costs from servers and callers: budgets, sums and rows stay valid."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
from decimal import Decimal

import pytest

import ainb
from ainb.events import Notice
from ainb.messages import Reply, Usage
from ainb.pipeline.budget import Account, Claim, Verdict
from ainb.pipeline.cache.entry import decode_entry, encode_entry
from ainb.pipeline.replay.outcome import read_reply, write_reply
from ainb.runtime import Runtime
from ainb.stores.day_book import DayBook
from tests.fault_server import Fault, FaultServer
from tests.stores.test_day_book import until

# As written in the JSON body.
ABSURD = [
    "-1", "-1e30", "1e30", "1e400", "1.5", "NaN", "Infinity", "-Infinity", '"12"', '"many"', "true", "false",
    "null", "[]", "{}", '{"a": 1}', "9000000", "90000000", "100000001", "100000000000000",
    "100000000000000000", "9223372036854775807", "9223372036854775808", "1" + "0" * 400, "1" + "0" * 6_000,
    "-" + "9" * 6_000,
]  # fmt: skip
OPENAI = [
    "prompt_tokens", "completion_tokens", "prompt_tokens_details", "completion_tokens_details",
    "prompt_tokens_details.cached_tokens", "prompt_tokens_details.cache_write_tokens",
    "completion_tokens_details.reasoning_tokens", "total_tokens", "cost", "*",
]  # fmt: skip
ANTHROPIC = [
    "input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens",
    "cache_creation", "cache_creation.ephemeral_1h_input_tokens", "output_tokens_details.thinking_tokens",
    "*",
]  # fmt: skip
LIMIT = Decimal(10)
# A typical call costs less than a cent; ten context windows of the most expensive tokens cost five dollars.
MOST_OF_ONE_CALL = Decimal(5)


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "made-up")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "made-up")


def usage_with(model, field, value):
    """The usage object as JSON with a value at a field; "*" replaces the whole object."""
    if field == "*":
        return value
    names = (
        ("input_tokens", "output_tokens")
        if model.startswith("anthropic")
        else ("prompt_tokens", "completion_tokens")
    )
    usage = dict.fromkeys(names, 5)
    *outer, last = field.split(".")
    place = usage
    for name in outer:
        place = place.setdefault(name, {})
    place[last] = "VALUE"
    return json.dumps(usage).replace('"VALUE"', value)


def answers(model, usages):
    """Steps of a server that answers with these usage objects, streamed if the request asks for it."""
    given = iter(usages)

    def body(seen):
        usage, streamed = next(given), seen.body.get("stream")
        if model.startswith("anthropic"):
            return anthropic_body(usage, streamed)
        return openai_body(usage, streamed)

    def step(seen):
        kind = "text/event-stream" if seen.body.get("stream") else "application/json"
        return Fault(body=body(seen).encode(), headers={"content-type": kind})

    return step


def openai_body(usage, streamed):
    if not streamed:
        choice = '{"message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}'
        return f'{{"choices": [{choice}], "usage": {usage}}}'
    chunk = '{"choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}]}'
    return f'data: {chunk}\n\ndata: {{"choices": [], "usage": {usage}}}\n\ndata: [DONE]\n\n'


def anthropic_body(usage, streamed):
    if not streamed:
        return (
            '{"type": "message", "role": "assistant", "content": [{"type": "text", "text": "hi"}], '
            f'"stop_reason": "end_turn", "usage": {usage}}}'
        )
    events = [
        ("message_start", '{"message": {"content": [], "usage": {}}}'),
        ("content_block_start", '{"index": 0, "content_block": {"type": "text", "text": "hi"}}'),
        ("message_delta", f'{{"delta": {{"stop_reason": "end_turn"}}, "usage": {usage}}}'),
        ("message_stop", '{"x": 0}'),
    ]
    return "".join(f'event: {kind}\ndata: {{"type": "{kind}", {data[1:]}\n\n' for kind, data in events)


def open_session(model, home, events, **options):
    return ainb.Session(
        model,
        home=home,
        cache=None,
        validation=None,
        retry=None,
        circuit=None,
        rate_limit=None,
        runtime=Runtime(sink=events.append),
        **options,
    )


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("model", "fields"), [("openai:gpt-4o", OPENAI), ("anthropic:claude-sonnet-4-5-20250929", ANTHROPIC)]
)
def test_no_number_of_a_server_breaks_the_budget_or_loses_a_row(tmp_path, model, fields, streamed):
    for number, field in enumerate(fields):
        home, events = tmp_path / f"home{number}", []
        usages = [usage_with(model, field, value) for value in ABSURD]
        with FaultServer(plan=answers(model, usages)) as server:
            session = open_session(
                model, home, events, api_base=server.base_url, budget=ainb.Budget(usd=1_000, per="day")
            )
            spent = [Decimal(0)]
            for value in ABSURD:
                watch = {"on_text": str} if streamed else {}
                reply = session.ask("hello", **watch)
                assert reply.text == "hi", (field, value)
                spent.append(session.budget_status()[0].spent_usd)
                assert 0 <= spent[-1] - spent[-2] <= MOST_OF_ONE_CALL, (field, value)
            usage = session.usage()
            session.close()

        again = open_session(model, home, [], budget=ainb.Budget(usd=1_000, per="day"))
        assert again.budget_status()[0].spent_usd == spent[-1], field
        assert len(again.usage()) == len(ABSURD), field
        assert str(again.costs()["cost_usd"].dtype) == "Float64"
        again.close()
        assert str(usage["input_tokens"].dtype) == str(usage["output_tokens"].dtype) == "Int64"
        assert not (usage["cost_usd"] < 0).any()
        assert (usage["cost_usd"].dropna() <= float(MOST_OF_ONE_CALL)).all()
        assert len([event for event in events if isinstance(event, Notice)]) <= 1, field


def test_the_first_answer_of_a_process_is_held_to_the_context_window_too(tmp_path):
    """The list of models is loaded while the first answer is in flight."""
    code = (
        "import sys, ainb\n"
        "session = ainb.Session('openai:gpt-4o', home=sys.argv[1], api_base=sys.argv[2], cache=None)\n"
        "reply = session.ask('hello')\n"
        "print(reply.usage.input_tokens, reply.cost_usd)\n"
        "session.close()\n"
    )
    usages = [usage_with("openai:", "prompt_tokens", "90000000")]
    with FaultServer(plan=answers("openai:", usages)) as server:
        ended = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "home"), server.base_url],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    assert ended.stdout.split() == ["None", "None"], ended.stderr


@pytest.mark.parametrize(
    "cost",
    [
        -1,
        1e30,
        float("nan"),
        float("inf"),
        Decimal("1e400"),
        Decimal("NaN"),
        "12",
        True,
        10**20,
        Decimal("1e-400"),
    ],
)
def test_any_cost_that_a_caller_records_leaves_the_row(tmp_path, cost):
    with open_session("scripted:echo", tmp_path, []) as session:
        session.record(prompt="p", reply="r", model="gpt-4o", cost_usd=cost)
        session.record(prompt="p", reply="r", model="gpt-4o", cost_usd=1)
        frame, costs = session.usage(), session.costs()

    assert len(frame) == 2
    assert costs["cost_usd"].sum() in {1.0, 13.0}


@pytest.mark.parametrize("value", [-1, 10**9, 2**63, 10**400, 1.5, float("nan"), "7", True, [1]])
def test_any_count_and_duration_that_a_caller_records_leaves_the_row(tmp_path, value):
    with open_session("scripted:echo", tmp_path, []) as session:
        session.record(
            prompt="p", reply="r", model="gpt-4o", usage=Usage(input_tokens=value, output_tokens=value)
        )
        if isinstance(value, int | float):
            session.record(prompt="p", reply="r", model="gpt-4o", duration_s=value)
        frame = session.usage()

    assert frame["input_tokens"].isna().any()
    assert len(frame) == 1 + isinstance(value, int | float)


DAY = Account("day", "2026-05-04")


@pytest.mark.parametrize("cost", ["1e5", "1e30", "1e400", "92233720368.54775808", "1e-400"])
def test_sums_of_a_day_saturate_and_nothing_stays_queued(tmp_path, cost):
    said = []
    book = DayBook(tmp_path / "budget.sqlite3", sink=said.append)
    for token in range(200):
        book.reserve(token, Claim(DAY, Decimal(1_000_000)), Decimal(cost))
        book.settle(token, DAY, Decimal(cost))
    spent = book.balance(DAY).settled
    other = DayBook(tmp_path / "budget.sqlite3")

    until(lambda: other.balance(DAY).settled == spent > 0)
    assert said == []
    if Decimal(cost) > 1:
        assert book.reserve(1_000, Claim(DAY, Decimal(1_000_000)), Decimal(1)) is Verdict.NEVER
    book.reset(DAY)
    until(lambda: other.reserve(1, Claim(DAY, LIMIT), Decimal(1)) is Verdict.GRANTED)
    other.close()
    book.close()


def test_an_output_limit_beyond_all_measure_is_refused_and_harms_nothing(tmp_path):
    budget = ainb.Budget(usd=1, per="day")
    with FaultServer(plan=["hello"]) as server:
        session = open_session("openai:gpt-4o", tmp_path, [], api_base=server.base_url, budget=budget)
        for limit in (10**9, 10**18, 10**30):
            with pytest.raises(ainb.BudgetExceededError, match=r"more than the budget of \$1\.00 a day"):
                session.ask("hi", max_tokens=limit)
        assert session.ask("hi").text == "hello"
        session.close()


VALUES = [None, "", "text", b"bytes", -1, -(2**63), 2**63 - 1, 1e300, float("inf"), 3.5]


COLUMNS = [
    ("spent", "account"), ("spent", "settled"),
    ("held", "owner"), ("held", "token"), ("held", "amount"), ("held", "sent"),
    ("booked", "owner"), ("booked", "account"), ("booked", "cost"),
]  # fmt: skip


@pytest.mark.parametrize(("table", "column"), COLUMNS)
@pytest.mark.parametrize("value", VALUES)
def test_any_value_in_any_column_of_the_day_book(tmp_path, table, column, value):
    path = tmp_path / "budget.sqlite3"
    first = DayBook(path)
    first.reserve(1, Claim(DAY, LIMIT), Decimal(1))
    first.spend(DAY, Decimal(2))
    until(lambda: first._accounts[DAY].cost == first._accounts[DAY].booked)
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        for name in ("spent", "held", "booked"):
            columns = [row[1] for row in db.execute(f"PRAGMA table_info({name})")]
            db.execute(f"CREATE TABLE new_{name} ({', '.join(columns)})")
            db.execute(f"INSERT INTO new_{name} SELECT * FROM {name}")  # noqa: S608 - names of this file
            db.execute(f"DROP TABLE {name}")
            db.execute(f"ALTER TABLE new_{name} RENAME TO {name}")
        db.execute("CREATE UNIQUE INDEX one ON spent (account)")
        db.execute(f"UPDATE {table} SET {column} = ?", (value,))  # noqa: S608 - names of this file

    said = []
    other = DayBook(path, sink=said.append)
    for book in (other, first):
        assert book.reserve(2, Claim(DAY, LIMIT), Decimal(1)) is Verdict.GRANTED
        before = book.balance(DAY).settled
        assert 0 <= before <= 4
        assert book.settle(2, DAY, Decimal(1)) == before + 1
    assert first.settle(1, DAY, Decimal(1)) == first.balance(DAY).settled
    assert len(said) == (column in {"settled", "amount"})
    other.close()
    first.close()


def test_a_call_that_a_cassette_or_cache_made_absurd_saves_nothing(tmp_path):
    """The numbers of stored answers are bounded like those of a provider."""
    for value in (10**9, 2**52, 10**30, -1, 1.5, True, "7"):
        usage = Usage(input_tokens=value, output_tokens=1, source="provider")
        with contextlib.suppress(TypeError):
            assert decode_entry(encode_entry(Reply(text="x", usage=usage), 1.0)) is None
        assert read_reply(write_reply(Reply(text="x", usage=usage))).usage.input_tokens is None
    for cost in ("1e30", "-1", "NaN", "100001"):
        reply = Reply(text="x", cost_usd=Decimal(cost), cost_source="provider")
        assert decode_entry(encode_entry(reply, 1.0)) is None
        assert read_reply(write_reply(reply)).cost_usd is None
