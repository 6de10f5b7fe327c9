"""Tests of Session.compare on scripted models: inputs, metrics, costs, refusals."""

from __future__ import annotations

import asyncio
import enum
import json
import os
import signal
import threading
import typing
from decimal import Decimal

import numpy as np
import pandas as pd
import pydantic
import pytest
from sklearn import metrics

import ainb
from ainb.compare import run
from ainb.testing import Step, script
from tests.compare.conftest import table
from tests.fault_server import FaultServer

AB = {"a": "{a}", "b": "{b}"}
FIELD = {"a": '{"label": "{a}"}', "b": '{"label": "{b}"}'}


class Tone(enum.Enum):
    POSITIVE = "positive"
    NEGATIVE = "negative"
    NEUTRAL = "neutral"


class Label(pydantic.BaseModel):
    label: typing.Literal["positive", "negative", "neutral"]


class EnumLabel(pydantic.BaseModel):
    label: Tone


class Stars(pydantic.BaseModel):
    stars: int


class StarChoice(pydantic.BaseModel):
    stars: typing.Literal[1, 2, 3]


class Flag(pydantic.BaseModel):
    spam: bool


class Wide(pydantic.BaseModel):
    label: str
    status: str = "x"
    tags: list[str] = []


CONTRACT = [
    "variant", "model", "rows", "failed", "invalid", "accuracy", "low", "high", "kappa", "kappa_low", "kappa_high",  # noqa: E501
    "macro_f1", "cost_usd_per_1000", "p50_s", "only_first_right", "only_this_right", "p_value",
]  # fmt: skip


def test_two_prompts_are_measured_on_the_same_rows(session):
    frame = table(200)

    result = session.compare(frame, AB, truth="label")

    assert [name for name in result.frame.columns if name in CONTRACT] == CONTRACT
    assert list(result.frame["variant"]) == ["a", "b"]
    assert list(result.frame["model"]) == ["scripted:echo"] * 2
    for name, row in zip("ab", result.frame.to_dict("records"), strict=True):
        right = (frame[name] == frame["label"]).sum()
        assert row["accuracy"] == right / 200
        assert row["kappa"] == pytest.approx(metrics.cohen_kappa_score(frame["label"], frame[name]))
        assert row["macro_f1"] == pytest.approx(
            metrics.f1_score(frame["label"], frame[name], average="macro")
        )
        assert row["low"] < row["accuracy"] < row["high"]
        assert row["kappa_low"] < row["kappa"] < row["kappa_high"]
        assert (row["rows"], row["failed"], row["invalid"], row["answered"]) == (200, 0, 0, 200)
    first, this = result.frame.iloc[0], result.frame.iloc[1]
    assert first[["only_first_right", "only_this_right", "p_value", "difference"]].isna().all()
    one, other = frame["a"] == frame["label"], frame["b"] == frame["label"]
    assert this["only_first_right"] == (one & ~other).sum()
    assert this["only_this_right"] == (other & ~one).sum()


@pytest.mark.parametrize(
    ("schema", "prompts"),
    [
        (None, AB),
        (Label, FIELD),
        (EnumLabel, FIELD),
        (Label.model_json_schema(), FIELD),
        ({"type": "object", "properties": {"label": {"type": "string"}}, "required": ["label"]}, FIELD),
    ],
)
@pytest.mark.parametrize(
    "truth",
    [
        lambda column: column,
        lambda column: column.map(Tone),
        lambda column: column.astype("category"),
        lambda column: column.astype("string"),
        lambda column: np.asarray(column, dtype=object),
    ],
    ids=["text", "enum", "category", "string", "object"],
)
def test_labels_are_matched_by_the_types_of_the_schema(session, schema, prompts, truth):
    frame = table(60)
    frame["label"] = truth(frame["label"])

    result = session.compare(frame, prompts, truth="label", schema=schema)

    plain = table(60)
    assert list(result.frame["accuracy"]) == [(plain[name] == plain["label"]).mean() for name in "ab"]
    assert list(result.frame["failed"] + result.frame["invalid"]) == [0, 0]


