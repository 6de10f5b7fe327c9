"""Tests of the cache stage: which answers are stored, hits, and the fields of a cached reply."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
from decimal import Decimal

import pytest

from ainb.errors import CircuitOpenError, ConfigError, TransientProviderError
from ainb.events import Notice
from ainb.messages import Reply, Usage
from ainb.pipeline.answer.schema import read_schema
from ainb.pipeline.cache.entry import decode_entry, encode_entry
from ainb.pipeline.cache.options import Cache
from ainb.stores.memory import MemoryStore
from ainb.testing import FakeClock, run_virtual
from tests.mutation import Mutant, load_mutant
from tests.pipeline.cache.cache_lab import CENT, MODULES, REAL, Lab, make_call, make_reply


def run(work):
    """Run on an event loop in real time, for stages that never wait."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(asyncio.wait_for(work, 20))
    finally:
        loop.close()


# Contracts that a mutant must violate. Each takes the modules to test, so that real modules and mutants get
# the same checks.


def a_hit_is_free_marked_and_says_what_it_saved(modules):
    lab = Lab(modules)
    paid = run(lab.ask())
    hit = run(lab.ask())

    assert len(lab.sent) == 1
    assert (paid.cached, paid.cost_usd, paid.saved_usd) == (False, CENT, None)
    assert (hit.text, hit.model, hit.provider, hit.usage) == (paid.text, "m-2026", "scripted", paid.usage)
    assert (hit.cached, hit.coalesced, hit.stale, hit.replayed) == (True, False, False, False)
    assert (hit.cost_usd, hit.cost_source, hit.saved_usd, hit.attempts) == (Decimal(0), "free", CENT, 0)
    assert (hit.finish_reason, hit.parsed, hit.request_id) == ("stop", {"label": ["x"]}, None)


def a_hit_is_a_copy(modules):
    lab = Lab(modules)
    first = run(lab.ask())
    first.parsed["label"].append("changed")
    first.headers["changed"] = "yes"
    second = run(lab.ask())
    second.parsed["label"].append("changed")
    second.text = "changed"
    third = run(lab.ask())

    assert (third.text, third.parsed, third.headers) == ("answer 1", {"label": ["x"]}, {})


def every_parameter_counts(modules):
    lab = Lab(modules)
    for parameters in ({}, {"temperature": 0}, {"temperature": 0.0}, {"temperature": True}, {"top_p": 0}):
        run(lab.stage(make_call(parameters=parameters), lab.provider))
    run(lab.ask(replica=1))
    run(lab.stage(make_call(schema=read_schema({"type": "object"})), lab.provider))
    run(lab.stage(make_call(model="other"), lab.provider))

    assert len(lab.sent) == 8


def an_answer_counts_up_to_its_age_and_not_beyond(modules):
    lab = Lab(modules, ttl_seconds=60)
    run(lab.ask())
    lab.clock.advance(60)
    assert run(lab.ask()).cached
    lab.clock.advance(0.001)
    assert not run(lab.ask()).cached


def a_call_may_bound_the_age_itself(modules):
    lab = Lab(modules)
    run(lab.ask())
    lab.clock.advance(100)
    assert run(lab.ask()).cached
    assert run(lab.ask(ttl_seconds=100)).cached
    assert not run(lab.ask(ttl_seconds=99)).cached


def errors_and_cut_answers_are_not_kept(modules):
    lab = Lab(modules)

    async def fail(call):
        await lab.provider(call)
        raise TransientProviderError("down")

    async def cut(call):
        reply = await lab.provider(call)
        reply.finish_reason = ["length", "content_filter", "MAX_TOKENS"][len(lab.sent) % 3]
        return reply

    with contextlib.suppress(TransientProviderError):
        run(lab.ask(proceed=fail))
    for _ in range(3):
        assert not run(lab.ask(proceed=cut)).cached
    assert not run(lab.ask()).cached
    assert run(lab.ask()).cached
    assert len(lab.sent) == 5


