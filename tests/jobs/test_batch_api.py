"""Tests of `session.map(..., batch_api=True)` against a server with both protocols that fails on request."""

from __future__ import annotations

import json
from decimal import Decimal

import pandas as pd
import pytest

import ainb
from tests.jobs.batch_server import BatchServer, Behaviour

BOTH = pytest.mark.parametrize("anthropic", [False, True], ids=["openai", "anthropic"])
PROMPT = "Echo {text}"


def notices(events):
    return [event.text for event in events if isinstance(event, ainb.events.Notice)]


def spent_at(server):
    """USD that the server billed, at made-up prices that are halved for batches."""
    total = Decimal(0)
    for batch, share in ((True, Decimal("0.5")), (False, Decimal(1))):
        tokens_in, tokens_out = server.tokens(batch=batch)
        total += share * (2 * tokens_in + 8 * tokens_out) / 1_000_000
    return total


def spent_in(session):
    costs = session.usage()["cost_usd"]
    return Decimal(str(round(costs.sum(), 9)))


@BOTH
@pytest.mark.parametrize("order", ["kept", "reversed", "shuffled"])
def test_rows_come_back_on_their_own_index_whatever_the_order_of_the_lines(
    make_session, texts, anthropic, order
):
    with BatchServer([Behaviour(order=order)]) as server:
        session = make_session(server, anthropic=anthropic)
        frame = session.map(texts, PROMPT, batch_api=True, keep=["text"])

        assert list(frame["reply"]) == [f"Echo {text}" for text in texts["text"]]
        assert frame.index.equals(texts.index)
        assert set(frame["status"]) == {"ok"}
        assert len(server.jobs) == 1
        assert server.live_calls == 0
        assert spent_in(session) == spent_at(server) > 0


@BOTH
def test_the_usage_rows_are_those_of_live_calls_but_for_delivery_and_price(make_session, texts, anthropic):
    with BatchServer() as server:
        session = make_session(server, anthropic=anthropic)
        session.map(texts, PROMPT, batch_api=True)
        live = session.map(texts, "Live " + PROMPT)
        log = session.usage()

        batch, one_by_one = log[log["delivery"] == "batch"], log[log["delivery"] == "live"]
        run = session.batch_jobs().iloc[0]
        assert len(batch) == len(one_by_one) == len(live) == len(texts)
        assert set(batch["batch_id"]) == {run["run_id"]}
        assert set(batch["status"]) == {"ok"}
        assert batch["call_id"].is_unique
        assert batch["row_key"].notna().all()
        assert batch["time_to_first_chunk_s"].isna().all()
        assert run["cost_usd"] == pytest.approx(batch["cost_usd"].sum())
        assert session.costs(by="delivery").loc["batch", "calls"] == len(texts)


@BOTH
def test_a_second_run_is_answered_by_the_cache(make_session, texts, anthropic):
    with BatchServer() as server:
        session = make_session(server, anthropic=anthropic)
        session.map(texts, PROMPT, batch_api=True)
        again = session.map(texts, PROMPT, batch_api=True)
        live = session.map(texts, PROMPT)

        assert again["cached"].all()
        assert live["cached"].all()
        assert len(server.jobs) == 1
        assert server.live_calls == 0


@BOTH
def test_rows_that_were_answered_live_are_not_submitted(make_session, texts, anthropic):
    with BatchServer() as server:
        session = make_session(server, anthropic=anthropic)
        session.map(texts, PROMPT, limit=5)
        frame = session.map(texts, PROMPT, batch_api=True)

        assert list(frame["cached"]) == [True] * 5 + [False] * 15
        assert session.batch_jobs()["rows"].tolist() == [15]


@BOTH
def test_identical_rows_are_one_request(make_session, anthropic):
    with BatchServer() as server:
        session = make_session(server, anthropic=anthropic)
        frame = session.map(["a", "b", "a", "a"], "{value}", batch_api=True)

        assert list(frame["reply"]) == ["a", "b", "a", "a"]
        assert list(frame["cached"]) == [False, False, True, True]
        assert session.batch_jobs()["rows"].tolist() == [2]


SCHEMA = "label: positive|negative"
LABEL = {
    "type": "object",
    "properties": {"label": {"type": "string", "enum": ["positive", "negative"]}},
    "required": ["label"],
    "additionalProperties": False,
}


