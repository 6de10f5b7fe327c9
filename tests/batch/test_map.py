"""Tests of Session.map: sources, templates, result columns, errors, progress, files."""

from __future__ import annotations

import asyncio
import dataclasses
import typing

import pandas as pd
import pydantic
import pytest

import ainb
from ainb.batch import BatchFailedError
from ainb.batch.running.runner import CAUGHT_UP_BACKLOG, MAX_BACKLOG
from ainb.errors import ConfigError
from ainb.testing import Step, script
from ainb.usage.log.log import UsageLog
from ainb.usage.log.writer import RING_ROWS

COLUMNS = [
    "status", "reply", "error_type", "error_message", "attempts", "cached",
    "cost_usd", "input_tokens", "output_tokens", "duration_s",
]  # fmt: skip


class Label(pydantic.BaseModel):
    label: typing.Literal["good", "bad"]
    score: float | None = None
    status: str = "new"


@dataclasses.dataclass
class Point:
    x: int
    y: int


class City(typing.TypedDict):
    name: str
    people: int


def test_each_row_is_answered_on_the_index_and_in_the_order_of_the_input(session):
    index = pd.MultiIndex.from_tuples([("a", 1), ("a", 1), ("b", 2)], names=["k", "n"])
    frame = pd.DataFrame({"word": ["x", "y", "z"], 7: [1, 2, 3]}, index=index)

    result = session.map(frame, "{word}!")

    pd.testing.assert_index_equal(result.index, index)
    assert list(result["reply"]) == ["x!", "y!", "z!"]
    assert list(result.columns) == COLUMNS
    assert list(result["status"].cat.categories) == ["ok", "error", "rejected", "cancelled"]


def test_dtypes_are_the_contract_also_of_an_empty_table_and_survive_parquet(session, tmp_path):
    expected = {
        "reply": "string", "status": "category", "error_type": "category", "error_message": "string",
        "attempts": "Int16", "cached": "bool", "cost_usd": "Float64", "input_tokens": "Int64",
        "output_tokens": "Int64", "duration_s": "Float64",
    }  # fmt: skip

    for frame in (pd.DataFrame({"a": ["x", None]}), pd.DataFrame({"a": []}, dtype="object")):
        result = session.map(frame, "{a}")
        assert {name: str(dtype) for name, dtype in result.dtypes.items()} == expected
        result.to_parquet(tmp_path / "r.parquet")
        back = pd.read_parquet(tmp_path / "r.parquet")
        assert list(back["reply"].isna()) == list(result["reply"].isna())
        assert len(result) == len(frame)


@pytest.mark.parametrize("empty", [None, float("nan"), pd.NA, pd.NaT])
def test_an_empty_cell_rejects_its_row_and_no_other(session, empty):
    result = session.map(pd.DataFrame({"a": ["x", empty, "z"]}, dtype="object"), "say {a}")

    assert list(result["status"]) == ["ok", "rejected", "ok"]
    assert result["error_type"][1] == "InvalidPromptError"
    assert "'a' of this row is empty" in result["error_message"][1]
    assert result["attempts"][1] == 0