def refresh_overwrites_and_off_leaves_aside(modules):
    lab = Lab(modules)
    assert run(lab.ask(cache="off")).text == "answer 1"
    assert run(lab.ask()).text == "answer 2"
    assert run(lab.ask(cache="off")).text == "answer 3"
    assert run(lab.ask(cache="refresh")).text == "answer 4"
    assert run(lab.ask()).text == "answer 4"
    assert len(lab.sent) == 4


def an_open_circuit_is_bridged_by_an_old_answer(modules):
    lab = Lab(modules, ttl_seconds=60)

    async def refuse(call):
        raise CircuitOpenError("open", retry_after=9)

    async def fail(call):
        raise TransientProviderError("down")

    run(lab.ask())
    lab.clock.advance(61)
    stale = run(lab.ask(proceed=refuse))
    assert (stale.text, stale.stale, stale.cached, stale.cost_usd, stale.saved_usd) == (
        "answer 1",
        True,
        True,
        0,
        CENT,
    )
    with pytest.raises(TransientProviderError):
        run(lab.ask(proceed=fail))
    with pytest.raises(CircuitOpenError):
        run(lab.ask("another", proceed=refuse))
    with pytest.raises(CircuitOpenError):
        run(lab.ask(proceed=refuse, cache="refresh"))
    assert not run(lab.ask()).stale


def a_wall_clock_that_steps_keeps_nothing_alive_for_ever(modules):
    lab = Lab(modules, ttl_seconds=60)
    lab.clock.step_wall_clock(86_400)
    run(lab.ask())
    lab.clock.step_wall_clock(-86_400)
    assert not run(lab.ask()).cached


CONTRACTS = [
    a_hit_is_free_marked_and_says_what_it_saved,
    a_hit_is_a_copy,
    every_parameter_counts,
    an_answer_counts_up_to_its_age_and_not_beyond,
    a_call_may_bound_the_age_itself,
    errors_and_cut_answers_are_not_kept,
    refresh_overwrites_and_off_leaves_aside,
    an_open_circuit_is_bridged_by_an_old_answer,
    a_wall_clock_that_steps_keeps_nothing_alive_for_ever,
]


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.__name__)
def test_contract(contract):
    contract(REAL)


KEY, ENTRY, LOOKUP, STAGE = MODULES[0], MODULES[1], MODULES[2], MODULES[4]
MUTANTS = [
    Mutant(KEY, "        call.options.replica,\n", "        None,\n", "the key ignores the replica"),
    Mutant(KEY, "None if request.schema is None else dict(request.schema.json_schema)", "None", "the key ignores the schema"),
    Mutant(KEY, "        request.asked(),\n", '        {"m": request.asked()["messages"]},\n', "the key ignores parameters"),
    Mutant(LOOKUP, "self._clock.unix() - created_at) <= limit", "self._clock.unix() - created_at) < limit", "ttl <"),
    Mutant(LOOKUP, "self._clock.unix() - created_at) <= limit", "self._clock.unix() - created_at) <= 2 * "
                                                                "limit", "ttl doubled"),
    Mutant(LOOKUP, "abs(self._clock.unix() - created_at)", "(self._clock.unix() - created_at)", "an entry with a future time never expires"),
    Mutant(LOOKUP, "limit = self._ttl_seconds if ttl_seconds is None else ttl_seconds", "limit = self._ttl_seconds", "a call's ttl is ignored"),
    Mutant(ENTRY, "    reply.saved_usd = reply.cost_usd\n", "", "a hit has no saved cost"),
    Mutant(ENTRY, "    reply.cost_usd = NOTHING\n", "", "a hit is charged"),
    Mutant(ENTRY, "    reply.attempts = 0\n", "", "a hit counts an attempt"),
    Mutant(ENTRY, "    return (reason.lower() if isinstance(reason, str) else reason) in WHOLE", "    return reason != 'length'", "filtered answers are stored"),
    Mutant(STAGE, '        if options.cache == "off":\n            return await proceed(call)\n', "", "off is ignored"),
    Mutant(STAGE, '        if options.cache == "use":\n            entry', "        if True:\n            "
                                                                           "entry", "refresh is ignored"),
    Mutant(STAGE, "            return entry.hit(stale=True)", "            return entry.hit()", "no notice of a stale answer"),
    Mutant(STAGE, "        except CircuitOpenError:\n", "        except Exception:\n", "a stale answer replaces any error"),
    Mutant(STAGE, "            if entry is None:\n                raise\n", "            raise\n", "no stale answers"),
]  # fmt: skip


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.label)
def test_contracts_detect_the_mutant(mutant):
    with load_mutant(
        mutant.module, mutant.old, mutant.new, dependents=MODULES[MODULES.index(mutant.module) + 1 :]
    ) as broken:
        modules = {name: broken.get(name) or importlib.import_module(name) for name in MODULES}

        def survives(contract):
            try:
                contract(modules)
            except (Exception, pytest.fail.Exception):  # noqa: BLE001 - any error kills a mutant
                return False
            return True

        assert not all(survives(contract) for contract in CONTRACTS)


