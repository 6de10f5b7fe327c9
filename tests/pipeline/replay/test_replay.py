"""Tests of record and replay through a session, with and without a server on loopback."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

import ainb
from ainb import testing
from ainb.errors import (
    BudgetExceededError,
    ConfigError,
    DeadlineExceededError,
    InvalidReplyError,
    PermanentProviderError,
    ReplayMissError,
    TransientProviderError,
)
from ainb.events import Notice
from ainb.messages import Call, CallOptions, Message, Request
from ainb.pipeline.answer.schema import read_schema
from ainb.pipeline.budget.options import Budget
from ainb.runtime import Runtime
from ainb.session import Session
from ainb.stores.cassette.file import _shared
from tests.fault_server import Fault, FaultServer

MODEL = "openai:gpt-5-mini"
KEY = "sk-proj-Ab3dE5gH7jK9mN1pQ3rS5tU7vW9xY1z"


@pytest.fixture(autouse=True)
def a_notebook(tmp_path, monkeypatch):
    """A folder with a notebook, and no cassette in memory, as in a new kernel."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nb.ipynb").write_text("{}")
    monkeypatch.setenv("AINB_NOTEBOOK", str(tmp_path / "nb.ipynb"))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    _shared.clear()
    yield
    _shared.clear()


@pytest.fixture
def cassette(tmp_path):
    return tmp_path / "nb.ainb.jsonl"


def make_session(mode, model=MODEL, *, events=None, **options):
    given = {"retry": ainb.Config().retry, **options}
    runtime = Runtime(sink=(events.append if events is not None else lambda _event: None))
    return Session(
        model, config=ainb.Config(replay=mode, home=Path(os.environ["AINB_HOME"]), **given), runtime=runtime
    )


def ask(mode, *prompts, plan=None, asked=None, **options):
    """Ask in a new session, as in a new kernel; returns replies and hits of the server."""
    _shared.clear()
    with FaultServer(plan) as server, make_session(mode, **options) as session:
        base = {} if mode == "replay" else {"api_base": server.base_url}
        replies = [session.ask(prompt, **base, **(asked or {})) for prompt in prompts]
        return replies, server.hits


def test_a_recorded_answer_is_replayed_without_a_server(cassette):
    (live,), hits = ask("record", "What is the capital of France?")
    written = cassette.read_bytes()

    (replayed,), no_hits = ask("replay", "What is the capital of France?")

    assert (hits, no_hits) == (1, 0)
    assert (replayed.replayed, live.replayed) == (True, False)
    for name in (
        "text",
        "model",
        "usage",
        "finish_reason",
        "cost_usd",
        "cost_source",
        "duration_s",
        "attempts",
    ):
        assert getattr(replayed, name) == getattr(live, name), name
    assert replayed.cost_usd > 0
    assert repr(replayed) == repr(live)
    assert cassette.read_bytes() == written


def test_recording_again_with_nothing_new_changes_no_byte(cassette):
    ask("record", "one", "two")
    first = cassette.read_bytes()

    ask("record", "two", "one")

    assert cassette.read_bytes() == first


def test_recording_again_changes_the_line_of_an_answer_that_changed_and_no_other(cassette):
    ask("record", "one", "two", plan=["a", "b"])
    first = cassette.read_bytes().splitlines()

    ask("record", "one", "two", plan=["a", "c"])

    second = cassette.read_bytes().splitlines()
    assert len(set(first) & set(second)) == 1
    assert [json.loads(line)["reply"]["text"] for line in second] == ["a", "c"]


def test_a_record_is_readable_and_holds_nothing_of_this_machine_or_this_moment(cassette, tmp_path):
    (reply,), _ = ask("record", "Grüße aus München")

    text = cassette.read_text("utf-8")
    (line,) = text.splitlines()
    record = json.loads(line)
    assert "Grüße aus München" in text
    assert list(record) == ["model", "body", "reply", "measured", "version", "sha256"]
    assert record["model"] == MODEL
    assert record["body"] == {"messages": [{"content": "Grüße aus München", "role": "user"}]}
    assert set(record["measured"]) == {"duration_s", "attempts", "first_text_s"}
    assert set(record["reply"]) == {
        "text", "model", "provider", "finish_reason", "usage", "cost_usd", "cost_source",
    }  # fmt: skip
    assert reply.request_id is None or reply.request_id not in text
    for unwanted in ("127.0.0.1", str(tmp_path), KEY, "request_id"):
        assert unwanted not in text


