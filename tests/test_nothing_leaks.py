"""Tests of redaction end to end: no secret from a prompt, row or reply is sent, displayed or stored."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import random
import string
import traceback

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ainb
from ainb.config import Config
from ainb.engine import ENGINE
from ainb.errors import AinbError, ConfigError, InvalidPromptError, TransientProviderError
from ainb.events import CallFinished
from ainb.messages import Reply
from ainb.providers.http.target import make_target
from ainb.runtime import Runtime
from ainb.usage.log.log import Log
from tests.fault_server import Fault, FaultServer
from tests.made_up_secrets import IN_PLACE, NAMES, SECRETS, bare, in_place, made

KEY = made("gateway-", 40)
FRAMES = {
    "alone": "{}",
    "prose": "My key is {}, does it look right? I got it yesterday.",
    "code": 'import os\nos.environ["X"] = 1\nvalue = f({!r})\n# {}\n',
    "lines": "first\n{}\nlast",
    "csv": "id,text\n1,{}\n2,none\n",
    "markup": "<a href='/x'>{}</a>",
    "brackets": "([{}])",
}


def framed(secret, name):
    frame = FRAMES[name]
    return frame.format(secret, secret) if "!r" in frame else frame.format(secret)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A server that echoes its prompts, and a session that stores as much as possible in its home."""
    folder = tmp_path_factory.mktemp("home")
    lines, events = [], []

    class Lines(logging.Handler):
        def emit(self, record):
            lines.append(record.getMessage())

    handler = Lines()
    logging.getLogger("ainb").addHandler(handler)
    logging.getLogger("ainb").propagate = False
    logging.getLogger("ainb").setLevel(logging.INFO)
    config = Config(home=folder, log=Log(content=True), log_content=True, retry=None)
    with FaultServer() as server:
        session = ainb.Session("openai:m", config=config, runtime=Runtime(sink=events.append))
        yield session, server, lines, events
        session.close()
    logging.getLogger("ainb").removeHandler(handler)
    logging.getLogger("ainb").propagate = True
    logging.getLogger("ainb").setLevel(logging.NOTSET)
    kept = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    for name in NAMES:
        assert bare(name).encode() not in kept, f"{name} was kept on disk"
    assert KEY.encode() not in kept


@pytest.fixture(autouse=True)
def key_and_server(request, monkeypatch, clean_environment):
    if "place" in request.fixturenames:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", request.getfixturevalue("place")[1].base_url)


def outcome(session, call):
    try:
        return ENGINE.run(session.handle(call))
    except AinbError as error:
        return error


def everything_said(result, call, lines, events):
    if isinstance(result, Exception):
        yield from (str(result), repr(result), *result._render_traceback_(), *result._render_traceback_())
        yield "".join(traceback.format_exception(result))
    else:
        yield from (result.text, repr(result))
    yield from (repr(call), *call.notes, *lines)
    yield from (repr(event) for event in events if isinstance(event, CallFinished))


def check(place, secret, call, *, key=KEY):
    session, server, lines, events = place
    lines.clear()
    events.clear()
    server.requests.clear()
    result = outcome(session, call)
    for text in everything_said(result, call, lines, events):
        assert secret not in text
        assert key not in text
    for seen in server.requests:
        assert secret.encode() not in seen.raw
        assert secret not in json.dumps(seen.body, ensure_ascii=False)
        assert key not in seen.path
        assert [name for name, value in seen.headers.items() if key in value] == ["authorization"]
    return result


# Every frame for the secrets that are found by their context and for the commonest tokens; one frame for each
# of the others.
IN_FRAMES = [
    (name, frame)
    for at, name in enumerate((*IN_PLACE, *SECRETS))
    for frame in (FRAMES if at < 40 else [list(FRAMES)[at % len(FRAMES)]])
]


@pytest.mark.parametrize(("name", "frame"), IN_FRAMES)
def test_a_secret_of_the_pack_leaves_in_nothing(place, name, frame):
    text = framed(in_place(name), frame)
    if "'" in in_place(name) or '"' in in_place(name):
        text = f"some text\n{in_place(name)}\nmore"
    call = place[0].make_call(f"{text}\n{random.random()}", tags={"note": in_place(name)}, user="ann")

    assert isinstance(check(place, bare(name), call), Reply)
    assert place[1].requests


NEUTRAL = st.characters(exclude_categories=("Cs", "Cc", "Cf", "L", "N", "Pc"), exclude_characters="-")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(NAMES),
    st.text(max_size=300),
    st.tuples(NEUTRAL, NEUTRAL),
    st.text(max_size=300),
    st.sampled_from(["text", "json", "nested", "parts", "system", "parameter"]),
)
def test_a_secret_in_any_text_and_any_place_leaves_in_nothing(place, name, before, sides, after, how):
    text = f"{before}{sides[0]} {in_place(name)} {sides[1]}{after}"
    session = place[0]
    if how == "json":
        call = session.make_call(json.dumps({"a": [text], "b": 1}))
    elif how == "nested":
        call = session.make_call(json.dumps({"a": json.dumps({"b": text})}, indent=1))
    elif how == "parts":
        call = session.make_call([{"role": "user", "content": [{"type": "text", "text": text}]}])
    elif how == "system":
        call = session.make_call("x", system=text)
    elif how == "parameter":
        call = session.make_call("x", metadata={"a": [{"b": text}]})
    else:
        call = session.make_call(text)

    check(place, bare(name), call)