@BOTH
def test_a_reply_that_breaks_its_schema_is_asked_again_live_that_row_alone(make_session, texts, anthropic):
    servers = []

    def answer(body):
        words = json.dumps(body["messages"][-1]["content"])
        broken = "row 7" in words and not servers[0].live_calls
        return "no json" if broken else '{"label": "positive"}'

    with BatchServer(answer=answer) as server:
        servers.append(server)
        session = make_session(server, anthropic=anthropic)
        frame = session.map(texts, PROMPT, schema=LABEL, batch_api=True)
        log = session.usage()

        assert set(frame["label"]) == {"positive"}
        assert set(frame["status"]) == {"ok"}
        assert server.live_calls == 1
        assert log["delivery"].value_counts().to_dict() == {"batch": 20, "live": 1}
        assert frame["attempts"].tolist().count(2) == 1
        assert frame["cost_usd"].sum() == pytest.approx(float(spent_at(server)))
        assert spent_in(session) == spent_at(server)


@BOTH
@pytest.mark.parametrize("outcome", ["expired", 400, 500, "missing", "cancelled"])
def test_rows_without_an_answer_are_errors_with_the_providers_words_and_can_be_sent_again(
    make_session, texts, anthropic, outcome
):
    first = Behaviour(rows={3: outcome, 11: outcome}, order="shuffled")
    with BatchServer([first, Behaviour()]) as server:
        session = make_session(server, anthropic=anthropic)
        frame = session.map(texts, PROMPT, batch_api=True)
        failed = frame[frame["status"] == "error"]
        again = session.map(texts, PROMPT, batch_api=True, retry_failed=True)

        assert list(failed.index) == [103, 111]
        words = {"missing": "returned nothing", "expired": "expired|window", "cancelled": "cancelled"}
        assert failed["error_message"].str.contains(words.get(outcome, "refused with")).all()
        assert failed["cost_usd"].isna().all() if outcome == "missing" else (failed["cost_usd"] == 0).all()
        assert session.batch_jobs()["rows"].tolist() == [2, 20]
        assert (again["status"] == "ok").all()
        assert spent_in(session) == spent_at(server)


@BOTH
def test_failed_rows_can_be_sent_again_live(make_session, texts, anthropic):
    with BatchServer([Behaviour(rows={3: "expired"})]) as server:
        session = make_session(server, anthropic=anthropic)
        session.map(texts, PROMPT, batch_api=True)
        frame = session.map(texts, PROMPT, retry_failed=True)

        assert (frame["status"] == "ok").all()
        assert server.live_calls == 1


@BOTH
def test_a_job_in_which_every_row_failed_has_no_output_file(make_session, texts, anthropic):
    with BatchServer([Behaviour(rows=lambda _number, _body: 400)]) as server:
        session = make_session(server, anthropic=anthropic)
        frame = session.map(texts, PROMPT, batch_api=True)

        assert (frame["status"] == "error").all()
        assert frame["error_message"].str.contains("refused with 400").all()
        assert spent_in(session) == 0
        assert session.batch_jobs()[["answered", "failed"]].to_numpy().tolist() == [[0, 20]]


@BOTH
@pytest.mark.parametrize("end", ["expired", "cancelled"])
def test_a_job_that_ends_half_way_keeps_what_it_answered(make_session, texts, anthropic, end):
    rows = dict.fromkeys(range(10, 20), "expired" if end == "expired" else "cancelled")
    with BatchServer([Behaviour(end=end, rows=rows)]) as server:
        session = make_session(server, anthropic=anthropic)
        frame = session.map(texts, PROMPT, batch_api=True)

        assert list(frame["status"]) == ["ok"] * 10 + ["error"] * 10
        assert spent_in(session) == spent_at(server) > 0


@BOTH
def test_doubled_unknown_and_damaged_lines_are_left_out_with_one_notice(
    make_session, texts, events, anthropic
):
    behaviour = Behaviour(rows={2: "twice", 5: "cut"}, unknown_lines=3, counts=7, order="shuffled")
    with BatchServer([behaviour]) as server:
        session = make_session(server, anthropic=anthropic)
        frame = session.map(texts, PROMPT, batch_api=True)

        told = [text for text in notices(events) if "result files" in text]
        assert len(told) == 1
        assert "3 of requests that are not in this job" in told[0]
        assert "1 second answers" in told[0]
        assert "1 that cannot be read" in told[0]
        assert list(frame.index[frame["status"] == "error"]) == [105]
        assert frame.loc[105, "cost_usd"] is pd.NA