def test_100_identical_calls_at_once_are_paid_once():
    lab = Lab()

    async def main():
        calls = [make_call() for _ in range(100)]
        replies = await asyncio.gather(*(lab.stage(call, lab.provider) for call in calls))
        return calls, replies

    calls, replies = run_virtual(main())

    assert len(lab.sent) == 1
    assert sum(reply.cost_usd for reply in replies) == CENT
    assert [reply.coalesced for reply in replies] == [False] + [True] * 99
    assert all(reply.cached and reply.saved_usd == CENT and reply.attempts == 0 for reply in replies[1:])
    assert [call.attempts for call in calls] == [1] + [0] * 99
    assert len({id(reply.parsed) for reply in replies}) == 100
    status = lab.stage.lookup.status()
    assert (status["misses"], status["coalesced"], status["hits"], status["hit_rate"]) == (1, 99, 0, 0.99)


def test_after_a_cancelled_owner_the_next_waiter_pays():
    async def main():
        lab = Lab(clock=FakeClock(loop=asyncio.get_running_loop()))

        async def slow(call):
            await asyncio.sleep(1)
            return await lab.provider(call)

        calls = [make_call() for _ in range(5)]
        tasks = [asyncio.ensure_future(lab.stage(call, slow)) for call in calls]
        await asyncio.sleep(0.5)
        tasks[0].cancel()
        return lab, calls, await asyncio.gather(*tasks, return_exceptions=True)

    lab, calls, (left, payer, *others) = run_virtual(main())

    assert isinstance(left, asyncio.CancelledError)
    assert len(lab.sent) == 1
    assert (payer.cached, payer.cost_usd, calls[1].attempts) == (False, CENT, 1)
    assert [(reply.text, reply.cached, reply.cost_usd) for reply in others] == [("answer 1", True, 0)] * 3


def test_every_waiter_keeps_its_own_deadline():
    async def main():
        lab = Lab(clock=FakeClock(loop=asyncio.get_running_loop()))

        async def slow(call):
            await asyncio.sleep(10)
            return await lab.provider(call)

        async def patient(seconds):
            async with asyncio.timeout(seconds):
                return await lab.ask(proceed=slow, deadline=seconds)

        return await asyncio.gather(patient(1), patient(20), patient(3), return_exceptions=True)

    first, second, third = run_virtual(main())

    assert (type(first), second.text, type(third)) == (TimeoutError, "answer 1", TimeoutError)


def test_fields_that_the_work_records_reach_the_call_of_the_owner():
    lab = Lab()
    fault = TransientProviderError("first attempt")

    async def proceed(call):
        call.attempts, call.queue_wait_s, call.first_text_at, call.shown = 2, 0.5, 3.0, True
        call.errors.append(fault)
        call.notes.append("max_tokens was set to 4096")
        return make_reply()

    async def main():
        calls = [make_call(), make_call()]
        calls[0].notes.append("redacted 1 secret")
        await asyncio.gather(*(lab.stage(call, proceed) for call in calls))
        return calls

    leader, follower = run_virtual(main())

    assert (leader.attempts, leader.queue_wait_s, leader.first_text_at, leader.shown) == (2, 0.5, 3.0, True)
    assert leader.errors == [fault]
    assert leader.notes == ["redacted 1 secret", "max_tokens was set to 4096"]
    assert (follower.attempts, follower.errors) == (0, [])
    assert follower.notes == ["max_tokens was set to 4096"]