@pytest.mark.parametrize(
    ("data", "template", "replies"),
    [
        (["x", "y"], "{value}", ["x", "y"]),
        (iter(["x", "y"]), "{value}", ["x", "y"]),
        ((word for word in "ab"), "{value}", ["a", "b"]),
        ([{"a": 1, "b": {"c": 2}}], "{a} {b[c]}", ["1 2"]),
        (iter([{"a": 1}, {"b": 2}]), "{a}", ["1", None]),
        (pd.Series(["x"], name="word"), "{value}", ["x"]),
        ([1.5, 2], "{value}", ["1.5", "2"]),
        (["{x}", "{{y}}"], "<{value}>", ["<{x}>", "<{{y}}>"]),
        (["x"], "{{value}} {value} {{{value}}} {other}", ["{value} x {x} o"]),
    ],
)
def test_every_kind_of_source_fills_the_template_by_one_pass(session, data, template, replies):
    result = session.map(data, template, names={"other": "o", "x": "secret", "y": "secret"})

    assert [None if pd.isna(reply) else reply for reply in result["reply"]] == replies


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{reviw}", r"did you mean \{review\}\? columns are: review, n"),
        ("{nothing_like_it}", "neither a column nor a name of the notebook; columns are: review, n"),
        ("no column", "uses no column"),
        ("{{review}}", "uses no column"),
    ],
)
def test_a_template_that_cannot_be_filled_is_refused_before_anything_is_sent(session, template, said):
    frame = pd.DataFrame({"review": ["x"], "n": [1]})

    with pytest.raises(ConfigError, match=said):
        session.map(frame, template)
    assert session.usage().empty


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"limit": -1}, "limit must be a whole number"),
        ({"sample": 1.5}, "sample must be a whole number"),
        ({"concurrency": 0}, "concurrency must be"),
        ({"on_error": "explode"}, "on_error must be"),
        ({"keep": ["nope"]}, "keep names a column 'nope'"),
        ({"schema": 3}, "a schema is a pydantic model"),
        ({"schema": {"type": "strng"}}, "JSON schema is wrong"),
        ({"out": "x.xlsx"}, "must end in one of"),
        ({"model": "nope:x"}, "names no provider"),
    ],
)
def test_invalid_options_are_refused_before_anything_is_sent(session, options, said):
    with pytest.raises(ConfigError, match=said):
        session.map(pd.DataFrame({"a": ["x"]}), "{a}", **options)


@pytest.mark.parametrize("data", ["text", b"bytes", {"a": 1}, 3, None])
def test_data_without_rows_is_refused(session, data):
    with pytest.raises(ConfigError, match="a batch takes a DataFrame"):
        session.map(data, "{value}")


def test_a_repeated_column_name_is_refused(session):
    with pytest.raises(ConfigError, match="several columns named 'a'"):
        session.map(pd.DataFrame([[1, 2]], columns=["a", "a"]), "{a}")


def test_identical_rows_share_one_call_with_the_cache_off_too(session):
    played = script("count", [Step(text="once", delay_seconds=0.05)])

    result = session.map(["same"] * 5_000, "{value}", model="scripted:count", cache="off")

    assert played.played == 1
    assert (result["reply"] == "once").all()
    assert result["cached"].sum() == 4_999
    assert result["cost_usd"].sum() == 0


def test_one_failed_row_fails_no_other_row(session):
    def careful(item):
        if item == 2:
            raise ValueError("two is not wanted")
        return str(item)

    result = session.map([1, 2, 3], careful)

    assert list(result["status"]) == ["ok", "error", "ok"]
    assert result["error_message"][1] == "two is not wanted"


def test_an_async_function_gets_the_item_itself_and_retries(session):
    tries = []

    async def flaky(item):
        await asyncio.sleep(0)
        tries.append(item["n"])
        if len(tries) == 1:
            raise ConnectionError("reset")
        return {"twice": item["n"] * 2}

    result = session.map([{"n": 4}], flaky)

    assert result["reply"][0] == '{"twice": 8}'
    assert (tries, result["attempts"][0]) == ([4, 4], 2)


def test_fail_fast_takes_no_more_rows(session):
    script("dead", [400])

    result = session.map(
        [str(number) for number in range(50)], "{value}", model="scripted:dead", fail_fast=True, concurrency=2
    )

    assert (result["status"] == "cancelled").sum() >= 45
    assert "error" in set(result["status"])


def test_on_error_raise_finishes_first_and_hands_over_the_frame(session):
    def careful(item):
        if item == "b":
            raise ValueError("no b")
        return item

    with pytest.raises(BatchFailedError, match=r"1 of 3 rows failed.*no b") as caught:
        session.map(["a", "b", "c"], careful, on_error="raise")
    assert list(caught.value.frame["status"]) == ["ok", "error", "ok"]


@pytest.mark.parametrize("keep", [True, ["n"], "n"])
def test_input_columns_are_carried_in_front(session, keep):
    frame = pd.DataFrame({"n": [1, 2], "reply": ["old", "older"]})

    result = session.map(frame, "{reply}{n}", keep=keep)
    first = list(result.columns)[: 2 if keep is True else 1]

    assert first == (["n", "reply_input"] if keep is True else ["n"])
    assert list(result["reply"]) == ["old1", "older2"]


