"""Helpers of the cache tests: calls, a counting provider, and random schedules on virtual time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from decimal import Decimal
from types import SimpleNamespace

from hypothesis import strategies as st

from ainb.errors import CircuitOpenError, TransientProviderError
from ainb.messages import Call, CallOptions, Message, Reply, Request, Usage
from ainb.pipeline.cache import entry as cache_entry
from ainb.pipeline.cache import single_flight
from ainb.pipeline.cache import stage as cache
from ainb.providers.scripted import ScriptedProvider
from ainb.stores.memory import MemoryStore
from ainb.testing import FakeClock, run_virtual

# In the order of their imports, so that a mutant can be loaded with its dependents.
MODULES = (
    "ainb.pipeline.cache.key",
    "ainb.pipeline.cache.entry",
    "ainb.pipeline.cache.lookup",
    "ainb.pipeline.cache.single_flight",
    "ainb.pipeline.cache.stage",
)
REAL = {
    "ainb.pipeline.cache.stage": cache,
    "ainb.pipeline.cache.entry": cache_entry,
    "ainb.pipeline.cache.single_flight": single_flight,
}
CENT = Decimal("0.01")


def make_call(prompt="hello", *, model="m", parameters=None, schema=None, deadline=None, **options):
    request = Request(
        provider="scripted",
        model=model,
        messages=(Message("user", prompt),),
        parameters=parameters or {},
        schema=schema,
    )
    provider = ScriptedProvider(clock=FakeClock())
    return Call(request=request, provider=provider, options=CallOptions(**options), deadline=deadline)


def make_reply(text="answer", **changes):
    usage = Usage(input_tokens=3, output_tokens=5, reasoning_output_tokens=1, source="provider")
    given = {
        "model": "m-2026",
        "provider": "scripted",
        "usage": usage,
        "finish_reason": "stop",
        "request_id": "r1",
    }
    return Reply(
        text=text,
        **{**given, "cost_usd": CENT, "cost_source": "table", "parsed": {"label": ["x"]}, **changes},
    )


@dataclass
class Lab:
    """One cache stage with a memory store, a clock and a list of notices."""

    modules: dict = field(default_factory=lambda: REAL)
    ttl_seconds: float | None = None
    store: object = field(default_factory=MemoryStore)
    clock: FakeClock = field(default_factory=FakeClock)
    notices: list = field(default_factory=list)
    sent: list = field(default_factory=list)

    def __post_init__(self):
        stage = self.modules["ainb.pipeline.cache.stage"]
        options = stage.Cache(ttl_seconds=self.ttl_seconds)
        self.stage = stage.CacheStage(options, self.store, self.clock, self.notices.append)

    async def provider(self, call):
        """Answer with the number of the call, after one tick of the event loop."""
        self.sent.append(call)
        call.attempts += 1
        await asyncio.sleep(0)
        return make_reply(f"answer {len(self.sent)}")

    async def ask(self, prompt="hello", proceed=None, **options):
        return await self.stage(make_call(prompt, **options), proceed or self.provider)

    @property
    def calls(self):
        return self.stage._calls


ARRIVALS = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 0.1, 0.5, 1.2]),  # gap before the call
        st.sampled_from("ab"),  # prompt
        st.sampled_from(["use", "use", "use", "refresh", "off"]),
        st.sampled_from([None, None, None, 0, 0.1, 0.7, 1.0]),  # seconds from arrival to cancellation
        st.sampled_from([None, 5.0, 50.0]),  # its deadline
    ),
    min_size=1,
    max_size=14,
)
OUTCOMES = st.lists(st.sampled_from(["whole", "whole", "cut", "error", "open"]), min_size=1, max_size=4)


class Schedule:
    """Random arrivals, cancellations and outcomes; checks every invariant of single-flight."""

    def __init__(self, modules, arrivals, outcomes):
        self.modules = modules
        self.arrivals = arrivals
        self.outcomes = outcomes
        self.running: dict = {}
        self.works: list = []
        self.callers: list = []

    def run(self):
        run_virtual(self.play())

    async def play(self):
        loop = asyncio.get_running_loop()
        self.lab = Lab(self.modules, clock=FakeClock(loop=loop))
        for gap, prompt, mode, cancel_after, deadline in self.arrivals:
            if gap:
                await asyncio.sleep(gap)
            caller = SimpleNamespace(
                prompt=prompt, mode=mode, deadline=deadline, cancelled=False, inside=False, gone=False
            )
            caller.task = loop.create_task(self.call(caller))
            self.callers.append(caller)
            if cancel_after is not None:
                loop.call_later(cancel_after, self.cancel, caller)
        tasks = [caller.task for caller in self.callers]
        await asyncio.wait(tasks, timeout=100)
        for task in tasks:
            if task.done() and not task.cancelled():
                task.exception()  # retrieve all, so that asyncio reports none after a failed check
        self.check_ends()

    def cancel(self, caller):
        if not caller.task.done():
            caller.cancelled = True
            caller.task.cancel()

    async def call(self, caller):
        def hear(text):
            assert not caller.gone, "a cancelled caller still gets the stream"

        call = make_call(caller.prompt, cache=caller.mode, deadline=caller.deadline, on_text=hear)
        caller.call, caller.inside = call, True
        try:
            return await self.lab.stage(call, self.provider)
        finally:
            caller.gone, caller.ended = True, asyncio.get_running_loop().time()
            place = (caller.prompt, caller.mode)
            if caller.mode != "off" and caller.cancelled and not self.waiting(place):
                assert not self.running.get(place), "work without waiters keeps running"

    def waiting(self, place):
        return [
            one for one in self.callers if one.inside and not one.gone and (one.prompt, one.mode) == place
        ]

    async def provider(self, call):
        prompt, mode = call.request.messages[0].content, call.options.cache
        place = (prompt, mode)
        if mode != "off":
            assert not self.running.get(place), "two calls run for one key"
        work = SimpleNamespace(
            prompt=prompt, text=f"{prompt} {len(self.works)}", whole=False, done=False, call=call
        )
        outcome = self.outcomes[len(self.works) % len(self.outcomes)]
        self.works.append(work)
        self.running[place] = self.running.get(place, 0) + 1
        call.attempts += 1
        try:
            for _ in range(4):
                await asyncio.sleep(0.25)
                call.emit(".", asyncio.get_running_loop().time())
                self.check_deadline(call, place)
            if outcome == "error":
                call.errors.append(TransientProviderError("down"))
                raise TransientProviderError(work.text)
            if outcome == "open":
                raise CircuitOpenError(work.text, retry_after=3)
            work.done, work.whole = True, outcome == "whole"
            return make_reply(work.text, finish_reason="stop" if work.whole else "length")
        finally:
            self.running[place] -= 1
            work.ended = asyncio.get_running_loop().time()

    def check_deadline(self, call, place):
        if place[1] == "off":
            return
        waiting = [one.deadline for one in self.waiting(place)]
        longest = None if None in waiting else max(waiting, default=0)
        if longest is None:
            assert call.deadline is None, "the deadline of the work is before that of a waiter"
        else:
            assert call.deadline is None or call.deadline >= longest, (
                "the deadline of the work is before that of a waiter"
            )

    def check_ends(self):
        whole = {(work.prompt, work.text) for work in self.works if work.whole}
        paid: list = []
        for caller in self.callers:
            assert caller.task.done(), "a call never ended"
            if caller.task.cancelled():
                assert caller.cancelled, "a call was cancelled that no one had cancelled"
                continue
            error = caller.task.exception()
            if error is not None:
                assert isinstance(error, TransientProviderError | CircuitOpenError), error
                continue
            self.check_reply(caller, caller.task.result(), whole, paid)
        assert len(paid) == len(set(paid)), "an answer was charged twice"
        shared = {caller.task.result().text for caller in self.callers if self.was_shared(caller)}
        assert shared <= set(paid) | self.lost(), "an answer was shared and not charged"
        assert not len(self.lab.calls), "a shared call was not removed"
        assert not any(self.running.values()), "work runs without waiters"
        assert asyncio.all_tasks() == {asyncio.current_task()}, "a task was left running"

    @staticmethod
    def was_shared(caller):
        task = caller.task
        return not task.cancelled() and task.exception() is None and task.result().coalesced

    def lost(self):
        """Answers whose payer was cancelled in the tick in which they arrived."""
        payers = [caller for caller in self.callers if caller.task.cancelled() and caller.call.attempts]
        return {
            work.text
            for work in self.works
            for payer in payers
            if work.prompt == payer.prompt and work.ended == payer.ended
        }

    def check_reply(self, caller, reply, whole, paid):
        assert reply.text.startswith(caller.prompt), "an answer to another prompt"
        if reply.cached:
            assert (reply.cost_usd, reply.saved_usd, reply.attempts) == (0, CENT, 0)
            assert caller.mode != "off"
            assert caller.call.attempts == 0, "an attempt was counted twice"
            assert reply.coalesced or (caller.prompt, reply.text) in whole, "a truncated answer was stored"
        else:
            assert (reply.cost_usd, caller.call.attempts) == (CENT, 1)
            paid.append(reply.text)