@pytest.mark.parametrize(
    ("truth", "answers", "schema", "right"),
    [
        ([1, 2, 3], [1, 2, 1], StarChoice, 2),
        ([1.0, 2.0, 3.0], [1, 2, 1], StarChoice, 2),
        (["1", "2", "3"], [1, 2, 1], StarChoice, 2),
        ([True, False, True], ["true", "false", "false"], Flag, 2),
        (["True", "false", "yes"], ["true", "false", "false"], Flag, None),
        ([1, 0, 1], ["true", "false", "false"], Flag, 2),
    ],
)
def test_labels_that_are_numbers_or_booleans_match_too(session, truth, answers, schema, right):
    name = next(iter(schema.model_fields))
    frame = pd.DataFrame({"answer": [f'{{"{name}": {answer}}}' for answer in answers], "t": truth})

    if right is None:
        with pytest.raises(
            ainb.ConfigError, match="truth column 't', row 2: the field is true or false, and 'yes'"
        ):
            session.compare(frame, "{answer}", truth="t", schema=schema)
        return
    result = session.compare(frame, "{answer}", truth="t", schema=schema)

    assert result.frame["accuracy"][0] == pytest.approx(right / 3)


def test_a_field_of_several_is_named_and_one_like_a_column_of_ours_is_found(session):
    frame = pd.DataFrame({"answer": [json.dumps({"label": "x", "status": "good", "tags": ["p", "q"]})] * 3})
    frame["truth"] = ["good", "good", "bad"]
    frame["tags"] = [["p", "q"], '["p","q"]', ["q", "p"]]

    with pytest.raises(ainb.ConfigError, match="several fields; name one with field=: label, status, tags"):
        session.compare(frame, "{answer}", truth="truth", schema=Wide)
    with pytest.raises(ainb.ConfigError, match="no field 'labels'"):
        session.compare(frame, "{answer}", truth="truth", schema=Wide, field="labels")
    assert session.usage().empty
    result = session.compare(frame, "{answer}", truth="truth", schema=Wide, field="status")
    assert result.frame["accuracy"][0] == pytest.approx(2 / 3)
    result = session.compare(frame, "{answer}", truth="tags", schema=Wide, field="tags")
    assert result.frame["accuracy"][0] == pytest.approx(2 / 3)


def test_failed_and_invalid_rows_are_wrong_and_the_answered_only_figure_stands_beside(session):
    frame = table(40, good=1.0)
    steps = [json.dumps({"label": label}) for label in frame["label"]]
    steps[3] = steps[5] = 503
    steps[7] = "no JSON at all"
    script("shaky", [*steps[:8], "still none", *steps[8:]])

    result = session.compare(
        frame,
        {"only": "{text}"},
        truth="label",
        models="scripted:shaky",
        schema=Label,
        concurrency=1,
        journal=False,
    )

    row = result.frame.iloc[0]
    assert (row["rows"], row["failed"], row["invalid"], row["answered"]) == (40, 2, 1, 37)
    assert row["accuracy"] == 37 / 40
    assert row["accuracy_answered"] == 1.0
    assert row["kappa"] < 1
    confusion = result.confusion("only")
    assert confusion["failed"].sum() == 2
    assert confusion["invalid"].sum() == 1
    assert int(confusion.to_numpy().sum()) == 40
    scores = result.scores("only")
    assert list(scores["precision"]) == [1.0] * 3
    assert scores["recall"].min() < 1
    assert int(scores["support"].sum()) == 40