@BOTH
def test_results_in_which_no_id_belongs_to_the_job_are_refused_whole(make_session, texts, anthropic):
    with BatchServer([Behaviour(foreign=True)]) as server:
        session = make_session(server, anthropic=anthropic)
        frame = session.map(texts, PROMPT, batch_api=True)

        assert (frame["status"] == "error").all()
        assert frame["error_message"].str.contains("hold no row of this run").all()
        assert frame["reply"].isna().all()
        assert frame["cost_usd"].isna().all()


@BOTH
def test_faults_while_waiting_are_waited_out(make_session, texts, events, anthropic):
    behaviour = Behaviour(
        polls=4,
        hidden_polls=2,
        poll_faults=(500, 503, 429),
        result_faults=(404, 500),
        cut_download=True,
        create="late",
        upload="late",
    )
    with BatchServer([behaviour]) as server:
        session = make_session(server, anthropic=anthropic)
        frame = session.map(texts, PROMPT, batch_api=True)

        assert (frame["status"] == "ok").all()
        assert len(server.jobs) == 1
        assert spent_in(session) == spent_at(server)
        assert len([text for text in notices(events) if "asked about again" in text]) <= 4


@BOTH
@pytest.mark.parametrize("how", ["lost", "late"])
def test_a_creation_without_an_answer_is_looked_for_before_another(make_session, texts, anthropic, how):
    with BatchServer([Behaviour(create=how, upload=how)]) as server:
        session = make_session(server, anthropic=anthropic)
        frame = session.map(texts, PROMPT, batch_api=True)

        assert (frame["status"] == "ok").all()
        assert len(server.jobs) == 1
        assert server.uploads == (0 if anthropic else 1)
        assert spent_in(session) == spent_at(server)


@BOTH
@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_creation_that_is_refused_for_now_is_tried_again(make_session, texts, anthropic, status):
    with BatchServer([Behaviour(create=status), Behaviour()]) as server:
        session = make_session(server, anthropic=anthropic)
        frame = session.map(texts, PROMPT, batch_api=True)

        assert (frame["status"] == "ok").all()
        assert len([job for job in server.jobs if job.lines]) == 1


@BOTH
def test_a_creation_that_is_refused_for_good_ends_the_rows_with_its_words(make_session, texts, anthropic):
    with BatchServer([Behaviour(create=400), Behaviour()]) as server:
        session = make_session(server, anthropic=anthropic)
        frame = session.map(texts, PROMPT, batch_api=True)
        again = session.map(texts, PROMPT, batch_api=True, retry_failed=True)

        assert (frame["status"] == "error").all()
        assert frame["error_message"].str.contains("no batch can be made now").all()
        assert (frame["cost_usd"] == 0).all()
        assert (again["status"] == "ok").all()


@BOTH
@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_stops_the_call_and_the_same_call_goes_on_later(
    make_session, texts, anthropic, status
):
    with BatchServer([Behaviour(create=status), Behaviour()]) as server:
        session = make_session(server, anthropic=anthropic)
        with pytest.raises(ainb.PermanentProviderError, match=str(status)):
            session.map(texts, PROMPT, batch_api=True)
        frame = session.map(texts, PROMPT, batch_api=True)

        assert (frame["status"] == "ok").all()
        assert len(session.batch_jobs()) == 1


def test_a_full_queue_is_waited_for_and_the_same_file_submitted_again(make_session, texts):
    with BatchServer([Behaviour(polls=3)] * 9, queue_jobs=1) as server:
        session = make_session(server)
        other = server.create(
            "openai", [{"custom_id": "x", "body": {"model": "m", "messages": [{"content": "o"}]}}], "k"
        )
        frame = session.map(texts, PROMPT, batch_api=True, max_wait_seconds=60) if not other.lives else None
        assert frame is None
        job = session.submit_map(texts, PROMPT, batch_api=True)
        assert not job.wait(0.5)
        server.cancel(other)
        server.look(other)
        server.look(other)
        frame = job.result(60)

        assert (frame["status"] == "ok").all()
        assert server.uploads == 1
        assert [made.status for made in server.jobs if made is not other][-1] == "completed"
        assert session.batch_jobs()["rows"].tolist() == [20]
        assert spent_in(session) == Decimal(20 * (3 * 2 + 3 * 8)) / 2 / 1_000_000