@pytest.mark.parametrize("name", NAMES)
def test_a_secret_in_a_providers_refusal_is_never_shown(place, name):
    place[1].plan = [
        Fault(status=400, code=in_place(name)[:70], message=f"rejected: {in_place(name)} ({KEY})")
    ]
    try:
        result = check(place, bare(name), place[0].make_call("x", cache="off"))
    finally:
        place[1].plan = None

    assert isinstance(result, AinbError)


def test_a_key_that_a_server_repeats_in_its_reply_is_taken_out(place):
    place[1].plan = [Fault(text=f"you sent Bearer {KEY}")]
    try:
        result = check(place, KEY, place[0].make_call("repeat my key"))
    finally:
        place[1].plan = None

    assert result.text == "you sent Bearer [redacted OPENAI_API_KEY]"


def test_no_error_shows_a_secret_however_it_is_made_or_carried():
    secret = in_place("OpenAI key")
    kinds = [AinbError, ConfigError, InvalidPromptError, TransientProviderError]
    for error in [kind(f"broken: {secret}") for kind in kinds]:
        for carried in (error, copy.copy(error), pickle.loads(pickle.dumps(error))):  # noqa: S301 - our own bytes
            assert str(carried) == "broken: [redacted OpenAI key]"


def test_a_whole_traceback_shows_no_secret_of_its_causes():
    secret = in_place("OpenAI key")
    try:
        try:
            {}[secret]
        except KeyError as cause:
            raise AinbError("it failed") from cause
    except AinbError as error:
        shown = [*error._render_traceback_(), *error._render_traceback_()]

    assert any("KeyError" in line for line in shown)
    assert secret not in "\n".join(shown)


def test_reprs_of_what_holds_a_key_do_not_show_it(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    target = make_target("x", "https://models.example.org/v1", key=KEY)
    with ainb.Session("openai:m") as session:
        provider = session.provider("openai")
        call = session.make_call("x", api_base="https://models.example.org/v1")
        texts = [repr(target), repr(provider.endpoint(call.request)), provider.account(call.request)]
        texts += [repr(session), repr(session.config), session.status().to_string()]

    assert all(KEY not in text for text in texts)


# Every outcome is a reply or one of our errors.

PROMPTS = st.one_of(
    st.text(st.characters(), max_size=400),
    st.lists(
        st.sampled_from(
            [*map(in_place, NAMES), "{", "}", "{x}", "\x00", "\ud800", "<script>", "%%ai", "\u202e", "eval("]
        )
    ).map(" ".join),
    st.lists(
        st.one_of(
            st.text(),
            st.fixed_dictionaries(
                {"role": st.sampled_from(["user", "system", "tool", "robot"]), "content": st.text()}
            ),
            st.fixed_dictionaries(
                {
                    "role": st.just("user"),
                    "content": st.lists(
                        st.dictionaries(
                            st.sampled_from(["type", "text"]),
                            st.sampled_from(["text", "x", "\ud800"]) | st.none(),
                        )
                    ),
                }
            ),
        ),
        max_size=4,
    ),
)
PARAMETERS = st.dictionaries(
    st.sampled_from(["temperature", "stop", "metadata", "user_id", "tools"]),
    st.recursive(st.none() | st.integers() | st.floats() | st.text(st.characters()), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=5),
    max_size=3,
)  # fmt: skip
OPTIONS = st.sampled_from(
    [
        ainb.Validation(),
        ainb.Validation(preset="strict", injection=True),
        ainb.Validation(personal_data=True, put_back=True),
        ainb.Validation(actions={"secret": "block", "unprintable character": "warn"}),
    ]
)


def fuzz(examples):
    @settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(PROMPTS, PARAMETERS, OPTIONS, st.none() | st.lists(st.text(max_size=5), max_size=3))
    def send_anything(prompt, parameters, options, values):
        session = sessions.setdefault(id(options), ainb.Session("scripted:echo", validation=options))
        try:
            said = session.ask(prompt, values=None if values is None else tuple(values), **parameters).text
        except AinbError as error:
            said = error._render_traceback_()[0].replace("\n", "BROKEN")
        assert isinstance(said, str)
        assert "BROKEN" not in said

    sessions = {}
    send_anything()
    for session in sessions.values():
        session.close()


def test_every_prompt_becomes_a_reply_or_an_error_of_ours():
    fuzz(300)


@pytest.mark.slow
def test_ten_thousand_prompts_become_replies_or_errors_of_ours():
    fuzz(10_000)


WORDS = {
    "openai": ["choices", "message", "content", "usage", "model", "id", "error", "delta", "finish_reason", "total_tokens", "code", "type"],
    "anthropic": ["type", "content", "text", "delta", "usage", "input_tokens", "output_tokens", "stop_reason", "error", "message", "index", "content_block"],
}  # fmt: skip
KINDS = ["message_start", "content_block_start", "content_block_delta", "message_delta", "message_stop", "ping", "error", "message", "text", "text_delta", "robot"]  # fmt: skip
WHOLE = {
    "openai": lambda text: {"choices": [{"message": {"content": text}, "delta": {"content": text}, "finish_reason": text}], "usage": {"prompt_tokens": 1, "completion_tokens": len(text)}},
    "anthropic": lambda text: {"type": "message", "content": [{"type": "text", "text": text}], "stop_reason": text, "usage": {"input_tokens": 1, "output_tokens": len(text)}},
}  # fmt: skip


def json_values(words):
    return st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(KINDS),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(words), inner, max_size=4),
        max_leaves=12,
    )  # fmt: skip


