"""Tests of ``rows_per_call``: rows in one call have separate answers, costs, journal rows and cache
entries."""

from __future__ import annotations

import dataclasses
import enum
import json
import os
import subprocess
import sys
import typing
from decimal import Decimal

import pandas as pd
import pydantic
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ainb
from ainb.batch import BatchInterrupted
from ainb.batch.packs.calls import one_line
from ainb.batch.packs.shares import split
from ainb.config import load_config
from ainb.errors import ConfigError
from ainb.runtime import Runtime
from tests.fault_server import Fault
from tests.providers.billing_server import BillingServer

SCHEMA = "label: positive|negative"
PROMPT = "Classify the review: {text}"
MODELS = ("openai:gpt-6-luna", "anthropic:claude-haiku-5-5")
NANO = Decimal(1_000_000_000)


class Node(pydantic.BaseModel):
    name: str
    next: Node | None = None


class WithId(pydantic.BaseModel):
    id: int
    label: str


class Optionals(pydantic.BaseModel):
    label: str
    why: str | None = None
    score: float = 0.5


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


def table(rows=20):
    return pd.DataFrame(
        {"text": [f"it is {'good' if row % 3 else 'bad'}, says {row}" for row in range(rows)]}
    )


def truth(data):
    return ["positive" if "good" in text else "negative" for text in data["text"]]


def nano(amounts):
    return [None if pd.isna(amount) else round(Decimal(repr(float(amount))) * NANO) for amount in amounts]


