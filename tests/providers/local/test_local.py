"""Tests of the real llama.cpp server in a child process: answers, faults, crashes, end of the process."""

from __future__ import annotations

import asyncio
import concurrent.futures
import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from ainb.clock import SYSTEM_CLOCK
from ainb.engine import ENGINE
from ainb.errors import AinbError, ConfigError, PermanentProviderError, TransientProviderError
from ainb.messages import Call, CallOptions, Message, Request
from ainb.pipeline.answer.schema import read_schema
from ainb.providers.http import Exchange
from ainb.providers.http.client import close_clients
from ainb.providers.http.target import make_target
from ainb.providers.local import child as llama_child
from ainb.providers.local import weights
from ainb.providers.local.adapter import DEFAULT, USUAL_LIMIT, LocalProvider
from ainb.providers.local.child import Local
from ainb.providers.local.server import SERVERS
from ainb.providers.openai import Answer

QUESTION = "What is the capital of France? Answer in one word."
LONG = {"temperature": 0, "max_tokens": 3000, "ignore_eos": True}
PATIENCE_SECONDS = 120.0


@pytest.fixture(scope="session")
def smollm2():
    """Path of the model smollm2, which is pulled at the first use."""
    if importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("xllamacpp is not installed: pip install 'ainb-notebook[local]'")
    try:
        return weights.pull("smollm2")
    except AinbError as error:
        pytest.skip(f"smollm2 is neither here nor to be had: {error}")


@pytest.fixture(scope="module", autouse=True)
def ended_servers():
    yield
    SERVERS.close()
    ENGINE.run(close_clients())


def make_provider(options: Local = DEFAULT) -> LocalProvider:
    return LocalProvider(clock=SYSTEM_CLOCK, options=options)


def make_call(provider, prompt=QUESTION, *, model="smollm2", on_text=None, schema=None, **parameters) -> Call:
    request = Request(
        provider="local",
        model=str(model),
        messages=(Message("user", prompt),),
        parameters={"temperature": 0, **parameters},
        schema=schema,
    )
    return Call(request=request, provider=provider, options=CallOptions(on_text=on_text))


def submit(provider, prompt=QUESTION, **options):
    return ENGINE.submit(provider.send(make_call(provider, prompt, **options)))


def ask(provider, prompt=QUESTION, **options):
    return submit(provider, prompt, **options).result(PATIENCE_SECONDS)


def child_of(path: Path, options: Local = DEFAULT):
    return ENGINE.run(SERVERS.server(path, options).ready())