def damaged(text_and_places):
    """A body with a part cut out, or a truncated one."""
    body, first, last = text_and_places
    return body[: first % (len(body) + 1)] + body[len(body) - last % (len(body) + 1) :]


def bodies(speaker):
    values = json_values(WORDS[speaker])
    whole = (st.text(string.printable) | st.text()).map(
        lambda text: json.dumps(WHOLE[speaker](text)).encode()
    )
    events = st.lists(
        st.tuples(st.sampled_from(KINDS), values).map(
            lambda pair: f"event: {pair[0]}\ndata: "
                         f"{json.dumps({'type': pair[0], **pair[1]} if isinstance(pair[1], dict) else pair[1])}\n\n".encode()
        ),
        max_size=5,
    ).map(b"".join)  # fmt: skip
    sound = st.one_of(
        values.map(lambda value: json.dumps(value).encode()),
        values.map(lambda value: b"data: " + json.dumps(value).encode() + b"\n\ndata: [DONE]\n\n"),
        whole,
        whole.map(lambda body: b"data: " + body + b"\n\ndata: [DONE]\n\n"),
        events,
    )
    cut = st.tuples(sound, st.integers(0, 500), st.integers(0, 500)).map(damaged)
    return st.one_of(st.binary(max_size=300), sound, sound, cut)


MODELS = {"openai": "ollama:m", "anthropic": "anthropic:m"}


def fuzz_bodies(speaker, examples):
    steps = [Fault()]
    with FaultServer(lambda _seen: steps[-1], record=False) as server:
        session = ainb.Session(MODELS[speaker], api_base=server.base_url, retry=None, circuit=None)

        @settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(
            bodies(speaker),
            st.sampled_from([200, 200, 200, 204, 302, 400, 404, 429, 500, 529]),
            st.sampled_from(["application/json", "text/event-stream", "text/html", ""]),
            st.booleans(),
        )
        def any_body(body, status, kind, stream):
            steps.append(Fault(body=body, status=status, headers={"content-type": kind}))
            try:
                reply = session.ask("x", cache="off", on_text=(lambda _text: None) if stream else None)
            except AinbError as error:
                reply = error
            assert isinstance(reply.text, str) if isinstance(reply, Reply) else str(reply).isprintable()
            del steps[1:]

        any_body()
        session.close()


@pytest.mark.parametrize("speaker", MODELS)
def test_every_body_of_a_provider_becomes_a_reply_or_an_error_of_ours(speaker, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    fuzz_bodies(speaker, 300)


@pytest.mark.slow
@pytest.mark.parametrize("speaker", MODELS)
def test_ten_thousand_bodies_become_replies_or_errors_of_ours(speaker, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    fuzz_bodies(speaker, 10_000)


def test_a_secret_in_the_template_or_the_rows_of_a_batch_is_kept_nowhere(place, tmp_path):
    secret = SECRETS["Anthropic key"]
    rows = [{"text": f"one {secret}"}, {"text": "two"}]
    home = tmp_path / "home"
    with ainb.Session("openai:m", config=Config(home=home, log_content=True)) as session:
        frame = session.map(rows, "Explain {text} with " + secret, keep=False)
        runs = session.runs().to_string()

    assert list(frame["reply"]) == [
        f"Explain {text} with [redacted Anthropic key]" for text in ("one [redacted Anthropic key]", "two")
    ]
    assert secret not in frame.to_string() + runs
    kept = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert b"Explain" in kept
    # Titles are cut, so the beginning of the secret must be absent, too.
    assert secret[:20].encode() not in kept
    assert all(secret.encode() not in seen.raw for seen in place[1].requests)