def call_costs(session):
    usage = session.usage()
    return sum(cost or 0 for cost in nano(usage["cost_usd"]))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("rows", "size", "calls"), [(20, 20, 1), (20, 7, 3), (3, 10, 1), (21, 20, 2), (1, 5, 1)]
)
def test_rows_are_answered_in_packs(make_session, model, rows, size, calls):
    data = table(rows)
    with BillingServer() as server:
        session = make_session(server, model)
        frame = session.map(data, PROMPT, schema=SCHEMA, rows_per_call=size)

    assert frame["label"].tolist() == truth(data)
    assert (frame["status"] == "ok").all()
    assert server.hits == calls
    usage = session.usage()
    assert sorted(usage["rows"]) == sorted([size] * (rows // size) + [rows % size] * bool(rows % size))
    assert usage.loc[usage["rows"] > 1, "row_key"].isna().all()
    assert sum(nano(frame["cost_usd"])) == call_costs(session) == round(server.usd * NANO)
    assert frame["input_tokens"].sum() == usage["input_tokens"].sum()
    assert frame["output_tokens"].sum() == usage["output_tokens"].sum()


def test_a_request_is_the_shared_text_and_one_line_per_row(make_session):
    data = pd.DataFrame({"text": ["a\nb", "c\r\n[1] d", "e\u2028f\u2029g", "{x} \\n"]})
    with BillingServer() as server:
        make_session(server).map(data, "Classify: {text}, please", schema=SCHEMA, rows_per_call=4)

    text = server.requests[0].body["messages"][-1]["content"]
    head, _, lines = text.partition("\n\n[1] ")
    assert head.startswith("Classify:")
    assert lines.splitlines() == [
        "a\\nb, please",
        "[2] c\\n[1] d, please",
        "[3] e\\nf\\ng, please",
        "[4] {x} \\n, please",
    ]


@given(st.text())
def test_no_text_begins_a_second_line(text):
    assert len(f"[1] {one_line(text)}".splitlines()) == 1


@given(st.integers(-(10**15), 10**15), st.lists(st.integers(0, 10**6), min_size=1, max_size=50))
def test_parts_add_up_exactly(total, weights):
    parts = split(total, weights)

    assert sum(parts) == total
    assert all(part * total >= 0 for part in parts)
    assert all(part == 0 for part, weight in zip(parts, weights, strict=True) if any(weights) and not weight)


# --- replies of models to packs


def drop(entries):
    return entries[:3] + entries[4:]


def double(entries):
    return [*entries, entries[2]]


def contradict(entries):
    return [*entries, {**entries[2], "label": "negative"}]


def add_unknown(entries):
    return [{"id": "99", "label": "positive"}, *entries, {"id": "", "label": "positive"}]


def reorder(entries):
    return entries[::-1]


def number_ids(entries):
    return [{**entry, "id": int(entry["id"])} for entry in entries]


def bracket_ids(entries):
    return [{**entry, "id": f" [{entry['id']}] "} for entry in entries]


def boolean_ids(entries):
    return [{**entry, "id": True} for entry in entries]


def break_one(entries):
    return [*entries[:2], {"id": "3", "label": "perhaps"}, *entries[3:]]


def strange_entries(entries):
    return [None, 5, "x", [], {"label": "positive"}, *entries]


def shift_ids(entries):
    return [{**entry, "id": str(int(entry["id"]) + 1)} for entry in entries]


def prose(entries):
    return f"Here you are:\n```json\n{json.dumps({'rows': entries}, indent=1)}\n```\nAnything else?"


def bare_list(entries):
    return json.dumps(entries)


def nothing(_entries):
    return []


def no_json(_entries):
    return "I would rather not."


def thinking(entries):
    wrong = [{**entry, "label": "negative"} for entry in entries]
    return f"<think>{json.dumps({'rows': wrong})}</think>{json.dumps({'rows': entries})}"


def cut_in_entry(entries):
    return json.dumps({"rows": entries})[: len(json.dumps({"rows": entries[:4]})) + 5], "length"


def cut_in_first(_entries):
    return '{"rows": [{"id": "1", "la', "length"


def cut_at_once(_entries):
    return '{"ro', "length"


def cut_behind_an_invalid_one(_entries):
    return '{"rows": [{"id": "4", "label": "perhaps"}, {"id": "5", "la', "length"


def ends_early(entries):
    return json.dumps({"rows": entries})[:-1], "stop"


def cut_behind_the_last(entries):
    return json.dumps({"rows": entries})[:-2], "length"


CHANGES = [
    drop, double, contradict, add_unknown, reorder, number_ids, bracket_ids, boolean_ids, break_one,
    strange_entries, shift_ids, prose, bare_list, nothing, no_json, thinking, cut_in_entry, cut_in_first,
    cut_at_once, cut_behind_an_invalid_one, ends_early, cut_behind_the_last,
]  # fmt: skip
WHOLE = {
    add_unknown, reorder, number_ids, bracket_ids, strange_entries, prose, bare_list, thinking, ends_early,
    cut_behind_the_last,
}  # fmt: skip


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("change", CHANGES)
def test_every_row_gets_its_own_answer_whatever_the_model_does(make_session, model, change):
    data = table(10)
    with BillingServer(change=change) as server:
        session = make_session(server, model)
        frame = session.map(data, PROMPT, schema=SCHEMA, rows_per_call=10)

    if change is not shift_ids:  # swapped row ids cannot be detected
        assert frame["label"].tolist() == truth(data)
    assert (frame["status"] == "ok").all()
    assert sum(nano(frame["cost_usd"])) == call_costs(session) == round(server.usd * NANO)
    assert frame["input_tokens"].sum() == session.usage()["input_tokens"].sum()
    if change in WHOLE:
        assert server.hits == 1


def test_only_the_rows_without_an_answer_are_asked_again(make_session):
    with BillingServer(change=drop) as server:
        session = make_session(server)
        frame = session.map(table(10), PROMPT, schema=SCHEMA, rows_per_call=10)

    assert server.hits == 2
    assert server.requests[1].body["messages"][-1]["content"] == "Classify the review: it is bad, says 3"
    assert frame["attempts"].tolist() == [1, 1, 1, 2, 1, 1, 1, 1, 1, 1]
    assert session.usage()["rows"].tolist() == [10, 1]


def test_a_cut_reply_keeps_the_whole_rows_and_asks_for_the_rest_in_a_pack(make_session):
    with BillingServer() as server:
        session = make_session(server)
        frame = session.map(
            table(30), PROMPT, schema=SCHEMA, rows_per_call=30, extra_body={"max_completion_tokens": 150}
        )

    assert (frame["status"] == "ok").all()
    assert frame["label"].tolist() == truth(table(30))
    assert len(server.packs[0]) == 30
    assert 1 < server.hits < 8


@pytest.mark.parametrize("model", MODELS)
def test_output_limits_grow_with_the_pack(make_session, model):
    with BillingServer() as server:
        session = make_session(server, model, cache=None)
        session.map(table(10), PROMPT, schema=SCHEMA, rows_per_call=10, max_tokens=30)
        limit = (
            server.requests[-1].body.get("max_completion_tokens") or server.requests[-1].body["max_tokens"]
        )
        session.map(table(10), PROMPT, schema=SCHEMA, rows_per_call=10)
        default = server.requests[-1].body.get("max_tokens")

    assert limit >= 300
    assert default is None or default > 4_096


def test_a_pack_that_fails_for_its_content_is_halved_until_the_row_stands_alone(make_session):
    def refuse(seen):
        if "says 5" in seen.raw.decode():
            return Fault(status=400, code="content_policy_violation", message="the content is not allowed")
        return None

    with BillingServer(refuse=refuse) as server:
        session = make_session(server)
        frame = session.map(table(16), PROMPT, schema=SCHEMA, rows_per_call=16)

    assert frame["status"].tolist() == ["error" if row == 5 else "ok" for row in range(16)]
    assert "not allowed" in frame["error_message"][5]
    assert server.hits <= 10


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_for_the_account_is_not_halved_and_stops_the_batch(make_session, status):
    with BillingServer(refuse=lambda _seen: Fault(status=status, message="no")) as server:
        frame = make_session(server).map(table(200), PROMPT, schema=SCHEMA, rows_per_call=10)

    assert not (frame["status"] == "ok").any()
    assert server.hits <= 20


def test_an_outage_is_the_error_of_its_rows_and_they_are_sent_again(make_session):
    down = [True]
    with BillingServer(refuse=lambda _seen: Fault(status=500) if down[0] else None) as server:
        session = make_session(server, retry=None, circuit=None)
        first = session.map(table(20), PROMPT, schema=SCHEMA, rows_per_call=10)
        down.clear()
        down.append(False)
        second = session.map(table(20), PROMPT, schema=SCHEMA, rows_per_call=10, retry_failed=True)

    assert (first["status"] == "error").all()
    assert (second["status"] == "ok").all()
    assert server.hits == 4


# --- validation, caching and billing per row


def test_rows_are_cached_separately(make_session):
    with BillingServer() as server:
        session = make_session(server)
        session.map(table(10), PROMPT, schema=SCHEMA, rows_per_call=5)
        mixed = pd.concat([table(30).tail(8), table(4)], ignore_index=True)
        frame = session.map(mixed, PROMPT, schema=SCHEMA, rows_per_call=5)
        plain = session.map(table(10), PROMPT, schema=SCHEMA)
        other = session.map(table(10), PROMPT, schema=SCHEMA, rows_per_call=6)

    assert frame["cached"].tolist() == [False] * 8 + [True] * 4
    assert frame["label"].tolist() == truth(mixed)
    assert not plain["cached"].any()
    assert not other["cached"].any()
    assert [len(pack) for pack in server.packs] == [5, 5, 5, 3, 6, 4]


def test_a_row_that_was_asked_alone_is_cached_as_the_others(make_session):
    with BillingServer(change=drop) as server:
        session = make_session(server)
        session.map(table(10), PROMPT, schema=SCHEMA, rows_per_call=10)
        frame = session.map(table(10), PROMPT, schema=SCHEMA, rows_per_call=10)

    assert frame["cached"].all()
    assert server.hits == 2


def test_equal_rows_are_sent_once(make_session):
    data = pd.concat([table(6)] * 5, ignore_index=True)
    with BillingServer() as server:
        session = make_session(server)
        frame = session.map(data, PROMPT, schema=SCHEMA, rows_per_call=4)

    assert frame["label"].tolist() == truth(data)
    assert sorted(map(len, server.packs)) == [2, 4]
    assert sum(nano(frame["cost_usd"])) == call_costs(session)


def test_rows_that_cannot_be_sent_are_rejected_alone(make_session):
    data = table(10)
    data.loc[[2, 5], "text"] = None
    with BillingServer() as server:
        frame = make_session(server).map(data, PROMPT, schema=SCHEMA, rows_per_call=4)

    assert frame["status"].tolist() == ["rejected" if row in {2, 5} else "ok" for row in range(10)]
    assert [len(pack) for pack in server.packs] == [4, 4]


def test_secrets_are_taken_out_of_each_row_and_of_what_all_share(make_session):
    data = table(6)
    data.loc[3, "text"] = "good, my key is sk-proj-" + "a1B2" * 12
    prompt = "Use key sk-proj-" + "c3D4" * 12 + " to classify the review: {text}"
    with BillingServer() as server:
        frame = make_session(server).map(data, prompt, schema=SCHEMA, rows_per_call=6)

    sent = b"".join(seen.raw for seen in server.requests)
    assert b"a1B2a1B2" not in sent
    assert b"c3D4c3D4" not in sent
    assert (frame["status"] == "ok").all()
    assert frame["label"][3] == "positive"


@pytest.mark.parametrize("put_back", [True, False])
def test_personal_data_is_put_back_into_the_answer_of_its_own_row(make_session, put_back):
    data = pd.DataFrame({"text": [f"write to person{row}@example.org" for row in range(6)]})
    validation = ainb.Validation(personal_data=True, put_back=put_back)
    with BillingServer(answer=lambda text: {"who": text.rpartition(" ")[2]}) as server:
        session = make_session(server, validation=validation)
        frame = session.map(data, "Who is named: {text}", schema="who: str", rows_per_call=6)

    assert b"person" not in b"".join(seen.raw for seen in server.requests)
    assert frame["who"].tolist() == [
        f"person{row}@example.org" if put_back else "<EMAIL_1>" for row in range(6)
    ]
    assert len(server.packs) == 1


def test_an_interrupted_run_goes_on_with_the_rows_that_are_left(make_session):
    def rows(stop):
        for row in range(40):
            if stop and row == 25:
                raise KeyboardInterrupt
            yield {"text": f"it is good, says {row}"}

    with BillingServer() as server:
        session = make_session(server, cache=None)
        with pytest.raises(BatchInterrupted):
            session.map(rows(stop=True), PROMPT, schema=SCHEMA, rows_per_call=10)
        done = sum(map(len, server.packs))
        frame = session.map(rows(stop=False), PROMPT, schema=SCHEMA, rows_per_call=10)

    assert (frame["status"] == "ok").all()
    assert done
    assert sum(map(len, server.packs)) == 40


def test_a_cassette_holds_a_record_a_row(make_session, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with BillingServer() as server:
        config = load_config({"home": tmp_path / "home", "replay": "record"})
        session = ainb.Session(
            "openai:gpt-6-luna",
            api_base=server.base_url,
            config=config,
            runtime=Runtime(notebook=lambda: tmp_path / "n.ipynb"),
        )
        live = session.map(table(12), PROMPT, schema=SCHEMA, rows_per_call=5)
        session.close()
    config = load_config({"home": tmp_path / "other", "replay": "replay"})
    session = ainb.Session(
        "openai:gpt-6-luna", config=config, runtime=Runtime(notebook=lambda: tmp_path / "n.ipynb")
    )
    again = session.map(table(12).iloc[::-1], PROMPT, schema=SCHEMA, rows_per_call=5)
    session.close()

    assert again["label"].tolist() == live["label"].tolist()[::-1]
    assert again["cost_usd"].sum() == pytest.approx(live["cost_usd"].sum())
    (cassette,) = tmp_path.rglob("*.jsonl")
    assert len(cassette.read_text().splitlines()) >= 12


def test_a_budget_that_holds_no_pack_is_spent_on_smaller_ones(make_session):
    with BillingServer() as server:
        budget = ainb.Budget(usd=0.0002, per="session")
        session = make_session(server, budget=budget)
        frame = session.map(table(40), PROMPT, schema=SCHEMA, rows_per_call=20, max_tokens=20)

    assert server.usd <= Decimal("0.0002")
    assert set(frame["status"]) <= {"ok", "rejected"}
    assert (frame["status"] == "ok").any()


# --- schemas

STRING = {"type": "string"}
SCHEMAS = [
    (SCHEMA, {"label": "positive"}),
    ("label: a|b, score: int 0..10, tags: [str], why: str?", {"label": "a", "score": 3, "tags": ["x"]}),
    (Optionals, {"label": "x"}),
    (WithId, {"value": {"id": 7, "label": "x"}}),
    (list[str], {"value": ["a", "b"]}),
    (typing.Literal["a", "b"], {"value": "a"}),
    (Colour, {"value": "red"}),
    (int | str, {"value": 5}),
    (Node, {"name": "a", "next": {"name": "b", "next": None}}),
    (
        {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]},
        {"value": {"id": "x"}},
    ),
    ({"type": "integer"}, {"value": 4}),
    (
        {"type": "object", "properties": {"n": {"type": "string"}, "c": {"$ref": "#"}}, "required": ["n"]},
        {"value": {"n": "a", "c": {"n": "b"}}},
    ),
    (
        {"type": "object", "properties": {"rows": {"type": "array", "items": STRING}}, "required": ["rows"]},
        {"rows": ["a"]},
    ),
    (
        {"anyOf": [{"type": "object", "properties": {"a": STRING}, "required": ["a"]}]},
        {"value": {"a": "x"}},
    ),
]  # fmt: skip


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("schema", "answer"), SCHEMAS)
def test_any_schema_is_packed(make_session, model, schema, answer):
    if schema is Node:
        answer = {"value": answer}
    with BillingServer(answer=lambda _text: answer) as server:
        frame = make_session(server, model).map(table(3), PROMPT, schema=schema, rows_per_call=3)

    assert frame["status"].tolist() == ["ok"] * 3, frame["error_message"].tolist()
    assert server.hits == 1


# --- invalid input


@pytest.mark.parametrize("value", [0, -1, 1.5, "ten", "5", True, None, float("nan"), 1_001, [5]])
def test_an_invalid_rows_per_call_is_refused(make_session, value):
    with BillingServer() as server, pytest.raises(ConfigError, match="rows_per_call must be a whole number"):
        make_session(server).map(table(3), PROMPT, schema=SCHEMA, rows_per_call=value)

    assert server.hits == 0


@pytest.mark.parametrize(
    ("task", "options", "words"),
    [
        (PROMPT, {}, "needs a schema"),
        (len, {}, "a function gets one item per call"),
        (PROMPT, {"schema": SCHEMA, "on_text": print}, "leave on_text out"),
        (PROMPT, {"schema": SCHEMA, "stream": True}, "leave stream out"),
    ],
)
def test_what_cannot_be_packed_is_refused_in_one_line(make_session, task, options, words):
    with BillingServer() as server, pytest.raises(ConfigError, match=words) as caught:
        make_session(server).map(table(3), task, rows_per_call=5, **options)

    assert "\n" not in str(caught.value)
    assert server.hits == 0


def test_one_row_a_call_is_the_same_as_none_given(make_session):
    with BillingServer() as server:
        session = make_session(server)
        session.map(table(3), PROMPT, schema=SCHEMA)
        frame = session.map(table(3), PROMPT, schema=SCHEMA, rows_per_call=1)

    assert frame["cached"].all()
    assert server.packs == []


# --- random combinations


@dataclasses.dataclass
class Mess:
    """Behaviour of a model for one pack."""

    seed: int
    cut: float | None

    def __call__(self, entries):
        import random

        rng = random.Random(self.seed)
        mixed = [entry for entry in entries if rng.random() > 0.2]
        mixed += [entry for entry in mixed if rng.random() < 0.15]
        mixed += [{"id": str(rng.randrange(100, 200)), "label": "positive"} for _ in range(rng.randrange(3))]
        mixed += [{"id": entry["id"], "label": "maybe"} for entry in entries if rng.random() < 0.1]
        rng.shuffle(mixed)
        text = json.dumps({"rows": mixed})
        return mixed if self.cut is None else (text[: max(1, int(len(text) * self.cut))], "length")


@pytest.fixture(scope="module")
def mixing(tmp_path_factory):
    with BillingServer(record=False) as server:
        session = ainb.Session(
            "openai:gpt-6-luna",
            api_base=server.base_url,
            config=load_config({"home": tmp_path_factory.mktemp("home")}),
            cache=None,
        )
        yield server, session
        session.close()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10**9),
    cut=st.none() | st.floats(0.0, 1.0),
    rows=st.integers(1, 40),
    size=st.integers(2, 25),
)
def test_every_row_ends_once_and_costs_add_up(mixing, monkeypatch, seed, cut, rows, size):
    server, session = mixing
    monkeypatch.setenv("OPENAI_API_KEY", "test-key-of-nobody")
    server.change, before, bills = Mess(seed, cut), call_costs(session), len(server.bills)
    ended = []

    frame = session.map(
        table(rows), PROMPT, schema=SCHEMA, rows_per_call=size, resume=False,
        watcher=lambda progress: ended.append((progress.done, progress.cost_nano_usd)),
    )  # fmt: skip

    assert (frame["status"] == "ok").all(), frame["error_message"].tolist()
    assert frame["label"].tolist() == truth(table(rows))
    spent = sum(nano(frame["cost_usd"]))
    assert spent == call_costs(session) - before
    assert ended[-1] == (rows, spent)
    assert len(server.bills) - bills <= 3 * rows
    billed = sum((bill.usd for bill in server.bills[bills:]), Decimal(0))
    assert abs(spent - billed * NANO) <= len(server.bills) - bills