def test_an_answer_that_is_null_is_invalid(session):
    schema = {"type": "object", "properties": {"label": {"type": ["string", "null"]}}}
    frame = pd.DataFrame({"answer": ['{"label": null}', '{"label": "x"}'], "t": ["x", "x"]})

    row = session.compare(frame, "{answer}", truth="t", schema=schema).frame.iloc[0]

    assert (row["failed"], row["invalid"], row["accuracy"]) == (0, 1, 0.5)


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA])
def test_rows_without_a_truth_are_left_out_unsent_and_counted(session, missing):
    frame = table(30)
    frame["label"] = frame["label"].astype("object")
    frame.iloc[[2, 9], 1] = missing

    result = session.compare(frame, AB, truth="label")

    assert list(result.frame["rows"]) == [28, 28]
    assert list(result.frame["unlabelled"]) == [2, 2]
    assert len(session.usage()) <= 56
    assert list(result.data.index) == [key for key in frame.index if key not in {"r2", "r9"}]


def test_a_sample_holds_the_same_rows_for_all_and_for_the_same_seed(session):
    frame = table(100)

    one = session.compare(frame, AB, truth="label", sample=20, seed=4)
    again = session.compare(frame, AB, truth="label", sample=20, seed=4)
    other = session.compare(frame, AB, truth="label", sample=20, seed=5)

    assert list(one.answers("a").index) == list(one.answers("b").index) == list(again.data.index)
    assert list(one.data.index) == [key for key in frame.index if key in set(one.data.index)]
    assert list(other.data.index) != list(one.data.index)
    again_frame = again.frame.drop(columns=["p50_s", "timed_rows"])
    pd.testing.assert_frame_equal(one.frame.drop(columns=["p50_s", "timed_rows"]), again_frame)


def test_every_prompt_is_asked_of_every_model(session):
    frame = table(30)
    script("always", [Step(text="positive")] * 60)

    result = session.compare(
        frame, {"a": "{a} {text}", "b": "{b}"}, truth="label", models=["scripted:echo", "scripted/always"]
    )

    assert list(zip(result.frame["variant"], result.frame["model"], strict=True)) == [
        ("a", "scripted:echo"), ("a", "scripted:always"), ("b", "scripted:echo"), ("b", "scripted:always"),
    ]  # fmt: skip
    with pytest.raises(
        ainb.ConfigError, match="several models; name one with model=: scripted:echo, scripted:always"
    ):
        result.confusion("a")
    by_alias, by_name = (
        result.confusion("a", "scripted/always"),
        result.confusion("a", model="scripted:always"),
    )
    pd.testing.assert_frame_equal(by_alias, by_name)
    assert int(by_name["positive"].sum()) == 30
    with pytest.raises(ainb.ConfigError, match="not asked of the model 'nope'"):
        result.scores("a", model="nope")
    with pytest.raises(ainb.ConfigError, match="no variant 'c'; the variants are: a, b"):
        result.scores("c")
    differ = result.disagreements("b", model="scripted:echo", other_model="scripted:always")
    assert list(differ.columns[-2:]) == ["b, scripted:echo", "b, scripted:always"]
    assert (differ.iloc[:, -1] == "positive").all()


def test_kappa_and_its_interval_are_those_of_agreement(session):
    frame = table(150)

    result = session.compare(frame, {"a": FIELD["a"]}, truth="label", schema=EnumLabel, seed=3)

    found = ainb.agreement(frame["label"], frame["a"], seed=3)
    row = result.frame.iloc[0]
    assert (row["kappa"], row["kappa_low"], row["kappa_high"]) == (found.kappa, found.low, found.high)


def test_disagreements_are_the_rows_with_both_answers_and_the_truth(session):
    frame = table(80)

    rows = session.compare(frame, AB, truth="label").disagreements("a", "b")

    expected = frame[frame["a"] != frame["b"]]
    assert list(rows.index) == list(expected.index)
    assert list(rows.columns) == ["text", "label", "a", "b", "a_answer", "b_answer"]
    assert list(rows["a_answer"]) == list(expected["a"])


@pytest.mark.parametrize("labels", [["yes", "no"], ["failed", "passed"]])
def test_the_confusion_matrix_has_truth_in_rows_answers_in_columns_and_no_margins(session, labels):
    frame = table(50, labels=labels)
    frame.loc["r0", "a"] = "something else"

    confusion = session.compare(frame, AB, truth="label").confusion("a")

    expected = pd.crosstab(frame["label"], frame["a"])
    for truth in labels:
        for answer in labels:
            assert confusion.loc[truth, answer] == expected.loc[truth, answer]
    outcomes = ["failed_rows", "invalid_rows"] if "failed" in labels else ["failed", "invalid"]
    assert list(confusion.columns) == [*sorted(labels), "something else", *outcomes]
    assert int(confusion.to_numpy().sum()) == 50


