"""Tests of stored answers of version 0.2.0: cache keys, cache entries and cassette records, kept as samples.

If a sample is not found, users would pay again for stored answers: change the code, not the sample.
``python -m tests.pipeline.test_samples`` wrote `samples.json` once.
"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from ainb.config import Config
from ainb.engine import ENGINE
from ainb.messages import Reply, Usage
from ainb.pipeline.cache.entry import decode_entry, encode_entry
from ainb.pipeline.cache.key import reply_key
from ainb.pipeline.replay.request import read_request
from ainb.runtime import Runtime
from ainb.session import Session
from ainb.stores.cassette.line import read_line, write_line

FILE = Path(__file__).with_name("samples.json")
LABEL = {
    "title": "Label",
    "type": "object",
    "properties": {"label": {"type": "string", "enum": ["a", "b"]}, "why": {"type": "string"}},
    "required": ["label"],
}
MODELS = [
    "local:smollm2",
    "openai:gpt-6-luna",
    "openai:gpt-4o",
    "anthropic:claude-opus-5-5",
    "anthropic:claude-haiku-4-5",
]
REQUESTS = {
    "plain": {"prompt": "What is tea?"},
    "schema": {"prompt": "Label: good", "schema": LABEL},
    "line": {"prompt": "Label: good", "schema": "label: a|b, score: int 0..10, why: str?"},
    "parameters": {
        "prompt": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is tea?"}],
        "temperature": 0,
        "max_tokens": 50,
        "effort": "low",
        "top_p": 0.9,
        "extra_body": {"top_k": 5},
        "extra_headers": {"X-Team": "search", "X-Api-Key": "abc"},
    },
    "replica": {"prompt": "What is tea?", "replica": 2},
}
REPLY = Reply(
    text='{"label": "a", "score": 3}',
    model="m-2026",
    provider="openai",
    usage=Usage(input_tokens=3, output_tokens=5, reasoning_output_tokens=2, source="provider"),
    finish_reason="stop",
    cost_usd=Decimal("0.0123"),
    cost_source="table",
    reasoning="It sounds pleased.",
)


def call_of(session, model, request):
    options = dict(request)
    return session.core.make_call(options.pop("prompt"), model=model, **options)


def write_samples(session):
    samples = []
    for model in MODELS:
        for name, request in REQUESTS.items():
            call = call_of(session, model, request)
            asked = read_request(call)
            fields = {**asked.fields, "reply": {**_written()}, "measured": {"duration_s": 1.0, "attempts": 1}}
            # The path of a local model's weights is not part of a sample.
            key = reply_key(call) if not model.startswith("local") else None
            samples.append(
                {"model": model, "request": name, "key": key, "line": write_line(fields).text.decode()}
            )
    return {"samples": samples, "entry": encode_entry(REPLY, 1_800_000_000.0)}


def _written():
    from ainb.pipeline.replay.outcome import write_reply

    return write_reply(REPLY)


SAMPLES = json.loads(FILE.read_text()) if FILE.exists() else {"samples": [], "entry": "{}"}


@pytest.fixture
def session(tmp_path):
    with Session(config=Config(home=tmp_path)) as made:
        yield made


@pytest.mark.parametrize(
    "sample", SAMPLES["samples"], ids=lambda sample: f"{sample['model']}-{sample['request']}"
)
def test_a_request_still_has_the_key_of_its_stored_answer(session, sample):
    call = call_of(session, sample["model"], REQUESTS[sample["request"]])

    assert sample["key"] in {None, reply_key(call)}
    assert read_request(call).key == read_line(sample["line"].encode()).key


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", REQUESTS)
def test_a_stored_record_answers_in_replay(tmp_path, model, name):
    path = tmp_path / "nb.ipynb"
    (tmp_path / "nb.ainb.jsonl").write_text("".join(f"{sample['line']}\n" for sample in SAMPLES["samples"]))
    runtime = Runtime(notebook=lambda: path)
    with Session(config=Config(home=tmp_path / "home", replay="replay"), runtime=runtime) as session:
        reply = ENGINE.run(session.core.handle(call_of(session, model, REQUESTS[name] | {"cache": "off"})))

    assert (reply.text, reply.reasoning, reply.usage.reasoning_output_tokens) == (
        REPLY.text,
        REPLY.reasoning,
        2,
    )


def test_a_stored_entry_is_read():
    entry = decode_entry(SAMPLES["entry"])

    assert entry is not None
    assert entry.reply == REPLY


def test_no_secret_is_in_a_sample():
    assert "abc" not in FILE.read_text()


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder, Session(config=Config(home=Path(folder))) as writer:
        FILE.write_text(json.dumps(write_samples(writer), indent=1, ensure_ascii=False) + "\n")