# --- other features with packs


@pytest.mark.parametrize(("rows", "size", "shown"), [(10, 4, 4), (3, 10, 3), (1, 5, 1)])
def test_a_dry_run_shows_the_first_call(make_session, rows, size, shown):
    with BillingServer() as server:
        session = make_session(server)
        preview, forecast = session.preview_map(table(rows), PROMPT, schema=SCHEMA, rows_per_call=size)

    text = preview.request.messages[-1].text
    assert server.hits == 0
    assert preview.request.rows == shown
    assert text.count("it is ") == shown
    assert forecast.startswith("1 row, " if rows == 1 else f"{rows} rows")


def test_a_fallback_answers_a_pack_and_its_rows_are_its_own(make_session, monkeypatch):
    with BillingServer(refuse=lambda _seen: Fault(status=503)) as down, BillingServer() as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.base_url)
        session = make_session(down, retry=None, circuit=None)
        frame = session.map(
            table(10), PROMPT, schema=SCHEMA, rows_per_call=5, fallback="anthropic:claude-haiku-5-5"
        )

    assert frame["label"].tolist() == truth(table(10))
    assert [len(pack) for pack in server.packs] == [5, 5]
    assert set(session.usage()["provider_name"]) == {"anthropic"}
    assert sum(nano(frame["cost_usd"])) == call_costs(session)