def test_case_is_ignored_where_asked(session):
    frame = pd.DataFrame(
        {"answer": ["Positive", "NEGATIVE ", "neutral"], "label": ["positive", "Negative", "x"]}
    )

    exact = session.compare(frame, "{answer}", truth="label")
    folded = session.compare(frame, "{answer}", truth="label", match="casefold")

    assert exact.frame["accuracy"][0] == 0
    assert folded.frame["accuracy"][0] == pytest.approx(2 / 3)


def test_numbers_are_measured_as_numbers(session):
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"t": rng.integers(1, 6, 120)})
    frame["a"] = frame["t"] + rng.integers(-2, 3, 120)
    frame["b"] = frame["t"] + rng.integers(-1, 2, 120)
    prompts = {name: f'{{"stars": {{{name}}}}}' for name in "ab"}

    result = session.compare(frame, prompts, truth="t", schema=Stars)

    row = result.frame.iloc[1]
    assert row["mae"] == pytest.approx((frame["t"] - frame["b"]).abs().mean())
    assert row["mae_low"] < row["mae"] < row["mae_high"]
    assert row["rmse"] == pytest.approx(metrics.root_mean_squared_error(frame["t"], frame["b"]))
    assert row["pearson"] == pytest.approx(frame["t"].corr(frame["b"]))
    assert row["spearman"] == pytest.approx(frame["t"].corr(frame["b"], method="spearman"))
    assert "accuracy" not in result.frame
    assert row["only_this_right"] == ((frame["t"] - frame["b"]).abs() < (frame["t"] - frame["a"]).abs()).sum()
    assert result.verdict.startswith("b is better than a: -")
    with pytest.raises(ainb.ConfigError, match="is a number and has no classes"):
        result.confusion("a")
    with pytest.raises(ainb.ConfigError, match="row 0: the field is a number, and 'many' is not"):
        session.compare(frame.assign(t="many"), prompts, truth="t", schema=Stars)


@pytest.mark.parametrize(
    ("prompts", "options", "said"),
    [
        (AB, {"truth": "lable"}, "truth names no column: 'lable'; did you mean 'label'"),
        ({"a": "{text} {label}"}, {}, r"the prompt 'a' holds the truth: it fills \{label\}"),
        ({"a": "{a}", "b": "{nothing}"}, {}, "neither a column nor a name"),
        ({}, {}, "prompts is a prompt, or a dict"),
        ({"a": 3}, {}, "maps a name to a prompt"),
        (AB, {"models": []}, "models is empty"),
        (AB, {"models": ["scripted:echo", "scripted/echo"]}, "names scripted:echo twice"),
        (AB, {"models": ["nope:x"]}, "names no provider"),
        (AB, {"model": "scripted:echo"}, r"compare does not accept model=; pass models="),
        (AB, {"fallback": "scripted:echo"}, "another model's answers"),
        (AB, {"limit": 3}, "compare does not accept limit="),
        (AB, {"match": "fuzzy"}, "match must be 'exact' or 'casefold'"),
        (AB, {"sample": 0}, "sample must be a whole number of rows, 1 or more"),
        (AB, {"weights": "cubic"}, "weights must be None, 'linear' or 'quadratic'"),
        (AB, {"weights": "linear"}, "weights need labels in an order, and texts have none"),
        (AB, {"field": "label"}, "there is no schema"),
        (AB, {"schema": 3}, "a schema is"),
        (AB, {"budget_usd": -1}, "budget_usd must be"),
    ],
)
def test_invalid_arguments_are_refused_before_anything_is_sent(session, prompts, options, said):
    with pytest.raises(ainb.ConfigError, match=said):
        session.compare(table(5), prompts, **{"truth": "label", **options})
    assert session.usage().empty


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (3, "compare takes a DataFrame, or a list of records"),
        ([], "compare takes a DataFrame"),
        (pd.DataFrame({"a": ["x"], "label": [None]}), "holds no truth: every one of its 1 rows is empty"),
        (pd.DataFrame([["x", "y", "z"]], columns=["a", "label", "label"]), "several columns named 'label'"),
    ],
)
def test_data_that_cannot_be_compared_is_refused(session, data, said):
    with pytest.raises(ainb.ConfigError, match=said):
        session.compare(data, "{a}", truth="label")