def test_a_file_that_is_refused_for_some_lines_sends_the_others_again(make_session, texts):
    refused = Behaviour(end="failed", fault=("invalid_json_line", "line 4 is not valid", 4))
    with BatchServer([refused, Behaviour()]) as server:
        session = make_session(server)
        frame = session.map(texts, PROMPT, batch_api=True)

        assert list(frame.index[frame["status"] == "error"]) == [103]
        assert "line 4 is not valid" in frame.loc[103, "error_message"]
        assert session.batch_jobs()["rows"].tolist() == [19, 20]
        assert spent_in(session) == spent_at(server)


@pytest.mark.parametrize("code", ["invalid_request", "insufficient_quota", "model_not_found"])
def test_a_job_that_fails_as_a_whole_ends_every_row_with_its_words(make_session, texts, code):
    with BatchServer([Behaviour(end="failed", fault=(code, "not possible here", None))]) as server:
        session = make_session(server)
        frame = session.map(texts, PROMPT, batch_api=True)

        assert frame["error_message"].str.contains(f"{code}.*not possible here").all()
        assert spent_in(session) == 0
        assert len(server.jobs) == 1


@BOTH
def test_limits_split_a_run_into_several_jobs(make_session, anthropic, monkeypatch):
    from ainb.providers.anthropic import batches as theirs
    from ainb.providers.batch_service import BatchLimits
    from ainb.providers.openai import batches as ours

    small = BatchLimits(requests=6, size_bytes=100_000)
    monkeypatch.setattr(ours, "OPENAI_LIMITS", small)
    monkeypatch.setattr(theirs.AnthropicBatches, "limits", small)
    rows = [f"row {number}" for number in range(20)]
    with BatchServer() as server:
        session = make_session(server, anthropic=anthropic)
        frame = session.map(rows, "{value}", batch_api=True)

        assert list(frame["reply"]) == rows
        assert sorted(session.batch_jobs()["rows"]) == [2, 6, 6, 6]
        assert spent_in(session) == spent_at(server)


@BOTH
def test_a_job_whose_creation_never_arrived_is_not_taken_for_the_next_of_its_size(
    make_session, anthropic, monkeypatch
):
    from ainb.providers.anthropic import batches as theirs
    from ainb.providers.batch_service import BatchLimits
    from ainb.providers.openai import batches as ours

    small = BatchLimits(requests=6, size_bytes=100_000)
    monkeypatch.setattr(ours, "OPENAI_LIMITS", small)
    monkeypatch.setattr(theirs.AnthropicBatches, "limits", small)
    with BatchServer(
        [Behaviour(create="never"), Behaviour(create="lost"), Behaviour(create="lost")]
    ) as server:
        session = make_session(server, anthropic=anthropic)
        frame = session.map([f"row {number}" for number in range(18)], "{value}", batch_api=True)

        assert (frame["status"] == "ok").all()
        assert set(server.submissions().values()) == {1}
        assert spent_in(session) == spent_at(server)


@BOTH
def test_a_row_that_no_job_can_hold_is_rejected_alone(make_session, anthropic, monkeypatch):
    from ainb.providers.anthropic import batches as theirs
    from ainb.providers.batch_service import BatchLimits
    from ainb.providers.openai import batches as ours

    small = BatchLimits(requests=100, size_bytes=3_000)
    monkeypatch.setattr(ours, "OPENAI_LIMITS", small)
    monkeypatch.setattr(theirs.AnthropicBatches, "limits", small)
    rows = ["short", "x" * 4_000, *[f"row {number:0200}" for number in range(20)]]
    with BatchServer() as server:
        session = make_session(server, anthropic=anthropic)
        frame = session.map(rows, "{value}", batch_api=True)

        assert list(frame["status"]) == ["ok", "rejected"] + ["ok"] * 20
        assert "3,000" in frame["error_message"][1]
        assert len(server.jobs) > 1


@BOTH
def test_rows_pass_validation_before_and_after(make_session, anthropic):
    secret = "sk-proj-" + "a1B2" * 12
    with BatchServer() as server:
        session = make_session(server, anthropic=anthropic)
        frame = session.map([f"my key is {secret}", "plain", None], "{value}", batch_api=True)

        sent = [json.dumps(line) for job in server.jobs for line in job.lines]
        assert not any(secret in line for line in sent)
        assert secret not in frame.to_json()
        assert list(frame["status"]) == ["ok", "ok", "rejected"]
        stored = list((session.core.config.home_folder() / "jobs").glob("*"))
        assert not any(secret.encode() in path.read_bytes() for path in stored if path.is_file())