def test_lines_are_sorted_whatever_the_order_of_the_calls(cassette, tmp_path):
    ask("record", "b", "a", "c")
    first = cassette.read_bytes()
    cassette.unlink()

    ask("record", "c", "b", "a")

    texts = [json.loads(line)["reply"]["text"] for line in cassette.read_bytes().splitlines()]
    assert texts == ["a", "b", "c"]
    assert [json.loads(line)["reply"]["text"] for line in first.splitlines()] == texts


def test_a_changed_word_of_the_prompt_is_shown():
    ask("record", "Name a fruit.\nMake it red and sweet.", "Name a city.")

    with pytest.raises(ReplayMissError) as caught:
        ask("replay", "Name a fruit.\nMake it blue and sweet.")

    assert str(caught.value) == (
        "no record of this request in nb.ainb.jsonl; against the nearest one the difference is line 2 of "
        "the prompt: "
        "'Make it blue and sweet.' (recorded 'Make it red and sweet.'); record it with %ai replay record, "
        "or with AINB_REPLAY=record"
    )


def test_retries_are_folded_into_one_record(cassette):
    (live,), hits = ask("record", "hi", plan=[503, Fault(status=429, retry_after=0.01), "hello"])

    (replayed,), _ = ask("replay", "hi")

    assert (hits, live.attempts, replayed.attempts, replayed.text) == (3, 3, 3, "hello")
    assert len(cassette.read_bytes().splitlines()) == 1


@pytest.mark.parametrize(
    ("step", "kind"), [(401, PermanentProviderError), (503, TransientProviderError), (Fault(status=404, code="model_not_found"), PermanentProviderError)]  # noqa: E501
)  # fmt: skip
def test_a_recorded_error_is_replayed(step, kind):
    def fail(mode):
        with pytest.raises(kind) as caught:
            ask(mode, "hi", plan=[step], retry=None)
        return caught.value

    live, replayed = fail("record"), fail("replay")

    for name in ("status_code", "code", "billed", "should_retry"):
        assert getattr(replayed, name) == getattr(live, name), name
    assert (type(replayed), str(replayed)) == (type(live), str(live))


def test_a_refused_call_is_an_outcome_too():
    def refused(mode):
        with pytest.raises(BudgetExceededError) as caught:
            ask(mode, "hi", asked={"budget_usd": Decimal("0.0000001")})
        return str(caught.value)

    assert refused("record") == refused("replay")