def test_limit_and_sample_choose_rows_and_keep_their_index(session):
    frame = pd.DataFrame({"a": list("abcdefghij")})

    assert list(session.map(frame, "{a}", limit=3)["reply"]) == ["a", "b", "c"]
    sampled = session.map(frame, "{a}", sample=4)
    assert list(sampled["reply"]) == [frame["a"][label] for label in sampled.index]
    assert sampled.index.equals(session.map(frame, "{a}", sample=4).index)
    assert list(session.map(iter("abc"), "{value}", limit=2)["reply"]) == ["a", "b"]
    with pytest.raises(ConfigError, match="sample needs a source with a length"):
        session.map(iter("abc"), "{value}", sample=2)


def test_a_schema_gives_one_typed_column_a_field(session):
    script("labels", ['{"label": "good", "score": 0.5}', '```json\n{"label": "bad"}\n```'])

    result = session.map(["a", "b"], "{value}", schema=Label, model="scripted:labels", concurrency=1)

    assert list(result.columns[:5]) == ["label", "score", "status_reply", "status", "reply"]
    assert [str(dtype) for dtype in result.dtypes[:3]] == ["category", "Float64", "string"]
    assert list(result["label"]) == ["good", "bad"]
    assert result["score"][0] == 0.5
    assert result["score"].isna()[1]


@pytest.mark.parametrize(
    ("schema", "reply", "columns"),
    [
        (Point, '{"x": 1, "y": 2}', {"x": 1, "y": 2}),
        (City, '{"name": "Oslo", "people": 3}', {"name": "Oslo", "people": 3}),
        (
            {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]},
            '{"a": true}',
            {"a": True},
        ),
        ({"type": "array", "items": {"type": "integer"}}, "[1, 2]", {"value": "[1,2]"}),
    ],
)
def test_schemas_of_every_shape_are_read(session, schema, reply, columns):
    script("one", [reply])

    result = session.map(["x"], "{value}", schema=schema, model="scripted:one")

    assert {name: result[name][0] for name in columns} == columns


def test_an_invalid_answer_is_asked_for_once_more_with_what_was_wrong(session):
    played = script("slow", ['{"label": "mixed"}', '{"label": "bad"}'])

    result = session.map(["x"], "{value}", schema=Label, model="scripted:slow")

    assert (result["label"][0], played.played, result["attempts"][0]) == ("bad", 2, 2)


def test_an_answer_invalid_twice_is_an_error_row_that_keeps_the_raw_text(session):
    script("never", ["neither", "nor", '{"label": "good"}'])

    result = session.map(["x", "y"], "{value}", schema=Label, model="scripted:never", concurrency=1)

    assert list(result["status"]) == ["error", "ok"]
    assert result["error_type"][0] == "InvalidReplyError"
    assert result["reply"][0] == "nor"
    assert result["output_tokens"][0] == 2
    usage = session.usage()
    assert list(usage["output_tokens"]) == [2, 2]


def test_rows_stand_in_the_usage_log_with_their_batch(session):
    session.map(["a", "b", "b"], "{value}")

    usage = session.usage()
    assert len(usage) == 2
    assert len(set(usage["batch_id"])) == 1
    assert usage["row_key"].notna().all()


def test_progress_is_reported_up_to_the_last_row(session):
    seen = []

    session.map(
        ["a", "b", None], "{value}", watcher=lambda progress: seen.append(dataclasses.replace(progress))
    )

    last = seen[-1]
    assert (last.state, last.total, last.done, last.answered, last.rejected) == ("finished", 3, 3, 2, 1)
    assert last.in_flight == 0


def test_a_watcher_that_raises_fails_no_row(session):
    def broken(_progress):
        raise RuntimeError("no display")

    assert list(session.map(["a"], "{value}", watcher=broken)["status"]) == ["ok"]