def test_a_failed_call_has_the_attempts_and_errors_of_its_work():
    lab = Lab()

    async def proceed(call):
        call.attempts = 4
        call.errors.append(TransientProviderError("one"))
        raise TransientProviderError("last")

    call = make_call()
    with pytest.raises(TransientProviderError, match="last"):
        run(lab.stage(call, proceed))

    assert (call.attempts, len(call.errors)) == (4, 1)


@pytest.mark.parametrize(
    "finish_reason", [None, "stop", "STOP", "end_turn", "stop_sequence", "eos", "tool_calls", "function_call"]
)
def test_whole_answers_are_kept(finish_reason):
    lab = Lab()

    async def proceed(call):
        reply = await lab.provider(call)
        reply.finish_reason = finish_reason
        return reply

    run(lab.ask(proceed=proceed))

    assert run(lab.ask(proceed=proceed)).finish_reason == finish_reason


def test_a_parameter_without_a_canonical_form_is_refused_before_anything_is_sent():
    lab = Lab()

    with pytest.raises(ConfigError, match=r"parameter stop is a set.*--no-cache"):
        run(lab.stage(make_call(parameters={"stop": {"a"}}), lab.provider))
    assert not lab.sent

    run(lab.stage(make_call(parameters={"stop": {"a"}}, cache="off"), lab.provider))
    assert len(lab.sent) == 1


@pytest.mark.parametrize(
    "options", [{"cache": "of"}, {"ttl_seconds": 0}, {"ttl_seconds": float("nan")}, {"ttl_seconds": True}]
)
def test_an_option_of_a_call_that_makes_no_sense_is_refused(options):
    lab = Lab()

    with pytest.raises(ConfigError, match="must be"):
        run(lab.ask(**options))
    assert not lab.sent


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ttl_seconds": -1}, "ttl_seconds must be a number of seconds above 0"),
        ({"ttl_seconds": "60"}, "ttl_seconds"),
        ({"where": "redis"}, "where must be one of disk, memory; it is 'redis'"),
        ({"memory_bytes": 0}, "memory_bytes must be a whole number above 0"),
        ({"memory_bytes": True}, "memory_bytes"),
    ],
)
def test_options_are_checked(changes, message):
    with pytest.raises(ConfigError, match=message):
        Cache(**changes)


def entry_text(**changes):
    entry = json.loads(encode_entry(make_reply(), 1000.0))
    entry.update(changes)
    return json.dumps({name: value for name, value in entry.items() if value is not ...})


def test_a_reply_with_half_a_surrogate_pair_is_kept_with_a_question_mark_in_its_place():
    half = "a\ud83db"
    reply = make_reply(half, model=half, parsed={half: [half, 1]})
    entry = decode_entry(encode_entry(reply, 1234.5))

    assert (entry.reply.text, entry.reply.model, entry.reply.parsed) == ("a?b", "a?b", {"a?b": ["a?b", 1]})


def test_an_entry_comes_back_as_it_went():
    reply = make_reply("é𝄞\n\x00 </script>", cost_usd=Decimal("0.000012300"), finish_reason=None)
    entry = decode_entry(encode_entry(reply, 1234.5))

    assert entry.created_at == 1234.5
    assert (entry.reply.text, entry.reply.usage, str(entry.reply.cost_usd)) == (
        reply.text,
        reply.usage,
        "0.000012300",
    )
    assert decode_entry(encode_entry(Reply(text=""), 0)).reply.usage == Usage()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        "{",
        '"text"',
        "[" * 100_000,
        entry_text(extra=1),
        entry_text(text=...),
        entry_text(text=None),
        entry_text(text=5),
        entry_text(text=["x"]),
        entry_text(version=1),
        entry_text(version=3),
        entry_text(reasoning=3),
        entry_text(version=True),
        entry_text(version=1.0),
        entry_text(model=None),
        entry_text(provider={}),
        entry_text(finish_reason=1),
        entry_text(tokens=[1, 2, 3, 4, 5]),
        entry_text(tokens=[1, 2, 3, 4, 5, -5]),
        entry_text(tokens=[1, 2, 3, 4, 5, True]),
        entry_text(tokens=[1, 2, 3, 4, 5, 1.5]),
        entry_text(tokens=[1, 2, 3, 4, 5, 10**30]),
        entry_text(tokens={}),
        entry_text(tokens_source="me"),
        entry_text(tokens_source=None),
        entry_text(tokens_source=["provider"]),
        entry_text(cost_usd=1),
        entry_text(cost_usd="-1"),
        entry_text(cost_usd="NaN"),
        entry_text(cost_usd="Infinity"),
        entry_text(cost_usd="a lot"),
        entry_text(cost_usd="1" * 50),
        entry_text(cost_source="gift"),
        entry_text(created_at="now"),
        entry_text(created_at=None),
        entry_text(created_at=-1),
        entry_text(created_at=True),
    ],
)
def test_a_damaged_entry_is_a_miss_and_one_notice(text):
    lab = Lab()
    run(lab.ask())
    (name,) = lab.store._items
    lab.store.write(name, text, 0)

    assert not run(lab.ask()).cached
    lab.store.write(name, text, 0)
    assert not run(lab.ask()).cached
    assert [(type(notice), notice.kind) for notice in lab.notices] == [(Notice, "cache")]
    assert run(lab.ask()).cached


