"""Tests of hostile cassettes in a foreign repository: forged, oversized, linked, not regular files."""

from __future__ import annotations

import contextlib
import copy
import json
import os

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ainb
from ainb.errors import AinbError, ConfigError
from ainb.messages import Reply
from ainb.runtime import Runtime
from ainb.stores.cassette.file import _shared
from ainb.stores.cassette.line import _CHECKSUM, _checksum
from tests.fault_server import FaultServer
from tests.hostile import HOSTILE

MODEL = "openai:gpt-5-mini"


@pytest.fixture(autouse=True)
def a_notebook(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    (tmp_path / "clone").mkdir()
    (tmp_path / "clone" / "nb.ipynb").write_text("{}")
    monkeypatch.setenv("AINB_NOTEBOOK", str(tmp_path / "clone" / "nb.ipynb"))
    monkeypatch.setenv("OPENAI_API_KEY", "not-a-key-of-anybody-17")
    with FaultServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        _shared.clear()
        yield
        _shared.clear()


@pytest.fixture
def cassette(tmp_path):
    return tmp_path / "clone" / "nb.ainb.jsonl"


def session(mode, notices=None):
    runtime = Runtime(sink=(notices.append if notices is not None else lambda _event: None))
    return ainb.Session(MODEL, config=ainb.Config(replay=mode), runtime=runtime)


@pytest.fixture
def record(cassette):
    """The record of one answered prompt."""
    with session("record") as recording:
        recording.ask("hello")
    _shared.clear()
    return orjson.loads(cassette.read_bytes())


def forge(record):
    """A line of these fields with a matching checksum."""
    fields = {name: value for name, value in record.items() if name != "sha256"}
    head = orjson.dumps(fields, option=orjson.OPT_NON_STR_KEYS)[:-1]
    return head + _CHECKSUM + _checksum(head) + b'"}'


def outcome(cassette, content):
    """Outcome of a replayed call: a reply, or one of our errors on one line."""
    cassette.write_bytes(content)
    _shared.clear()
    with session("replay") as replaying:
        reply = tried(replaying, "hello")
        if isinstance(reply, AinbError):
            return reply
        assert isinstance(reply.text, str)
        assert len(replaying.map(["hello"], "{value}")) == 1
        assert len(replaying.usage()) == 2
    return reply


def tried(running, prompt):
    """The reply to a prompt, or our error."""
    try:
        return running.ask(prompt)
    except AinbError as error:
        said = str(error)
        if "\n" in said:
            pytest.fail(f"more than a line: {said!r}")
        return error


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=20).filter(lambda text: text.isprintable())
    | st.sampled_from([*HOSTILE[:10], "NaN", "-1", "1e999", "stop", "openai", "9" * 60]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
PLACES = [
    ("model",),
    ("body",),
    ("schema",),
    ("replica",),
    ("weights",),
    ("reply",),
    ("notes",),
    ("measured",),
    *(("reply", name) for name in ("text", "model", "provider", "finish_reason", "reasoning", "usage", "cost_usd", "cost_source")),  # noqa: E501
    *(("reply", "usage", name) for name in ("input_tokens", "output_tokens", "source")),
    *(("measured", name) for name in ("duration_s", "attempts", "first_text_s", "retry_after")),
    ("unknown",),
]  # fmt: skip
FAILURES = [
    "TransientProviderError",
    "InvalidReplyError",
    "BudgetExceededError",
    "ValueError",
    "SystemExit",
    "Exception",
]
ERROR_FIELDS = ["message", "status_code", "code", "should_retry", "billed", "text", "replies", "retry_after"]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(PLACES), JSON)
def test_any_value_in_any_field_gives_a_reply_or_an_error_of_ours(cassette, record, place, value):
    forged = copy.deepcopy(record)
    inner = forged
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value

    outcome(cassette, forge(forged) + b"\n")


@pytest.mark.parametrize("value", [-1, 0, 34_559_999, 34_560_000.0, 1e9, 1e300, 2**63, 2**64 - 1, True, "1"])
@pytest.mark.parametrize("name", ["duration_s", "attempts", "first_text_s", "retry_after"])
def test_an_absurd_measured_value_loses_no_row(cassette, record, name, value):
    record["measured"][name] = value

    outcome(cassette, forge(record) + b"\n")


@pytest.mark.parametrize(
    "text", ["two\nlines", "\r", "\x1b[31mred", "next\x85line", "\u2028", "\u202eleft", "\0"]
)
@pytest.mark.parametrize(
    "forged",
    [
        {"model": "{}"},
        {"schema": "{}"},
        {"body": {"{}": False}},
        {"body": {"messages": [{"role": "{}", "content": "hello"}]}},
        {"body": {"messages": [{"role": "user", "content": "{}"}]}},
        {"body": {"stop": "{}"}},
    ],
)
def test_a_text_of_the_file_in_a_message_stays_on_its_line(cassette, record, forged, text):
    filled = orjson.loads(orjson.dumps(forged).replace(b"{}", orjson.dumps(text)[1:-1]))
    found = outcome(cassette, forge({**record, **filled}) + b"\n")

    assert isinstance(found, AinbError)
    assert str(found).isprintable()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(FAILURES), st.dictionaries(st.sampled_from(ERROR_FIELDS), JSON, max_size=4))