# Eight rows of 3 input and 100 output tokens fit: each costs $0.000403 at half price.
TIGHT_USD = "0.0034"


def long_answer(_body):
    return "x" * 396


@BOTH
@pytest.mark.parametrize("per", ["day", "session", "batch"])
def test_rows_that_do_not_fit_the_budget_are_rejected_and_the_others_answered(
    make_session, texts, anthropic, per
):
    with BatchServer(answer=long_answer) as server:
        session = make_session(server, anthropic=anthropic, budget=ainb.Budget(usd=TIGHT_USD, per=per))
        frame = session.map(texts, PROMPT, batch_api=True, max_tokens=100)

        assert list(frame["status"]) == ["ok"] * 8 + ["rejected"] * 12
        assert set(frame["error_type"].dropna()) == {"BudgetExceededError"}
        assert spent_in(session) == spent_at(server) <= Decimal(TIGHT_USD)
        status = session.budget_status()
        assert sum(item.reserved_usd for item in status) == 0
        assert sum(item.spent_usd for item in status) == spent_at(server)


@BOTH
def test_money_that_comes_free_is_used_for_the_rows_that_waited(make_session, texts, anthropic):
    with BatchServer() as server:
        session = make_session(server, anthropic=anthropic, budget=ainb.Budget(usd=TIGHT_USD, per="day"))
        frame = session.map(texts, PROMPT, batch_api=True, max_tokens=100)

        assert set(frame["status"]) == {"ok"}
        jobs = session.batch_jobs()["rows"]
        assert jobs.sum() == 20
        assert jobs.max() == 8
        assert session.budget_status()[0].spent_usd == spent_at(server)


@BOTH
def test_the_limit_of_a_run_holds_too(make_session, texts, anthropic):
    with BatchServer(answer=long_answer) as server:
        session = make_session(server, anthropic=anthropic)
        frame = session.map(texts, PROMPT, batch_api=True, max_tokens=100, budget_usd=TIGHT_USD)

        assert list(frame["status"]) == ["ok"] * 8 + ["rejected"] * 12
        assert spent_at(server) <= Decimal(TIGHT_USD)


@pytest.mark.parametrize(
    ("model", "options", "words"),
    [
        ("scripted:echo", {}, "scripted:echo has no batch API.*openai, azure, anthropic and groq"),
        ("local:smollm2", {}, "local:smollm2 has no batch API"),
        ("ollama:m", {}, "ollama:m has no batch API"),
        ("deepseek:m", {}, "deepseek:m has no batch API"),
        ("openai:m", {"stream": True}, "no streamed replies; leave stream out"),
        ("openai:m", {"on_text": print}, "no streamed replies; leave on_text out"),
        ("openai:m", {"concurrency": 3}, "concurrency=3"),
        ("openai:m", {"fallback": "openai:n"}, "fallback"),
        ("openai:m", {"max_wait_seconds": -1}, "max_wait_seconds.*-1"),
        ("openai:m", {"batch_poll_seconds": 0}, "batch_poll_seconds.*0"),
        ("openai:m", {"batch_poll_seconds": "soon"}, "batch_poll_seconds.*soon"),
    ],
)
def test_what_cannot_go_out_as_a_job_is_one_line_that_says_what_works(
    make_session, texts, model, options, words
):
    with BatchServer() as server:
        session = make_session(server)
        with pytest.raises(ainb.ConfigError, match=words):
            session.map(texts, PROMPT, model=model, batch_api=True, **options)

        assert server.requests == []


def test_a_function_and_a_lone_option_of_jobs_are_refused(make_session, texts):
    with BatchServer() as server:
        session = make_session(server)
        with pytest.raises(ainb.ConfigError, match="function"):
            session.map(texts, lambda _item: "x", batch_api=True)
        with pytest.raises(ainb.ConfigError, match="batch_api=True"):
            session.map(texts, PROMPT, max_wait_seconds=3)


def test_an_endpoint_without_a_batch_api_says_so_and_leaves_nothing_behind(make_session, texts):
    with BatchServer() as server:
        session = make_session(server)
        with pytest.raises(ainb.ConfigError, match="has no batch API"):
            session.map(texts, PROMPT, batch_api=True, api_base=f"{server.base_url}/nothing")

        assert len(session.batch_jobs()) == 0