def test_records_are_accepted(session):
    assert (
        session.compare([{"a": "x", "t": "x"}, {"a": "y", "t": "x"}], "{a}", truth="t").frame["accuracy"][0]
        == 0.5
    )


def test_a_truth_that_no_answer_can_match_is_refused_or_reported(session, events):
    frame = table(9)
    frame["label"] = frame["label"].str.title()

    with pytest.raises(
        ainb.ConfigError, match="no value of the column 'label' is a label of the schema: it holds"
    ):
        session.compare(frame, FIELD, truth="label", schema=Label)
    assert (
        session.compare(frame, FIELD, truth="label", schema=Label, match="casefold").frame["accuracy"][0]
        > 0.5
    )
    frame = table(9)
    frame.iloc[0, 1] = "mixed"
    session.compare(frame, FIELD, truth="label", schema=Label)
    told = [event.text for event in events if getattr(event, "kind", "") == "compare"]
    assert told == [
        "1 of 9 rows have a truth that the schema does not allow ('mixed'); no answer to them can be right"
    ]


def test_weights_take_the_order_of_the_truth_or_the_schema(session):
    order = ["low", "mid", "high"]
    frame = table(120, labels=order)
    frame["label"] = pd.Categorical(frame["label"], categories=order, ordered=True)

    result = session.compare(frame, AB, truth="label", weights="quadratic")

    expected = metrics.cohen_kappa_score(
        frame["label"].astype(str), frame["a"], labels=order, weights="quadratic"
    )
    assert result.frame["kappa"][0] == pytest.approx(expected)
    assert list(result.confusion("a").index) == order


PRICES = {"echo": {"input_usd_per_million": 10_000, "output_usd_per_million": 0}}  # one cent per word


@pytest.fixture
def priced(tmp_path):
    with ainb.Session("scripted:echo", home=tmp_path / "priced", config=ainb.Config(prices=PRICES)) as made:
        yield made


def test_the_price_of_1000_rows_is_that_of_rows_that_are_sent_also_when_they_come_from_the_cache(priced):
    frame = table(10)

    first = priced.compare(frame, {"one": "{a}", "two": "{a} {b}"}, truth="label").frame
    again = priced.compare(frame, {"one": "{a}", "two": "{a} {b}"}, truth="label").frame

    assert list(first["cost_usd_per_1000"]) == [10, 20]
    assert list(again["cost_usd_per_1000"]) == [10, 20]
    assert list(again["priced_rows"]) == [10, 10]
    assert list(again["timed_rows"]) == [0, 0]
    assert again["p50_s"].isna().all()
    assert list(first["timed_rows"]) == [frame["a"].nunique(), len(frame[["a", "b"]].drop_duplicates())]


def test_a_model_without_a_price_has_no_price(session, monkeypatch):
    monkeypatch.setattr("ainb.providers.scripted.ScriptedProvider.free", False)

    row = session.compare(table(4), "{a}", truth="label").frame.iloc[0]

    assert row["cost_usd_per_1000"] is pd.NA
    assert row["priced_rows"] == 0