def test_a_wrong_option_is_not_recorded(cassette, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")

    with pytest.raises(ConfigError, match="OPENAI_API_KEY is not set"):
        ask("record", "hi")
    assert not cassette.exists()


def test_auto_asks_the_cassette_first_and_the_model_where_it_has_nothing(cassette):
    ask("record", "one", plan=["first"])

    replies, hits = ask("auto", "one", "two", plan=["second"])

    assert ([reply.text for reply in replies], hits) == (["first", "second"], 1)
    assert [reply.replayed for reply in replies] == [True, False]
    assert ask("replay", "one", "two")[0][1].text == "second"


def test_auto_tries_again_what_had_failed(cassette):
    with pytest.raises(TransientProviderError):
        ask("record", "hi", plan=[503], retry=None)

    assert ask("auto", "hi", plan=["well"])[0][0].text == "well"
    assert ask("replay", "hi")[0][0].text == "well"


def test_scripts_never_go_to_a_cassette_and_run_in_replay(cassette):
    testing.script("faults", [503, "there"])

    for mode in ("record", "auto", "replay"):
        testing.script("faults", [503, "there"])
        with make_session(mode, "scripted:faults") as session:
            reply = session.ask("hi")
        assert (reply.text, reply.attempts, reply.replayed) == ("there", 2, False)
    assert not cassette.exists()


def test_the_same_request_again_is_a_hit_while_recording_and_in_replay():
    live, hits = ask("record", "hi", "hi")
    replayed, _ = ask("replay", "hi", "hi")

    assert hits == 1
    for replies in (live, replayed):
        first, second = replies
        assert (first.cached, second.cached, second.attempts, second.cost_usd) == (False, True, 0, 0)
        assert second.saved_usd == first.cost_usd > 0
        assert second.duration_s == 0.0


def test_what_the_cache_holds_from_another_day_is_paid_again_when_it_is_recorded():
    ask("off", "hi")
    (live,), hits = ask("record", "hi")

    assert (hits, live.cached, live.cost_usd > 0) == (1, False, True)


def test_no_cache_asks_the_model_each_time_and_the_last_answer_stays():
    replies, hits = ask("record", "hi", "hi", plan=["a", "b"], asked={"cache": "off"})

    assert ([reply.text for reply in replies], hits) == (["a", "b"], 2)
    assert [reply.text for reply in ask("replay", "hi", "hi", asked={"cache": "off"})[0]] == ["b", "b"]


def test_replicas_are_requests_of_their_own():
    for number, text in ((1, "a"), (2, "b")):
        ask("record", "hi", plan=[text], asked={"replica": number})

    assert [ask("replay", "hi", asked={"replica": number})[0][0].text for number in (1, 2)] == ["a", "b"]


def test_a_streamed_reply_is_streamed_again():
    pieces, again = [], []
    ask("record", "one\ntwo\nthree", asked={"on_text": pieces.append})

    ask("replay", "one\ntwo\nthree", asked={"on_text": again.append})

    assert "".join(pieces) == "".join(again) == "one\ntwo\nthree"
    assert again == ["one\n", "two\n", "three"]


def test_a_plain_call_is_answered_by_the_record_of_a_streamed_one():
    ask("record", "hi", asked={"on_text": lambda _text: None})

    assert ask("replay", "hi")[0][0].text == "hi"


SCHEMA = {
    "title": "Label",
    "type": "object",
    "properties": {"label": {"enum": ["good", "bad"]}},
    "required": ["label"],
    "additionalProperties": False,
}


def structured(mode, schema, plan=None):
    with FaultServer(plan) as server, make_session(mode) as session:
        call = session.make_call("rate this", api_base=server.base_url)
        call.request = Request(
            provider="openai", model="gpt-5-mini", messages=call.request.messages,
            api_base=server.base_url, schema=read_schema(schema),
        )  # fmt: skip
        return ainb.engine.ENGINE.run(session.handle(call)), server.hits


def test_a_structured_reply_is_checked_and_parsed_again():
    live, hits = structured("record", SCHEMA, ["no json", '{"label": "good"}'])
    _shared.clear()
    replayed, _ = structured("replay", SCHEMA)

    assert hits == 2
    assert replayed.parsed == live.parsed == {"label": "good"}
    assert (replayed.usage, replayed.cost_usd) == (live.usage, live.cost_usd)


def test_an_invalid_structured_reply_is_a_recorded_error():
    for mode in ("record", "replay"):
        _shared.clear()
        with pytest.raises(InvalidReplyError) as caught:
            structured(mode, SCHEMA, ["no json"])
        assert caught.value.text == "no json"


def test_a_changed_schema_is_named():
    structured("record", SCHEMA, ['{"label": "good"}'])
    changed = {**SCHEMA, "properties": {"label": {"enum": ["good", "bad", "so-so"]}}}

    with pytest.raises(
        ReplayMissError, match=r"the difference is the schema Label-\w+ \(recorded Label-\w+\);"
    ):
        structured("replay", changed)


def test_many_calls_at_once_are_recorded_and_replayed(cassette):
    prompts = [f"prompt {number % 40}" for number in range(60)]

    async def all_of(session, **base):
        calls = [session.make_call(prompt, **base) for prompt in prompts]
        return await asyncio.gather(*(session.handle(call) for call in calls))

    with FaultServer() as server, make_session("record") as session:
        live = ainb.engine.ENGINE.run(all_of(session, api_base=server.base_url))
    _shared.clear()
    with make_session("replay") as session:
        replayed = ainb.engine.ENGINE.run(all_of(session))
        rows = session.core.stages.log.recent()

    assert server.hits == 40
    assert [reply.text for reply in live] == [reply.text for reply in replayed] == prompts
    assert len(cassette.read_bytes().splitlines()) == 40
    assert sum(reply.cost_usd for reply in live) == sum(reply.cost_usd for reply in replayed) > 0
    assert [row.replayed for row in rows] == [True] * 60


def test_replay_touches_nothing_of_the_home_and_counts_in_memory(tmp_path):
    (live,), _ = ask("record", "hi")
    home = tmp_path / "home"
    before = sorted((path.name, path.stat().st_size) for path in home.rglob("*") if path.is_file())

    with make_session("replay", budget=Budget(usd=5, per="day")) as session:
        session.ask("hi")
        (row,) = session.core.stages.log.recent()
        (status,) = session.core.stages.budget.status()

    assert sorted((path.name, path.stat().st_size) for path in home.rglob("*") if path.is_file()) == before
    assert (row.replayed, row.cost_usd, row.duration_s) == (True, live.cost_usd, live.duration_s)
    assert status.spent_usd == live.cost_usd


def test_replay_makes_no_home_at_all(tmp_path):
    ask("record", "hi")
    home = tmp_path / "other"

    with Session(MODEL, config=ainb.Config(replay="replay", home=home)) as session:
        session.ask("hi")
        session.ask("x", model="scripted:echo")
        session.status()

    assert not home.exists()


def test_recording_writes_the_home_log_too_and_reports_cover_this_session_alone(tmp_path):
    ask("off", "before")
    with FaultServer() as server, make_session("auto") as session:
        session.ask("one", api_base=server.base_url)
        session.ask("one", api_base=server.base_url)
        seen = session.usage(columns=["replayed"])
    with make_session("off") as session:
        kept = session.usage(columns=["replayed"])

    assert list(seen["replayed"]) == [False, True]
    assert list(kept["replayed"]) == [False, False]


def test_a_secret_stands_in_no_cassette_and_the_request_is_found_all_the_same(cassette):
    prompt = f"my key is {KEY}, say it"
    (live,), _ = ask("record", prompt, asked={"metadata": {"password": "hunter2hunter2hunter2"}})

    written = cassette.read_text()
    assert KEY not in written
    assert "hunter2" not in written
    (replayed,), _ = ask("replay", prompt, asked={"metadata": {"password": "hunter2hunter2hunter2"}})
    assert KEY not in replayed.text
    assert replayed.text == live.text


def test_the_place_of_a_model_does_not_count():
    ask("record", "hi")

    assert ask("replay", "hi", asked={"api_base": "http://elsewhere.example:9999/v1"})[0][0].text == "hi"


def test_a_file_of_weights_is_known_by_its_name_and_its_bytes(tmp_path, monkeypatch):
    from ainb.pipeline.replay.request import read_request
    from ainb.providers import make_provider

    monkeypatch.setenv("AINB_MODEL_DIR", str(tmp_path / "models"))
    provider = make_provider("local", clock=ainb.clock.SYSTEM_CLOCK)

    def asked(model):
        request = Request(provider="local", model=model, messages=(Message("user", "hi"),))
        return read_request(Call(request=request, provider=provider, options=CallOptions()))

    for folder, content in (("a", b"GGUF one"), ("b", b"GGUF two")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "m.gguf").write_bytes(content)
    one, two, absent = (
        asked(str(tmp_path / "a/m.gguf")),
        asked(str(tmp_path / "b/m.gguf")),
        asked("/no/m.gguf"),
    )

    assert one.key == two.key == absent.key
    assert one.fields["model"] == "local:m.gguf"
    recorded = {"weights": one.weights}
    assert (one.fits(recorded), two.fits(recorded), absent.fits(recorded)) == (True, False, True)
    assert asked("smollm2").weights.startswith("smollm2-")


def test_a_notebook_that_names_no_model_replays_where_none_is_configured(monkeypatch):
    ask("record", "hi")

    with Session(config=ainb.Config(replay="replay")) as session:
        assert session.ask("hi").text == "hi"


def test_recording_without_a_name_asks_for_one(monkeypatch):
    monkeypatch.delenv("AINB_NOTEBOOK")

    with pytest.raises(ConfigError, match=r"%ai replay record NAME"):
        ask("record", "hi")


def test_replay_without_a_name_searches_every_cassette_of_the_folder(monkeypatch, tmp_path):
    for name in ("a", "b"):
        monkeypatch.setenv("AINB_NOTEBOOK", f"{name}.ipynb")
        ask("record", f"prompt of {name}")
    monkeypatch.delenv("AINB_NOTEBOOK")

    replies, _ = ask("replay", "prompt of b", "prompt of a")

    assert [reply.text for reply in replies] == ["prompt of b", "prompt of a"]
    with pytest.raises(
        ReplayMissError, match=r"in a\.ainb\.jsonl, b\.ainb\.jsonl; .*'prompt of c' \(recorded"
    ):
        ask("replay", "prompt of c")


def test_replay_where_nothing_was_recorded_says_so():
    with pytest.raises(ReplayMissError, match="there is no cassette beside the notebook; record it with"):
        ask("replay", "hi")


def test_two_notebooks_of_one_name_have_a_cassette_each(tmp_path, monkeypatch):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        monkeypatch.setenv("AINB_NOTEBOOK", str(tmp_path / folder / "nb.ipynb"))
        ask("record", "hi", plan=[folder])

    monkeypatch.setenv("AINB_NOTEBOOK", str(tmp_path / "one" / "nb.ipynb"))
    assert ask("replay", "hi")[0][0].text == "one"


def test_a_script_has_its_cassette_beside_it(tmp_path, monkeypatch):
    monkeypatch.delenv("AINB_NOTEBOOK")
    monkeypatch.setenv("PYTHONPATH", str(Path(ainb.__file__).parents[1]))
    script = tmp_path / "job.py"
    script.write_text(
        "import sys, ainb\n"
        f"with ainb.Session({MODEL!r}) as s:\n"
        "    print(s.ask('hi there', api_base=sys.argv[1]).text)\n"
    )

    def run(mode, base):
        monkeypatch.setenv("AINB_REPLAY", mode)
        done = subprocess.run(
            [sys.executable, str(script), base],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd="/",
        )
        return done.stdout.strip(), done.stderr

    with FaultServer(["recorded"]) as server:
        assert run("record", server.base_url) == ("recorded", "")
    assert (tmp_path / "job.ainb.jsonl").exists()
    assert run("replay", "http://127.0.0.1:1/v1") == ("recorded", "")


def test_a_broken_cassette_stops_a_call_before_it_is_sent(cassette):
    ask("record", "one", "two")
    cut = cassette.read_bytes()[:-30]
    cassette.write_bytes(cut)

    for mode in ("record", "replay", "auto"):
        with pytest.raises(ConfigError, match=r"nb\.ainb\.jsonl, line 2 is cut off or was edited by hand"):
            ask(mode, "three")
        assert cassette.read_bytes() == cut


def test_a_cassette_that_cannot_be_written_fails_no_call(cassette, monkeypatch):
    events = []
    monkeypatch.setattr(
        "ainb.stores.cassette.file.replacement_file", lambda *_: (_ for _ in ()).throw(OSError("no room"))
    )

    replies, _ = ask("record", "one", "two", events=events)

    assert [reply.text for reply in replies] == ["one", "two"]
    notices = [event.text for event in events if isinstance(event, Notice)]
    assert notices == ["an answer cannot be recorded in nb.ainb.jsonl (no room)"]


def test_unrecordable_calls_are_sent_live_and_refused_in_replay():
    events = []
    with make_session("record", events=events) as session:

        @session.guard(model="mine", cache=False)
        def answer(prompt, **parameters):
            return f"{prompt} {len(parameters['odd'])}"

        assert answer("hi", odd={1}) == "hi 1"
    assert [event.text for event in events if isinstance(event, Notice)] == [
        "parameter odd is a set, so this call is not recorded"
    ]
    with make_session("replay") as session:
        guarded = session.guard(model="mine", cache=False)(lambda prompt, **_: prompt)
        with pytest.raises(ReplayMissError, match="parameter odd is a set, so no cassette can hold"):
            guarded("hi", odd={1})


def test_functions_in_the_place_of_a_model_replay_their_answers_and_their_errors(cassette):
    def make(mode):
        _shared.clear()
        session = make_session(mode)

        @session.guard(model="mine")
        def call_llm(prompt, **_):
            if mode == "replay":
                raise AssertionError("replay calls nothing")
            if prompt == "bad":
                raise ValueError("no such thing")
            return prompt.upper()

        return call_llm

    for mode in ("record", "replay"):
        call_llm = make(mode)
        assert call_llm("good") == "GOOD"
        with pytest.raises(ValueError, match=r"^no such thing$"):
            call_llm("bad")


def test_lines_beside_the_reply_are_said_again():
    def notes(mode):
        with FaultServer() as server, make_session(mode) as session:
            call = session.make_call("hi", api_base=server.base_url, temperature=0.5)
            ainb.engine.ENGINE.run(session.handle(call))
            return call.notes

    assert notes("record") == ["gpt-5-mini does not accept temperature; it was left out"]
    _shared.clear()
    assert notes("replay") == ["gpt-5-mini does not accept temperature; it was left out"]


def test_a_model_that_stands_in_for_another_does_so_in_replay_too(monkeypatch):
    def plan(seen):
        return 503 if seen.body["model"] == "down" else "from the other"

    def run(mode):
        _shared.clear()
        with FaultServer(plan) as server, make_session(mode, "openai:down", retry=None) as session:
            monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
            if mode == "replay":
                monkeypatch.delenv("OPENAI_API_KEY")
            return session.ask("hi", fallback=("openai:up",)), server.hits

    (live, hits), (replayed, no_hits) = run("record"), run("replay")

    assert (hits, no_hits) == (2, 0)
    for name in ("text", "model", "attempts", "duration_s", "usage"):
        assert getattr(replayed, name) == getattr(live, name), name


def test_replay_stands_inside_the_deadline_and_right_outside_the_cache():
    with make_session("replay", "scripted:echo") as session:
        names = [type(getattr(stage, "__self__", stage)).__name__ for stage in session.core.stages.in_order()]

    place = names.index("ReplayStage")
    assert names.index("DeadlineStage") < place
    assert names[place + 1] == "CacheStage"
    assert "ReplayStage" not in [type(stage).__name__ for stage in make_session("off").core.stages.in_order()]


def test_a_picture_stands_in_the_cassette_as_its_digest(cassette):
    import base64

    url = "data:image/png;base64," + base64.b64encode(bytes(range(256)) * 4).decode()
    content = [{"type": "text", "text": "what is this"}, {"type": "image_url", "image_url": {"url": url}}]
    message = {"role": "user", "content": content}

    ask("record", [message], plan=["a picture"])

    assert len(cassette.read_bytes()) < 1000
    assert "data:image/png;sha256," in cassette.read_text()
    assert ask("replay", [message])[0][0].text == "a picture"


def test_the_environment_and_pyproject_choose_the_mode(monkeypatch, tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.ainb]\nreplay = "auto"\n')
    assert ainb.config.load_config().replay == "auto"

    monkeypatch.setenv("AINB_REPLAY", "replay")
    assert ainb.config.load_config().replay == "replay"
    monkeypatch.setenv("AINB_REPLAY", "reply")
    with pytest.raises(ConfigError, match=r"replay takes one of off, record, replay, auto; it is 'reply'"):
        ainb.config.load_config()


def test_any_text_comes_back_as_it_was():
    ask("record", "日本 😀 \u2028 done")

    assert ask("replay", "日本 😀 \u2028 done")[0][0].text == "日本 😀 \u2028 done"


def test_a_batch_is_recorded_and_replayed_row_by_row(tmp_path):
    import pandas as pd

    data = pd.DataFrame({"review": ["good", "bad", None, "good", "odd"]}, index=list("abcde"))

    def run(mode):
        _shared.clear()
        with FaultServer(
            lambda seen: 404 if "odd" in seen.body["messages"][0]["content"] else "fine"
        ) as server:
            base = {} if mode == "replay" else {"api_base": server.base_url}
            with make_session(mode) as session:
                return session.map(data, "Rate: {review}", **base), server.hits

    (live, hits), (replayed, no_hits) = run("record"), run("replay")

    pd.testing.assert_frame_equal(live, replayed)
    assert (hits, no_hits) == (3, 0)
    assert list(live["status"]) == ["ok", "ok", "rejected", "ok", "error"]
    assert not list((tmp_path / "home").glob("journal*"))


def test_rows_that_were_paid_for_and_of_no_use_cost_the_same_in_replay():
    def run(mode):
        _shared.clear()
        with FaultServer(["no json"]) as server, make_session(mode) as session:
            base = {} if mode == "replay" else {"api_base": server.base_url}
            return session.map([{"review": "good"}], "Rate: {review}", schema=SCHEMA, **base)

    live, replayed = run("record"), run("replay")

    assert list(live["error_type"]) == ["InvalidReplyError"]
    assert live["cost_usd"][0] > 0
    assert live.equals(replayed)


def test_a_call_whose_time_ran_out_is_a_recorded_error():
    def late(mode, **plan):
        with pytest.raises(DeadlineExceededError) as caught:
            ask(mode, "hi", asked={"timeout_seconds": 0.2}, **plan)
        return str(caught.value), caught.value.billed

    assert late("record", plan=[Fault(action="hang")]) == late("replay")


def test_a_call_that_was_cancelled_is_not_recorded(cassette):
    with FaultServer([Fault(action="hang")]) as server, make_session("record") as session:
        job = session.submit("hi", api_base=server.base_url)
        server.wait_for_hits(1)
        job.cancel()
        with pytest.raises(concurrent.futures.CancelledError):
            job.result()

    assert not cassette.exists()