def wait_until(true) -> bool:
    end = time.monotonic() + PATIENCE_SECONDS
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def is_running(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def busy_slots(process) -> int:
    request = urllib.request.Request(  # noqa: S310 - http on loopback
        f"{process.url}/slots", headers={"Authorization": f"Bearer {process.key}"}
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:  # noqa: S310 - http on loopback
        return sum(slot["is_processing"] for slot in json.load(response))


def test_options_out_of_range_are_config_errors():
    for name, value in (
        ("slots", 0),
        ("slots", 65),
        ("slots", True),
        ("context_tokens", 255),
        ("context_tokens", 1.5),
        ("threads", 0),
        ("start_seconds", 0),
        ("start_seconds", float("inf")),
        ("start_seconds", float("nan")),
    ):
        with pytest.raises(ConfigError, match=f"{name} must be .* it is {value!r}"):
            Local(**{name: value})


def test_the_default_concurrency_is_the_number_of_slots():
    assert make_provider().slots == 4
    assert make_provider(Local(slots=2)).slots == 2


def test_body_and_endpoint_need_no_model_and_name_no_port():
    provider = make_provider()
    request = make_call(provider, max_tokens=5, seed=1).request

    assert provider.body(request) == {
        "model": "smollm2",
        "messages": [{"role": "user", "content": QUESTION}],
        "temperature": 0,
        "max_tokens": 5,
        "seed": 1,
    }
    assert provider.endpoint(request) == provider.account(request) == "local:smollm2-b179c9523d0e6a0f"


def test_a_model_that_is_not_here_is_a_config_error(monkeypatch, tmp_path):
    monkeypatch.setenv("AINB_MODEL_DIR", str(tmp_path))

    with pytest.raises(ConfigError, match="%ai pull smollm2"):
        ask(make_provider())


@pytest.mark.local_model
def test_it_knows_the_capital_of_france(smollm2):
    reply = ask(make_provider())

    assert "Paris" in reply.text
    assert reply.model == "smollm2"
    assert reply.provider == "local"
    assert reply.finish_reason == "stop"
    assert reply.usage.source == "provider"
    assert reply.usage.input_tokens == 42
    assert reply.usage.output_tokens > 3


@pytest.mark.local_model
def test_a_streamed_answer_is_the_same_with_its_usage(smollm2):
    pieces = []
    provider = make_provider()
    call = make_call(provider, on_text=pieces.append)

    streamed = ENGINE.run(provider.send(call))
    plain = ask(provider)

    assert len(pieces) > 3
    assert "".join(pieces) == streamed.text == plain.text
    assert streamed.usage.output_tokens == plain.usage.output_tokens
    assert call.shown


@pytest.mark.local_model
def test_a_call_that_nobody_watches_was_not_shown_and_may_be_retried(smollm2):
    provider = make_provider()
    call = make_call(provider)

    ENGINE.run(provider.send(call))

    assert not call.shown
    assert call.first_text_at is not None


@pytest.mark.local_model
def test_an_answer_cut_at_max_tokens_says_so(smollm2):
    reply = ask(make_provider(), max_tokens=3)

    assert reply.finish_reason == "length"
    assert reply.usage.output_tokens == 3


@pytest.mark.local_model
def test_calls_one_after_the_other_never_meet_a_connection_that_was_just_closed(smollm2):
    provider = make_provider()

    assert [ask(provider, max_tokens=1).text for _ in range(24)] == ["The"] * 24


@pytest.mark.local_model
def test_a_schema_is_a_grammar_that_the_reply_keeps(smollm2):
    schema = {
        "title": "City",
        "type": "object",
        "properties": {
            "city": {"type": "string", "maxLength": 20},
            "size": {"enum": ["small", "large"]},
        },
        "required": ["city", "size"],
        "additionalProperties": False,
    }

    answer = ask(make_provider(), "Name a city.", schema=read_schema(schema), max_tokens=200).json()

    assert answer.keys() == {"city", "size"}
    assert answer["size"] in {"small", "large"}


@pytest.mark.local_model
def test_an_over_long_prompt_names_its_tokens_and_the_context(smollm2):
    provider = make_provider()

    with pytest.raises(PermanentProviderError, match=r"prompt of 5031 tokens .* context of 4096 tokens"):
        ask(provider, "hello " * 5000)

    assert "Paris" in ask(provider).text


@pytest.mark.local_model
def test_a_wrong_key_is_refused_and_not_repeated_in_the_error(smollm2):
    provider = make_provider()
    target = make_target("local", f"{child_of(smollm2).url}/v1", key="sk-wrong-key")
    call = make_call(provider)

    with pytest.raises(PermanentProviderError) as caught:
        ENGINE.run(Exchange(Answer, clock=SYSTEM_CLOCK).send(call, target, provider.body(call.request)))

    assert caught.value.status_code == 401
    assert "sk-wrong-key" not in str(caught.value)


@pytest.mark.local_model
def test_the_key_is_in_no_process_list(smollm2):
    process = child_of(smollm2)
    place = Path(f"/proc/{process.pid}")
    if not place.exists():
        pytest.skip("no /proc here")

    for name in ("cmdline", "environ"):
        assert process.key.encode() not in (place / name).read_bytes()
    assert process.key not in os.environ.values()


@pytest.mark.local_model
def test_while_a_model_is_loaded_its_activity_says_so(smollm2):
    options = Local(slots=1, context_tokens=768)
    provider = LocalProvider(clock=SYSTEM_CLOCK, options=options)

    job = submit(provider, max_tokens=4)

    assert wait_until(provider.activities)
    assert provider.activities() == {"smollm2": "loading the model"}
    job.result(PATIENCE_SECONDS)
    assert provider.activities() == {}


@pytest.mark.local_model
def test_sessions_share_one_child_and_so_do_first_calls_at_once(smollm2):
    options = Local(slots=1, context_tokens=512)

    async def many():
        return await asyncio.gather(*(SERVERS.server(smollm2, options).ready() for _ in range(8)))

    processes = ENGINE.run(many())

    assert len({process.pid for process in processes}) == 1
    assert child_of(smollm2, options) is processes[0]
    assert child_of(smollm2, Local(slots=1, context_tokens=1024)).url != processes[0].url


@pytest.mark.local_model
def test_more_calls_than_slots_are_all_answered(smollm2):
    provider = make_provider()

    jobs = [submit(provider, f"{QUESTION} ({number})", max_tokens=12) for number in range(8)]

    assert all("Paris" in job.result(PATIENCE_SECONDS).text for job in jobs)


@pytest.mark.local_model
@pytest.mark.parametrize("watched", [False, True])
def test_a_cancelled_call_frees_its_slot(smollm2, watched):
    process = child_of(smollm2)
    assert wait_until(lambda: busy_slots(process) == 0)
    job = submit(make_provider(), "Count to a thousand.", on_text=str if watched else None, **LONG)
    assert wait_until(lambda: busy_slots(process) == 1)

    job.cancel()

    with pytest.raises(concurrent.futures.CancelledError):
        job.result(PATIENCE_SECONDS)
    assert wait_until(lambda: busy_slots(process) == 0)


@pytest.mark.local_model
def test_a_cancelled_start_does_not_disturb_the_next_call(smollm2):
    provider = make_provider(Local(slots=1, context_tokens=768))

    job = submit(provider)
    job.cancel()

    with pytest.raises(concurrent.futures.CancelledError):
        job.result(PATIENCE_SECONDS)
    assert "Paris" in ask(provider).text


@pytest.mark.local_model
def test_an_interrupt_of_the_cell_does_not_end_the_server(smollm2):
    process = child_of(smollm2)

    os.kill(process.pid, signal.SIGINT)

    assert "Paris" in ask(make_provider()).text
    assert child_of(smollm2) is process


@pytest.mark.local_model
def test_a_child_that_is_killed_under_a_call_is_a_transient_fault_and_the_next_call_starts_it_anew(smollm2):
    provider = make_provider()
    ask(provider)
    first = child_of(smollm2)
    job = submit(provider, "Count to a thousand.", **LONG)
    assert wait_until(lambda: busy_slots(first) == 1)

    os.kill(first.pid, signal.SIGKILL)

    with pytest.raises(TransientProviderError, match=r"died while it answered \(it was ended by SIGKILL\)"):
        job.result(PATIENCE_SECONDS)
    assert "Paris" in ask(provider).text
    assert child_of(smollm2) is not first


@pytest.mark.local_model
def test_a_child_that_dies_again_without_an_answer_is_a_permanent_fault(smollm2):
    options = Local(slots=2, context_tokens=2048)
    provider = make_provider(options)

    def kill_under_two_calls():
        process = child_of(smollm2, options)
        jobs = [submit(provider, "Count to a thousand.", **LONG) for _ in "ab"]
        assert wait_until(lambda: busy_slots(process) == 2)
        os.kill(process.pid, signal.SIGKILL)
        faults = []
        for job in jobs:
            with pytest.raises((TransientProviderError, PermanentProviderError)) as caught:
                job.result(PATIENCE_SECONDS)
            faults.append(type(caught.value))
        return faults

    assert kill_under_two_calls() == [TransientProviderError] * 2
    assert kill_under_two_calls() == [PermanentProviderError] * 2
    assert "Paris" in ask(provider).text
    assert kill_under_two_calls() == [TransientProviderError] * 2


@pytest.mark.local_model
def test_a_broken_model_is_one_clear_line_and_the_next_good_one_works(smollm2, tmp_path):
    whole = smollm2.read_bytes()
    cut, junk = tmp_path / "cut.gguf", tmp_path / "junk.gguf"
    cut.write_bytes(whole[:20_000_000])
    junk.write_bytes(b"GGUF" + b"\x07" * 500)

    for path, reason in ((cut, "data is not within the file bounds"), (junk, "cannot load junk.gguf")):
        with pytest.raises(PermanentProviderError, match=reason) as caught:
            ask(make_provider(), model=path)
        assert "\n" not in str(caught.value)
        assert "give another GGUF file" in str(caught.value)
    assert "Paris" in ask(make_provider()).text


@pytest.mark.local_model
def test_many_who_wait_for_a_broken_model_get_an_error_each(smollm2, tmp_path):
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(smollm2.read_bytes()[:20_000_000])
    provider = make_provider()

    faults = []
    for job in [submit(provider, model=cut) for _ in range(4)]:
        with pytest.raises(PermanentProviderError) as caught:
            job.result(PATIENCE_SECONDS)
        faults.append(caught.value)

    assert len({id(fault) for fault in faults}) == 4


@pytest.mark.local_model
def test_a_model_by_path_is_served_under_the_name_it_was_asked_by(smollm2):
    reply = ask(make_provider(), model=smollm2)

    assert "Paris" in reply.text
    assert reply.model == str(smollm2)


@pytest.mark.local_model
def test_a_model_that_loads_too_slowly_is_given_up(smollm2):
    options = Local(slots=1, context_tokens=640, start_seconds=0.001)

    with pytest.raises(PermanentProviderError, match=r"did not load .* within 0.001 s"):
        ask(make_provider(options))


@pytest.mark.local_model
def test_without_the_extra_the_error_names_it(smollm2, monkeypatch):
    monkeypatch.setattr(llama_child, "LIBRARY", "xllamacpp_that_is_absent")

    with pytest.raises(ConfigError, match=r"pip install 'ainb-notebook\[local\]'"):
        ask(make_provider(Local(slots=3)))


@pytest.mark.local_model
def test_a_server_that_is_closed_is_gone_and_starts_anew_when_asked(smollm2):
    process = child_of(smollm2)

    SERVERS.close()

    assert not is_running(process.pid)
    assert "Paris" in ask(make_provider()).text


PROGRAM = """
import os, sys, threading, time
from pathlib import Path
from ainb.clock import SYSTEM_CLOCK
from ainb.engine import ENGINE
from ainb.messages import Call, Message, Request
from ainb.providers.local.server import SERVERS
from ainb.providers.local.adapter import DEFAULT, USUAL_LIMIT, LocalProvider

def ask():
    provider = LocalProvider(clock=SYSTEM_CLOCK)
    request = Request(provider="local", model=sys.argv[1], parameters={"temperature": 0, "max_tokens": 12},
                      messages=(Message("user", "What is the capital of France? Answer in one word."),))
    return ENGINE.run(provider.send(Call(request=request, provider=provider))).text

def pid():
    return ENGINE.run(SERVERS.server(Path(sys.argv[1]), DEFAULT).ready()).pid
"""


def start_program(smollm2: Path, rest: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", PROGRAM + rest, str(smollm2)],
        stdout=subprocess.PIPE,
        text=True,
    )


def read_line(program: subprocess.Popen[str]) -> str:
    timer = threading.Timer(PATIENCE_SECONDS, program.kill)
    timer.start()
    try:
        return program.stdout.readline().strip()
    finally:
        timer.cancel()


@pytest.mark.local_model
def test_the_child_ends_with_a_parent_that_ends_in_order(smollm2):
    with start_program(smollm2, "ask(); print(pid(), flush=True)") as program:
        child = int(read_line(program))
        assert program.wait(PATIENCE_SECONDS) == 0

    assert wait_until(lambda: not is_running(child))


@pytest.mark.local_model
def test_the_child_ends_when_its_parent_is_killed(smollm2):
    with start_program(smollm2, "ask(); print(pid(), flush=True); time.sleep(60)") as program:
        child = int(read_line(program))
        assert is_running(child)
        program.kill()

    assert wait_until(lambda: not is_running(child))


HELD_OPEN = """
stdin = os.dup(ENGINE.run(SERVERS.server(Path(sys.argv[1]), DEFAULT).ready())._child.stdin.fileno())
if os.fork() == 0:
    time.sleep(20)
    os._exit(0)
print(pid(), os.getpid(), flush=True)
time.sleep(60)
"""


@pytest.mark.local_model
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_the_child_ends_with_its_killed_parent_even_while_a_fork_holds_its_stdin(smollm2):
    with start_program(smollm2, HELD_OPEN) as program:
        child = int(read_line(program).split()[0])
        assert is_running(child)
        program.kill()
        program.stdout.close()  # the fork keeps its other end open for a while
        assert wait_until(lambda: not is_running(child))


FORKED = """
ask()
mine = pid()
reader, writer = os.pipe()
if os.fork() == 0:
    text = ask()
    os.write(writer, f"{pid()} {'Paris' in text}".encode())
    os._exit(0)
other, right = os.read(reader, 100).decode().split()
os.wait()
print(mine, other, right, 'Paris' in ask() and pid() == mine, flush=True)
"""


@pytest.mark.local_model
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_starts_a_server_of_its_own_and_leaves_the_parents_alone(smollm2):
    with start_program(smollm2, FORKED) as program:
        mine, other, right, unharmed = read_line(program).split()
        assert program.wait(PATIENCE_SECONDS) == 0

    assert mine != other
    assert right == unharmed == "True"
    assert wait_until(lambda: not is_running(int(mine)) and not is_running(int(other)))


def test_a_reply_without_end_is_stopped(smollm2):
    provider = make_provider()
    call = make_call(provider, "Say hello.", ignore_eos=True)

    reply = ENGINE.submit(provider.send(call)).result(PATIENCE_SECONDS)

    assert reply.text
    assert reply.finish_reason == "length"
    went_round = any("repeated itself" in note for note in call.notes)
    assert went_round or reply.usage.output_tokens == USUAL_LIMIT
    assert "max_tokens" not in call.request.parameters
    assert "max_tokens" not in provider.body(call.request)


def test_the_limit_of_the_request_comes_first(smollm2):
    reply = ask(make_provider(), "Say hello.", ignore_eos=True, max_tokens=9)
    assert reply.usage.output_tokens == 9


@pytest.mark.parametrize("key", ["größe", "Account Number"])
def test_keys_outside_a_protocols_pattern_come_back(smollm2, key):
    schema = read_schema({"type": "object", "properties": {key: {"enum": ["a", "b"]}}, "required": [key]})
    reply = ask(make_provider(), "Choose a or b.", schema=schema, max_tokens=60)
    assert set(json.loads(reply.text)) == {key}