def test_any_recorded_error_is_an_error_of_ours_or_of_the_function(cassette, record, kind, given_fields):
    forged = {name: value for name, value in record.items() if name != "reply"}
    forged["error"] = {"message": "x", **given_fields, "type": kind}

    expected = (ValueError,) if kind == "ValueError" else ()
    with contextlib.suppress(*expected):
        outcome(cassette, forge(forged) + b"\n")


@pytest.mark.parametrize(
    "content",
    [
        b"\x00" * 1000,
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        b"{}\n" * 10,
        b'{"version":1}\n',
        b'{"version":99999999999999999999999999}\n',
        b'{"version":"1"}\n',
        b"null\n",
        b"\n\n\n",
        b"x" * 2**20,
        b"\xef\xbb\xbf{}",
    ],
    ids=lambda content: repr(content[:12]),
)
def test_what_is_no_cassette_is_one_line_and_stays_as_it_is(cassette, content):
    error = outcome(cassette, content)

    assert isinstance(error, AinbError)
    assert cassette.read_bytes() == content


def test_a_record_without_a_checksum_or_with_a_wrong_one_is_refused(cassette, record):
    whole = forge(record)
    for content in (whole[:-30] + b"}", whole.replace(b"hello", b"hullo"), whole[:-3] + b'x"}', whole[:50]):
        assert isinstance(outcome(cassette, content), ConfigError)


def test_a_reply_that_is_hostile_is_a_reply_like_any_other(cassette, record):
    for text in HOSTILE:
        if text.isascii() or "\ud800" not in text:
            forged = copy.deepcopy(record)
            forged["reply"]["text"] = text
            reply = outcome(cassette, forge(forged) + b"\n")
            assert isinstance(reply, Reply)


@pytest.mark.parametrize("target", ["/dev/zero", "/proc/self/environ", "/dev/stdin", "pipe", "folder"])
def test_a_cassette_that_is_no_plain_file_is_refused_and_not_read(cassette, tmp_path, target):
    if target == "pipe":
        os.mkfifo(cassette)
    elif target == "folder":
        cassette.mkdir()
    else:
        cassette.symlink_to(target)
    for mode in ("replay", "record", "auto"):
        _shared.clear()
        with session(mode) as trying:
            assert isinstance(tried(trying, "hello"), ConfigError)


OUTSIDE = ["new file", "file of the user's", "cassette of another project", "link to a link"]


@pytest.mark.parametrize("what", OUTSIDE)
def test_a_link_out_of_the_project_is_neither_read_nor_written(cassette, tmp_path, record, what):
    line = cassette.read_bytes()
    cassette.unlink()
    outside = tmp_path / ".bash_profile"
    if what == "file of the user's":
        outside.write_text("export A=1\n")
    elif what == "cassette of another project":
        outside.write_bytes(line)
    before = outside.read_bytes() if outside.exists() else None
    if what == "link to a link":
        (tmp_path / "clone" / "between").symlink_to(outside)
        cassette.symlink_to(tmp_path / "clone" / "between")
    else:
        cassette.symlink_to(outside)
    notices = []

    for mode in ("record", "replay", "auto"):
        _shared.clear()
        with session(mode, notices) as trying:
            assert "is a link out of its project" in str(tried(trying, f"another {mode}"))
    assert (outside.read_bytes() if outside.exists() else None) == before


def test_a_link_out_of_a_trusted_project_is_followed(cassette, tmp_path, monkeypatch):
    monkeypatch.setenv("AINB_TRUST", str(tmp_path / "clone"))
    (tmp_path / "shared").mkdir()
    cassette.symlink_to(tmp_path / "shared" / "nb.ainb.jsonl")
    with session("record") as recording:
        recording.ask("hello")

    assert json.loads((tmp_path / "shared" / "nb.ainb.jsonl").read_text())["model"] == MODEL


def test_a_link_inside_the_project_is_followed(cassette, tmp_path):
    (tmp_path / "clone" / "pyproject.toml").write_text("")
    (tmp_path / "clone" / "cassettes").mkdir()
    cassette.symlink_to(tmp_path / "clone" / "cassettes" / "nb.ainb.jsonl")
    with session("record") as recording:
        recording.ask("hello")

    assert cassette.is_symlink()
    assert json.loads((tmp_path / "clone" / "cassettes" / "nb.ainb.jsonl").read_text())["model"] == MODEL