def test_the_budget_is_for_the_whole_and_rows_that_were_not_sent_name_no_winner(priced):
    frame = table(120)
    frame["a"], frame["b"] = frame["text"] + " a", frame["text"] + " b"  # three words, all different

    result = priced.compare(frame, AB, truth="label", budget_usd="4.80", concurrency=1, max_tokens=5)

    unsent = result.frame["failed"][1]
    assert result.frame["failed"][0] == 0
    assert 80 <= unsent < 90
    spent = sum(Decimal(str(cost)) for cost in priced.usage()["cost_usd"].fillna(0))
    assert Decimal("4.40") < spent <= Decimal("4.80")
    assert result.verdict == (
        f"no winner: {unsent} rows of b were not sent and count as wrong; run it again to send them"
    )


def test_an_interrupted_comparison_goes_on_where_it_stopped(tmp_path):
    played = script("slow", [Step(text="positive", delay_seconds=0.05)])
    frame = table(60)
    with ainb.Session("scripted:slow", home=tmp_path) as session:
        threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(ainb.BatchInterrupted, match="run the cell again to continue"):
            session.compare(frame, {"one": "{text}!", "two": "{text}?"}, truth="label", concurrency=1)
        before = played.played
        assert 0 < before < 120
        result = session.compare(frame, {"one": "{text}!", "two": "{text}?"}, truth="label", concurrency=64)

    assert list(result.frame["answered"]) == [60, 60]
    assert played.played <= 120 + 1


@pytest.mark.parametrize(
    ("rows", "good", "better", "said"),
    [
        (40, 0.9, 0.9, r"^too few rows to tell: \d+ rows of the class '\w+', 30 are needed$"),
        (
            400,
            0.6,
            0.95,
            r"^b is better than a: \+\d\d\.\d points of accuracy \(\+\d+\.\d to \+\d+\.\d\), p < 0\.001$",
        ),
        (400, 0.9, 0.91, r"^no winner: the lead of \w over \w may be chance, p = 0\.\d+$"),
    ],
)
def test_a_winner_is_named_only_where_the_interval_allows_it(session, rows, good, better, said):
    result = session.compare(table(rows, good=good, better=better), AB, truth="label")

    assert pd.Series([result.verdict]).str.contains(said).all(), result.verdict


def test_a_lead_that_rests_on_failed_rows_names_no_winner(session):
    frame = table(240, good=0.9)
    script("up", list(frame["a"]))
    script("down", [*frame["a"][:120], Step(status=500)])

    result = session.compare(
        frame, "{text}", truth="label", models=["scripted:up", "scripted:down"], concurrency=1
    )

    assert result.frame["p_value"][1] < 0.001
    assert result.frame["failed"][1] == 120
    assert result.verdict == (
        "no winner: the lead of scripted:up over scripted:down rests on 120 rows that failed; "
        "retry_failed=True sends them again"
    )


def test_a_model_that_cannot_be_asked_at_all_is_an_error_and_not_an_accuracy_of_zero(session):
    with pytest.raises(ainb.ConfigError, match=r"none of 5 rows was sent: .*OPENAI_API_KEY"):
        session.compare(table(5), AB, truth="label", models=["scripted:echo", "openai:gpt-5-mini"])


def test_failed_rows_that_do_not_decide_it_leave_the_winner(session):
    frame = table(240, good=0.4, better=0.95)
    script("a", list(frame["a"]))
    script("b", [Step(status=500), *frame["b"][1:]])

    result = session.compare(
        frame, "{text}", truth="label", models=["scripted:a", "scripted:b"], concurrency=1
    )

    assert result.frame["failed"][1] == 1
    assert result.verdict.startswith("scripted:b is better than scripted:a: +")


def test_with_a_batch_api_all_variants_are_submitted_before_one_is_waited_for(session, monkeypatch):
    """The first prompt is answered only after the second was asked; in sequence this would never end."""
    frame = table(6)
    asked = threading.Event()
    make_batch = run.make_batch

    def live(core, rows, task, given):
        assert given.pop("batch_api")
        budgets.append(given.pop("budget_usd"))

        async def answer(item):
            if task == "{b}":
                asked.set()
            assert await asyncio.to_thread(asked.wait, 30)
            return item[task[1]]

        return make_batch(core, rows, answer, {"concurrency": 2})

    budgets: list[Decimal] = []
    monkeypatch.setattr(run, "make_batch", live)

    result = session.compare(frame, AB, truth="label", batch_api=True, budget_usd=3)

    assert list(result.frame["failed"]) == [0, 0]
    assert budgets == [Decimal("1.5")] * 2