def test_a_refusal_of_capacity_waits_and_the_pack_is_sent_again(make_session):
    busy = [Fault(status=429, retry_after=0.01)] * 3
    with BillingServer(refuse=lambda _seen: busy.pop() if busy else None) as server:
        session = make_session(server, retry=ainb.Retry(attempts=1, base_seconds=0.01))
        frame = session.map(table(40), PROMPT, schema=SCHEMA, rows_per_call=10)

    assert frame["label"].tolist() == truth(table(40))
    assert busy == []


def test_an_open_circuit_is_waited_for(make_session):
    down = [Fault(status=500)] * 12
    with BillingServer(refuse=lambda _seen: down.pop() if down else None) as server:
        circuit = ainb.Circuit(minimum_calls=2, open_seconds=0.2)
        session = make_session(server, retry=None, circuit=circuit)
        frame = session.map(table(400), PROMPT, schema=SCHEMA, rows_per_call=10)

    assert set(frame["status"]) <= {"ok", "error"}
    assert (frame["status"] == "ok").sum() >= 200


def test_results_go_to_a_file_in_the_order_of_the_rows(make_session, tmp_path):
    with BillingServer() as server:
        path = make_session(server).map(
            table(25), PROMPT, schema=SCHEMA, rows_per_call=10, out=tmp_path / "out.csv", keep=True
        )

    written = pd.read_csv(path)
    assert written["text"].tolist() == table(25)["text"].tolist()
    assert written["label"].tolist() == truth(table(25))


