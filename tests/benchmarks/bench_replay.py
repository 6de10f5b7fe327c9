"""Cost of loading a cassette, replaying a call and recording one, compared with a plain read of the JSON."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from pathlib import Path

import orjson

from ainb.clock import SYSTEM_CLOCK
from ainb.errors import ReplayMissError
from ainb.events import silent
from ainb.messages import Call, Message, Reply, Request, Usage
from ainb.pipeline.replay.cassettes import Library
from ainb.pipeline.replay.stage import Mode, ReplayStage
from ainb.providers.function import FunctionProvider
from ainb.stores.cassette.file import Cassette, read_cassette

RECORDS = 10_000
CALLS = 2_000
RECORDED = 200
MISSES = 50
ROUNDS = 3
PROVIDER = FunctionProvider(lambda prompt: prompt, name="bench.answer")


def make_call(number: int) -> Call:
    request = Request(
        provider="function",
        model="bench",
        messages=(Message("user", f"{number}: " + "classify this review as good or bad " * 15),),
        parameters={"temperature": 0.2, "max_tokens": 200},
    )
    return Call(request=request, provider=PROVIDER)


async def answer(call: Call) -> Reply:
    call.attempts += 1
    usage = Usage(input_tokens=90, output_tokens=60, source="provider")
    return Reply(text="positive " * 40, model="bench", provider="function", usage=usage, finish_reason="stop")


def make_stage(mode: Mode, folder: Path) -> ReplayStage:
    return ReplayStage(
        mode, Library(lambda: folder / "nb.ipynb", may_use=lambda _path: True), SYSTEM_CLOCK, silent
    )


async def seconds(stage: ReplayStage, calls: int, start: int = 0, *, anew: bool = False) -> float:
    # Recording waits for the disk, so it is measured in wall time; the rest in CPU time.
    clock = time.perf_counter if anew else time.process_time
    best = float("inf")
    for round_number in range(ROUNDS):
        first = start + (calls * round_number if anew else 0)
        prepared = [make_call(first + number) for number in range(calls)]
        began = clock()
        for call in prepared:
            with contextlib.suppress(ReplayMissError):  # the miss is what is measured
                await stage(call, answer)
        best = min(best, (clock() - began) / calls)
    return best


async def fill(folder: Path) -> None:
    stage = make_stage("record", folder)
    await asyncio.gather(*(stage(make_call(number), answer) for number in range(RECORDS)))


def best_of(work: object) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()  # CPU time, because other load affects it less
        work()  # type: ignore[operator]
        best = min(best, time.process_time() - began)
    return best


async def measure(folder: Path) -> dict[str, float]:
    began = time.perf_counter()
    await fill(folder)
    figures = {"fill": time.perf_counter() - began}
    path = folder / "nb.ainb.jsonl"
    figures["load"] = best_of(lambda: read_cassette(path))
    figures["plain"] = best_of(lambda: [orjson.loads(line) for line in path.read_bytes().splitlines()])
    figures["bytes"] = path.stat().st_size
    stage = make_stage("replay", folder)
    figures["hit"] = await seconds(stage, CALLS)
    figures["miss"] = await seconds(stage, MISSES, start=RECORDS)
    small = folder / "small"
    small.mkdir()
    figures["record"] = await seconds(make_stage("record", small), RECORDED, anew=True)
    assert len(Cassette(path).lines()) == RECORDS
    return figures


def rows() -> list[tuple[str, str, str, str]]:
    """Table rows: name, measured figure, peer or limit in the same run, goal."""
    with tempfile.TemporaryDirectory() as folder:
        seen = asyncio.new_event_loop().run_until_complete(measure(Path(folder)))
    size = f"{seen['bytes'] / 1e6:.1f} MB"
    return [
        (
            "cassette of 10,000 records, loaded and checked",
            f"{seen['load']:.3f} s",
            f"orjson alone {seen['plain']:.3f} s ({size})",
            "<= 0.3 s",
        ),
        ("replay, added to a call", f"{seen['hit'] * 1e3:.3f} ms", "-", "<= 0.3 ms"),
        ("replay miss of 10,000 records, explained", f"{seen['miss'] * 1e3:.1f} ms", "-", "-"),
        ("a recorded call, written before it is answered", f"{seen['record'] * 1e3:.1f} ms", "-", "-"),
        ("10,000 calls at once, recorded", f"{seen['fill']:.1f} s", "-", "-"),
    ]


if __name__ == "__main__":
    for row in rows():
        print(" | ".join(row))