def test_one_variant_has_no_verdict_and_three_need_all_pairs(session):
    frame = table(400, good=0.6, better=0.97)
    frame["c"] = frame["b"]

    assert session.compare(frame, "{a}", truth="label").verdict == ""
    result = session.compare(frame, {**AB, "c": "{c}"}, truth="label")
    assert result.verdict == "no winner: b and c do equally well"
    assert list(result.frame["p_value"] < 0.05)[1:] == [True, True]


def test_the_frame_survives_parquet_and_csv(session, tmp_path):
    frame = session.compare(table(90), AB, truth="label").frame

    frame.to_parquet(tmp_path / "f.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "f.parquet"), frame)
    frame.to_csv(tmp_path / "f.csv", index=False)
    back = pd.read_csv(tmp_path / "f.csv").astype(frame.dtypes.to_dict())
    pd.testing.assert_frame_equal(back, frame)


def test_the_markdown_is_a_table_for_a_pull_request(session):
    frame = table(120)
    result = session.compare(frame, {"a|<b>": "{a}", "b": "{b}"}, truth="label")

    text = result.to_markdown()

    lines = text.splitlines()
    assert lines[0].startswith("| variant | model | rows | failed | invalid | accuracy (95 %) |")
    assert len({line.replace(r"\|", "").count("|") for line in lines[:4]}) == 1
    assert lines[2].startswith(r"| a\|\<b\> | scripted:echo | 120 | 0 | 0 | 0.")
    assert "n = 120 rows with a value in label" in lines[-1]
    assert str(result) == text


@pytest.mark.parametrize("numbers", [False, True])
@pytest.mark.parametrize("missing", [False, True])
def test_the_markdown_holds_the_answered_only_figure_where_rows_failed(session, numbers, missing):
    frame = pd.DataFrame({"t": [1, 2, 3, 4], "a": pd.array([1, 2, 3, 3], dtype="Int64")})
    if missing:
        frame.loc[0, "a"] = pd.NA
    schema = {
        "type": "object",
        "properties": {"x": {"type": "integer"} if numbers else {"enum": [1, 2, 3, 4]}},
    }

    text = session.compare(frame, '{"x": {a}}', truth="t", schema=schema).to_markdown()

    lines = [line.count("|") for line in text.splitlines()[:3]]
    assert len(set(lines)) == 1
    assert ("accuracy of the answered" in text) == (missing and not numbers)
    assert ("figures are those of the answered rows" in text) == numbers
    assert f"| 4 | {int(missing)} | 0 |" in text


def test_it_is_the_same_from_the_cassette_where_nothing_can_be_sent(tmp_path):
    frame = table(40)

    def compared(mode, api_base, home, prompts=FIELD):
        config = ainb.Config(replay=mode, api_base=api_base, model="ollama:m")
        runtime = ainb.runtime.Runtime(notebook=lambda: tmp_path / "07.ipynb")
        with ainb.Session(config=config, home=tmp_path / home, runtime=runtime) as session:
            return session.compare(frame, prompts, truth="label", schema=Label, temperature=0)

    with FaultServer() as server:
        recorded = compared("record", server.base_url, "home")
        hits = server.hits
    replayed = compared("replay", server.base_url, "other")

    assert server.hits == hits
    pd.testing.assert_frame_equal(replayed.frame, recorded.frame)
    pd.testing.assert_frame_equal(replayed.disagreements("a", "b"), recorded.disagreements("a", "b"))
    assert replayed.to_markdown() == recorded.to_markdown()
    assert not (tmp_path / "other").exists()
    with pytest.raises(ainb.ReplayMissError, match=r"^40 of 40 rows: no record of this request in 07"):
        compared("replay", "http://127.0.0.1:9", "other", {"a": FIELD["a"] + "!"})