def test_a_forecast_is_given_before_the_start(session, events):
    session.map(["one two"] * 40, "{value}", watcher=lambda _progress: None)

    (told,) = [event.text for event in events if getattr(event, "kind", "") == "forecast"]
    assert told.startswith("40 rows, about ")


def test_submit_map_is_awaited_or_asked_for_its_result(session):
    async def main():
        return await session.submit_map(["a"], "{value}")

    assert list(session.submit_map(["a"], "{value}").result(30)["reply"]) == ["a"]
    assert list(asyncio.run(main())["reply"]) == ["a"]


def test_an_open_circuit_is_waited_for_and_no_row_is_lost(tmp_path, events):
    script("weak", [*[503] * 6, "fine"])
    config = ainb.Config(
        circuit=ainb.Circuit(open_seconds=0.2, minimum_calls=4),
        retry=ainb.Retry(attempts=20, base_seconds=0.01),
    )
    with ainb.Session("scripted:weak", home=tmp_path / "home", config=config) as session:
        result = session.map([str(number) for number in range(30)], "{value}")

    assert (result["status"] == "ok").all()


def test_rows_are_rejected_when_the_circuit_stays_open_and_a_second_run_resumes_them(tmp_path):
    script("down", [503])
    config = ainb.Config(
        circuit=ainb.Circuit(open_seconds=0.3, minimum_calls=2), retry=ainb.Retry(attempts=1), cache=None
    )
    words = [str(number) for number in range(20)]
    with ainb.Session("scripted:down", home=tmp_path / "home", config=config) as session:
        first = session.map(words, "{value}", circuit_wait_seconds=0.5)
        assert set(first["status"]) == {"error", "rejected"}
        script("down", ["up again"])
        second = session.map(words, "{value}", retry_failed=True)

    assert (second["status"] == "ok").all()


def test_the_source_may_raise_and_the_rows_before_it_are_kept(session):
    def rows():
        yield "a"
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        session.map(rows(), "{value}")
    assert len(session.usage()) == 1


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".jsonl"])
def test_a_file_streams_in_and_out_in_order(session, tmp_path, ending):
    source, out = tmp_path / f"in{ending}", tmp_path / f"out{ending}"
    frame = pd.DataFrame({"id": range(300), "word": [f"w{number}" for number in range(300)]})
    write = {".csv": frame.to_csv, ".parquet": frame.to_parquet, ".jsonl": frame.to_json}[ending]
    write(source, **({"orient": "records", "lines": True} if ending == ".jsonl" else {"index": False}))

    assert session.map(source, "say {word}", out=out, keep=["id"]) == out

    read = {
        ".csv": pd.read_csv,
        ".parquet": pd.read_parquet,
        ".jsonl": lambda path: pd.read_json(path, lines=True),
    }
    back = read[ending](out)
    assert list(back["id"]) == list(range(300))
    assert list(back["reply"]) == [f"say w{number}" for number in range(300)]


def test_a_missing_file_and_an_invalid_line_are_errors(session, tmp_path):
    with pytest.raises(ConfigError, match="there is no file"):
        session.map(tmp_path / "nope.csv", "{a}")
    (tmp_path / "broken.jsonl").write_text('{"a": 1}\n{"a": \n')
    with pytest.raises(ConfigError, match=r"broken\.jsonl, line 2, is not JSON"):
        session.map(tmp_path / "broken.jsonl", "{a}", concurrency=1)


def test_a_run_that_outpaces_the_log_waits_for_it(tmp_path, monkeypatch):
    looks = iter([50_000, 50_000, 16_000, 1_000])
    monkeypatch.setattr(UsageLog, "backlog", property(lambda _log: next(looks, 0)))
    with ainb.Session("scripted:echo", home=tmp_path) as session:
        frame = session.map(["a", "b", "c"], "{value}", concurrency=1)

    assert (frame["status"] == "ok").all()
    assert next(looks, None) is None


def test_the_ring_of_rows_is_smaller_than_the_backlog_that_a_batch_waits_for():
    assert RING_ROWS < CAUGHT_UP_BACKLOG < MAX_BACKLOG
