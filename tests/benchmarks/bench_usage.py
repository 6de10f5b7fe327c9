"""Cost of a usage row per call, and speed of the redaction of secrets."""

from __future__ import annotations

import random
import tempfile
import time
from decimal import Decimal
from pathlib import Path

from ainb.call_ids import CallIds
from ainb.clock import SYSTEM_CLOCK
from ainb.events import CallFinished, silent
from ainb.messages import Call, Message, Reply, Request, Usage
from ainb.pipeline.record import RecordStage
from ainb.providers.scripted import ScriptedProvider
from ainb.redaction.filter import PATTERNS, redact
from ainb.usage.frames import calls as frames
from ainb.usage.log.log import UsageLog
from ainb.usage.rows import build_row

Line = tuple[str, str, str, str]


def a_call() -> CallFinished:
    request = Request(
        provider="openai",
        model="gpt-5-mini",
        messages=(Message("user", "Classify this review: " + "good " * 40),),
    )
    call = Call(request=request, provider=ScriptedProvider(clock=SYSTEM_CLOCK), call_id="0" * 26, attempts=1)
    usage = Usage(input_tokens=60, output_tokens=5, source="provider")
    reply = Reply(
        text="good",
        model="gpt-5-mini-2026",
        usage=usage,
        cost_usd=Decimal("0.000025"),
        cost_source="table",
        request_id="req-1",
        finish_reason="stop",
    )
    return CallFinished(call, reply, None, 0.8, SYSTEM_CLOCK.unix())


def best_us(work, number: int, repeat: int = 5) -> float:
    """Microseconds per execution in the best of `repeat` runs of `number` executions."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        for _ in range(number):
            work()
        times.append((time.perf_counter() - start) / number * 1e6)
    return min(times)


def drive(coroutine) -> None:
    try:
        coroutine.send(None)
    except StopIteration:
        return


def hot_path() -> list[Line]:
    event = a_call()
    call, reply = event.call, event.reply

    async def answer(_call):
        return reply

    stage = RecordStage(silent, SYSTEM_CLOCK, random.SystemRandom())
    bare = best_us(lambda: drive(answer(call)), 20_000)

    def recorded():
        call.call_id = ""
        drive(stage(call, answer))

    with tempfile.TemporaryDirectory() as folder:
        log = UsageLog(Path(folder) / "usage.sqlite3")
        append = best_us(lambda: log.listener(event), 20_000, 1)
        log.flush()
        start = time.process_time()
        for _ in range(20_000):
            log.listener(event)
        log.flush()
        whole = (time.process_time() - start) / 20_000 * 1e6
        log.close()
    return [
        (
            "record stage with its id, a call",
            f"{best_us(recorded, 20_000) - bare:.1f} us",
            f"bare coroutine {bare:.1f} us",
            "<= 5 us",
        ),
        (
            "usage row, on the call's path",
            f"{append:.1f} us",
            f"row itself {best_us(lambda: build_row(event, session_id='s'), 5_000):.1f} us, on the writer",
            "<= 15 us",
        ),
        ("usage row, all processor time of both threads", f"{whole:.1f} us", "plain SQLite set 39 us", "-"),
        ("id of a call", f"{best_us(CallIds(SYSTEM_CLOCK, random.SystemRandom()), 20_000):.2f} us", "-", "-"),
    ]


def filters() -> list[Line]:
    prose = ("The parcel came late, but the people at the shop were kind and the shoes fit well. " * 30)[
        :2000
    ]
    code = Path(frames.__file__).read_text(encoding="utf-8")[2000:4000]
    worst, name = 0.0, ""
    for literal, pattern in PATTERNS:
        for unit in (
            "key=",
            "KEY=a",
            'apikey="a1',
            "tokens ",
            "sk" + "-",
            "://a:",
            "secret: ",
            "-----BEGIN PRIVATE " + "KEY-----a-",
        ):
            start = time.perf_counter()
            for _ in pattern.finditer(unit * (1_000_000 // len(unit))):
                pass
            worst, name = max((worst, name), (time.perf_counter() - start, literal))
    return [
        (
            "redact 2 kB of clean prose; of code",
            f"{best_us(lambda: redact(prose), 2000):.1f} us; {best_us(lambda: redact(code), 2000):.1f} us",
            "-",
            "<= 20 us; -",
        ),
        ("worst pattern on 1 MB of hostile text", f"{worst * 1e3:.0f} ms ({name})", "-", "<= 50 ms"),
    ]


def rows() -> list[Line]:
    """Table rows: name, measured figure, peer or limit in the same run, goal."""
    return [*hot_path(), *filters()]


if __name__ == "__main__":
    for line in rows():
        print(" | ".join(line))