def test_dask_partitions_are_packed_too(make_session):
    dd = pytest.importorskip("dask.dataframe")
    with BillingServer() as server:
        session = make_session(server)
        lazy = session.map(dd.from_pandas(table(20), npartitions=2), PROMPT, schema=SCHEMA, rows_per_call=5)
        frame = lazy.compute(scheduler="threads")

    assert frame["label"].tolist() == truth(table(20))
    assert sorted(len(pack) for pack in server.packs) == [5, 5, 5, 5]


def test_a_cell_packs_its_rows(tmp_path, monkeypatch):
    from tests.shells import fresh_shell

    monkeypatch.setenv("OPENAI_API_KEY", "test-key-of-nobody")
    with BillingServer() as server, fresh_shell() as shell:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        shell.run_line_magic("load_ext", "ainb")
        shell.user_ns["rows"] = table(10)
        ended = shell.run_cell(
            f"%%ai openai:gpt-6-luna --each rows --into out --schema '{SCHEMA}' --rows-per-call 5 "
            f"--prompt-cache off\n{PROMPT}"
        )
        frame = shell.user_ns.get("out")

    assert ended.error_in_exec is None
    assert frame["label"].tolist() == truth(table(10))
    assert [len(pack) for pack in server.packs] == [5, 5]


KILLED = """
import sys
import ainb
from ainb.config import load_config

url, home = sys.argv[1:]
config = load_config({"home": home})
session = ainb.Session("openai:gpt-6-luna", api_base=url, config=config, cache=None)
rows = [{"text": f"it is good, says {row}"} for row in range(400)]
last = []
prompt, schema = "Classify the review: {text}", "label: positive|negative"
frame = session.map(rows, prompt, schema=schema, rows_per_call=10, watcher=last.append)
print(last[-1].resumed, (frame["status"] == "ok").sum())
"""


def test_a_killed_run_pays_only_for_the_rows_that_are_left(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(KILLED)
    environment = {**os.environ, "OPENAI_API_KEY": "nobody", "PYTHONPATH": os.pathsep.join(sys.path)}
    with BillingServer(answer_seconds=1.0) as server:
        command = [sys.executable, str(script), server.base_url, str(tmp_path / "home")]
        first = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        assert server.wait_for_hits(38, 60)
        first.kill()
        first.wait(10)
        sent = sum(map(len, server.packs))
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)

    resumed, answered = map(int, done.stdout.split())
    assert answered == 400
    assert resumed > 0
    assert sum(map(len, server.packs)) - sent == 400 - resumed