class BrokenStore(MemoryStore):
    async def get(self, namespace, key):
        raise OSError("gone")

    async def set(self, namespace, key, text, *, created_at):
        raise OSError("gone")


def test_a_store_that_raises_fails_no_call_and_says_so_once():
    lab = Lab(store=BrokenStore())

    assert [run(lab.ask()).text for _ in range(3)] == ["answer 1", "answer 2", "answer 3"]
    assert len(lab.notices) == 1


@pytest.mark.parametrize("number", [2**64, 2**70, -(2**63) - 1])
def test_an_answer_with_a_large_integer_is_stored_without_its_parsed_value(number):
    lab = Lab()

    async def proceed(call):
        lab.sent.append(call)
        return make_reply(parsed={"number": number})

    paid, hit = run(lab.ask(proceed=proceed)), run(lab.ask(proceed=proceed))

    assert paid.parsed == {"number": number}
    assert (hit.cached, hit.text, hit.parsed) == (True, paid.text, None)
    assert len(lab.sent) == 1
    assert lab.notices == []


def test_status_counts_and_clear_and_prune_forget():
    lab = Lab(ttl_seconds=60)
    assert lab.stage.lookup.status()["hit_rate"] is None
    for prompt in ("a", "a", "a", "b"):
        run(lab.ask(prompt))
    status = lab.stage.lookup.status()

    assert (status["store"], status["hits"], status["misses"], status["hit_rate"]) == ("memory", 2, 2, 0.5)
    assert status["entries"] == 2
    assert status["size_bytes"] > 100

    lab.clock.advance(30)
    run(lab.ask("c"))
    lab.clock.advance(31)
    assert run(lab.stage.lookup.prune(None)) == 2
    assert run(lab.stage.lookup.prune(older_than_seconds=31)) == 0
    assert run(lab.stage.lookup.prune(older_than_seconds=30.5)) == 1
    run(lab.ask("d"))
    assert run(lab.stage.lookup.clear()) == 1
    assert lab.stage.lookup.status()["entries"] == 0
    assert run(Lab().stage.lookup.prune(None)) == 0


def test_a_parsed_value_that_json_cannot_hold_is_left_out_of_the_store():
    lab = Lab()

    async def proceed(call):
        return make_reply(parsed=object())

    run(lab.ask(proceed=proceed))

    assert run(lab.ask(proceed=proceed)).parsed is None
    assert not lab.notices


def test_entries_of_several_formats_lie_side_by_side(monkeypatch):
    """As if two versions of ainb shared a store: each finds its own entry, and neither entry is replaced."""
    lab = Lab()
    paid = []
    for version in (2, 3, 2, 4, 3, 2, 4):
        monkeypatch.setattr("ainb.pipeline.cache.entry.ENTRY_VERSION", version)
        reply = run_virtual(lab.ask())
        paid.append(not reply.cached)

    assert paid == [True, True, False, True, False, False, False]
    assert lab.notices == []
