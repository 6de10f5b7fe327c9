"""Tests of the record stage: one event per call, call ids, faults of the event sink."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from ainb.errors import BudgetExceededError
from ainb.events import CallFinished
from ainb.messages import Call, Message, Reply, Request
from ainb.pipeline.record import RecordStage
from ainb.providers.scripted import ScriptedProvider
from ainb.testing import FakeClock, run_virtual


def make_call(clock):
    request = Request(provider="scripted", model="echo", messages=(Message("user", "hi"),))
    return Call(request=request, provider=ScriptedProvider(clock=clock))


def run_stage(proceed, *, clock=None, sink=None):
    clock = clock or FakeClock()
    events = []
    stage = RecordStage(sink or events.append, clock, Random(1))
    call = make_call(clock)

    async def handle():
        return await stage(call, proceed)

    try:
        return events, call, run_virtual(handle())
    except BaseException as error:  # noqa: BLE001 - the test checks the error
        return events, call, error


def test_an_answered_call_is_recorded_with_duration_and_attempts():
    clock = FakeClock()

    async def proceed(call):
        call.attempts = 2
        clock.advance(1.5)
        return Reply(text="yes")

    events, call, reply = run_stage(proceed, clock=clock)

    assert [type(event) for event in events] == [CallFinished]
    assert (reply.duration_s, reply.attempts) == (1.5, 2)
    assert events[0].call is call
    assert events[0].reply is reply
    assert (events[0].error, events[0].duration_s, events[0].ended_at) == (None, 1.5, clock.unix())


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("no"),
        BudgetExceededError("no"),
        asyncio.CancelledError(),
        KeyboardInterrupt(),
        SystemExit(),
    ],
)
def test_every_error_of_a_call_is_recorded_once_and_raised(error):
    stage_events = []
    stage = RecordStage(stage_events.append, FakeClock(), Random(1))

    async def proceed(_call):
        raise error

    coroutine = stage(make_call(FakeClock()), proceed)
    with pytest.raises(type(error)) as caught:
        coroutine.send(None)

    assert caught.value is error
    assert [event.error for event in stage_events] == [error]
    assert stage_events[0].reply is None


def test_a_call_whose_coroutine_is_closed_is_recorded():
    events = []
    stage = RecordStage(events.append, FakeClock(), Random(1))

    class Never:
        def __await__(self):
            yield

    async def proceed(_call):
        await Never()

    coroutine = stage(make_call(FakeClock()), proceed)
    coroutine.send(None)
    coroutine.close()

    assert [type(event.error) for event in events] == [GeneratorExit]


def test_a_hit_keeps_no_attempts_and_a_sink_that_raises_loses_no_answer():
    async def proceed(_call):
        return Reply(text="from the cache", cached=True)

    def broken(_event):
        raise RuntimeError("a listener of ours broke")

    _, _, reply = run_stage(proceed, sink=broken)

    assert (reply.text, reply.attempts) == ("from the cache", 0)


def test_every_call_gets_an_id_unless_it_has_one():
    async def proceed(_call):
        return Reply(text="yes")

    _, call, _ = run_stage(proceed)
    assert len(call.call_id) == 26

    stage = RecordStage(lambda _event: None, FakeClock(), Random(1))
    given = make_call(FakeClock())
    given.call_id = "mine"
    run_virtual(stage(given, proceed))
    assert given.call_id == "mine"
