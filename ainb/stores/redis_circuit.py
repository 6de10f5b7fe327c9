"""One circuit for many processes: outcomes are counted in Redis, and what it makes of them is seen by all.

Each process keeps a picture of every circuit it uses, drawn anew by each report and each heartbeat, so that a call under a
closed circuit asks nobody. Only a probe asks: the server hands out its permits.
"""

from __future__ import annotations

import hashlib
from random import Random
from typing import Any

from ainb.clock import Clock
from ainb.errors import CircuitOpenError
from ainb.messages import Call, Handler, Reply
from ainb.pipeline.circuit_breaker import Breakers, CircuitBreaker, CircuitStatus
from ainb.pipeline.circuit_core import BUCKETS, OPEN_JITTER, PROBE_CHECK_SECONDS, Circuit, State, verdict
from ainb.stores.redis_hub import Hub
from ainb.stores.redis_link import LinkError
from ainb.stores.redis_script import script

TELL_SECONDS = 0.05
KEEP_MS = 2 * 3600 * 1000
STATES: dict[str, State] = {
    "closed": "closed",
    "open": "open",
    "half-open": "half-open",
    "forced-open": "forced-open",
    "disabled": "disabled",
}

# Keys: 1 the circuit (hash), 2 its probes (prefix; the keys 2:1 … 2:n are set and expire by themselves).
# Arguments: 1 window, 2 minimum calls, 3 failure rate, 4 first open time, 5 longest, 6 probes, 7 jitter from 0 to 1, all in seconds
# where they are times; the rest by script. Every script returns "GRANTED STATE GENERATION SECONDS_LEFT CALLS FAILURES".
_HEAD = f"""
local clock = redis.call('TIME'); local now = clock[1] + clock[2] / 1e6
local row = redis.call('HMGET', KEYS[1], 'state', 'generation', 'until', 'next', 'successes', 'probing')
local state, generation = row[1] or 'closed', tonumber(row[2]) or 0
local open_until, next_open = tonumber(row[3]) or 0, tonumber(row[4]) or tonumber(ARGV[4])
local successes, probing = tonumber(row[5]) or 0, tonumber(row[6]) or 0
local index = math.floor(now / (tonumber(ARGV[1]) / {BUCKETS}))
local function enter(name) state = name; generation = generation + 1 end
local function forget()
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    if string.match(field, '^[cf]%d+$') then redis.call('HDEL', KEYS[1], field) end
  end
end
local function count()
  local calls, failures, all = 0, 0, redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do
    local kind, place = string.match(all[i], '^([cf])(%d+)$')
    if kind and tonumber(place) <= index - {BUCKETS} then redis.call('HDEL', KEYS[1], all[i])
    elseif kind == 'c' then calls = calls + tonumber(all[i + 1])
    elseif kind == 'f' then failures = failures + tonumber(all[i + 1]) end
  end
  return calls, failures
end
local function open()
  enter('open')
  open_until = now + next_open * (1 - {OPEN_JITTER} * tonumber(ARGV[7]))
  next_open = math.min(tonumber(ARGV[5]), 2 * next_open)
end
local function close()
  enter('closed'); forget(); next_open = tonumber(ARGV[4])
end
local function probes_out()
  local out = 0
  for i = 1, tonumber(ARGV[6]) do out = out + redis.call('EXISTS', KEYS[2] .. ':' .. i) end
  return out
end
local function save()
  redis.call('HSET', KEYS[1], 'state', state, 'generation', generation, 'until', string.format('%.17g', open_until),
    'next', next_open, 'successes', successes, 'probing', probing)
  redis.call('PEXPIRE', KEYS[1], {KEEP_MS})
end
local function answer(granted)
  local calls, failures = count()
  return table.concat({{granted, state, generation, string.format('%.6f', math.max(0, open_until - now)), calls, failures}}, ' ')
end
"""

LOOK = script(_HEAD + "return answer(0)")

# 8 this process. Grants the generation to report with, or 0 where the call is refused; a probe's slot is named by its number.
BEGIN = script(
    _HEAD
    + """
if state == 'forced-open' then return answer(0) end
if state == 'closed' or state == 'disabled' then return answer(1) end
if state == 'open' then
  if now < open_until then return answer(0) end
  enter('half-open'); probing = generation; successes = 0
  for i = 1, tonumber(ARGV[6]) do redis.call('DEL', KEYS[2] .. ':' .. i) end
end
if successes + probes_out() >= tonumber(ARGV[6]) then return answer(0) end
for i = 1, tonumber(ARGV[6]) do
  if redis.call('SET', KEYS[2] .. ':' .. i, ARGV[8], 'NX', 'PX', math.ceil(tonumber(ARGV[4]) * 1000)) then
    open_until = now + tonumber(ARGV[4])
    save()
    return answer(i + 1)
  end
end
return answer(0)
"""
)

# 8 generation of the permit, 9 outcome (1 failed, 0 answered, -1 neither), 10 slot of a probe (0: no probe), 11 answers of that
# generation that were not told yet.
END = script(
    _HEAD
    + """
local given, failed, slot = tonumber(ARGV[8]), ARGV[9], tonumber(ARGV[10])
if state == 'half-open' and given >= probing then
  if slot > 0 then redis.call('DEL', KEYS[2] .. ':' .. slot) end
  if failed == '1' then open(); save()
  elseif failed == '0' then
    successes = successes + 1
    if successes >= tonumber(ARGV[6]) then close() end
    save()
  end
elseif state == 'closed' and given == generation then
  redis.call('HINCRBY', KEYS[1], 'c' .. index, tonumber(ARGV[11]) + (failed == '1' and 1 or 0))
  if failed == '1' then redis.call('HINCRBY', KEYS[1], 'f' .. index, 1) end
  redis.call('PEXPIRE', KEYS[1], """
    + str(KEEP_MS)
    + """)
  if failed == '1' then
    local calls, failures = count()
    if calls >= tonumber(ARGV[2]) and failures >= tonumber(ARGV[3]) * calls then open(); save() end
  end
end
return answer(0)
"""
)

# 8 "forced-open", "disabled" or "closed".
FORCE = script(_HEAD + "if ARGV[8] == 'closed' then close() else enter(ARGV[8]) end save() return answer(0)")


class SharedBreaker(CircuitBreaker):
    """A circuit whose state is the server's; while that is out of reach, one of this process.

    Args:
        hub: The connection.
        options: The thresholds; every process brings its own, the same ones as a rule.
        name: What the error text calls it.
        endpoint: Where its calls go.
        clock: Where time comes from.
        rng: Where jitter comes from.
    """

    def __init__(
        self, hub: Hub, options: Circuit, *, name: str, endpoint: str, clock: Clock, rng: Random
    ) -> None:
        super().__init__(options, name=name, clock=clock, rng=rng)
        self._hub = hub
        self._rng = rng
        digest = hashlib.sha256(f"{endpoint}\0{name}".encode()).hexdigest()[:20]
        self._keys = (hub.key("circuit", digest), hub.key("probe", digest))
        numbers = (options.window_seconds, options.minimum_calls, options.failure_rate)
        self._fixed = (*numbers, options.open_seconds, options.max_open_seconds, options.probes)
        self._seen: State = "closed"
        self._is_known = False  # until the server has said so, a permit asks
        self._generation = 0
        self._until = 0.0
        self._busy_until = 0.0
        self._calls = self._failures = 0
        self._answers = 0
        self._is_telling = False
        self._used = False
        hub.on.beat.append(self._look)
        hub.on.back.append(self._return)

    @property
    def state(self) -> State:
        """As all processes see it, a heartbeat ago at most."""
        return super().state if self._hub.is_down else self._seen

    @property
    def retry_after(self) -> float | None:
        """Seconds until a call may be let through, 0 when one would be now, None when forced open."""
        if self._hub.is_down:
            return super().retry_after
        if self._seen == "forced-open":
            return None
        until = self._until if self._seen == "open" else self._busy_until
        return 0.0 if self._seen in {"closed", "disabled"} else max(0.0, until - self._clock.monotonic())

    def status(self, endpoint: str | None = None) -> CircuitStatus:
        """State and window of all processes together."""
        if self._hub.is_down:
            return super().status(endpoint)
        return CircuitStatus(
            name=self.name,
            endpoint=endpoint,
            state=self._seen,
            probe_in_s=self.retry_after if self._seen == "open" else None,
            failure_rate=self._failures / self._calls if self._calls else None,
            calls=self._calls,
        )

    def force_open(self) -> None:
        """Refuse every call of every process until `reset`."""
        super().force_open()
        self._force("forced-open")

    def disable(self) -> None:
        """Let every call of every process through, uncounted, until `reset`."""
        super().disable()
        self._force("disabled")

    def reset(self) -> None:
        """Close the circuit for all and forget what happened."""
        super().reset()
        self._force("closed")

    def check(self) -> None:
        """Refuse at once what would be refused now; takes no permit and asks nobody.

        Raises:
            CircuitOpenError: The circuit is open, or half-open with its probes under way.
        """
        if self._hub.is_down:
            super().check()
        elif self._seen not in {"closed", "disabled"} and self.retry_after != 0:
            raise self._refuse()

    async def attempt(self, call: Call, proceed: Handler) -> Reply:
        """One attempt under a permit.

        Raises:
            CircuitOpenError: The call is refused; ``retry_after`` says how long.
        """
        self._used = True
        try:
            generation, slot = await self._permit()
        except LinkError:
            with self.permit():
                return await proceed(call)
        failed: bool | None = None
        try:
            reply = await proceed(call)
            failed = False
        except BaseException as error:
            failed = verdict(self._options, error)
            raise
        else:
            return reply
        finally:
            self._end(generation, slot, failed=failed)

    async def _permit(self) -> tuple[int, int]:
        """Generation and slot; a slot of 0 is no probe's."""
        if self._hub.is_down:
            raise LinkError("local state is in use")
        if self._is_known and self._seen in {"closed", "disabled"}:
            return self._generation, 0
        slot = await self._hub.visit(self._begin, lambda slot: self._end(self._generation, slot, failed=None))
        if slot is None:
            raise self._refuse()
        return self._generation, slot

    async def _begin(self) -> int | None:
        words = (*self._words(), self._hub.owner)
        granted = self._see(await self._hub.run(BEGIN, self._keys, words, self._give_back))
        if granted == 0:
            left = self._until - self._clock.monotonic()
            self._busy_until = self._clock.monotonic() + min(PROBE_CHECK_SECONDS, max(0.05, left))
            return None
        return granted - 1

    def _give_back(self, found: Any) -> None:
        """The caller was cancelled before its permit came."""
        granted = self._see(found)
        if granted > 1:
            self._end(self._generation, granted - 1, failed=None)

    def _end(self, generation: int, slot: int | None, *, failed: bool | None) -> None:
        if slot == 0 and not failed:
            if failed is False and generation == self._generation:
                self._count_answer()
            return
        if slot is not None:
            self._report(generation, -1 if failed is None else int(failed), slot)

    def _count_answer(self) -> None:
        """A good answer changes no state, so it can wait a moment for others, or for a failure, to be told with them."""
        self._answers += 1
        if not self._is_telling:
            self._is_telling = True
            self._hub.later(TELL_SECONDS, self._tell_answers)

    def _tell_answers(self) -> None:
        self._is_telling = False
        if self._answers:
            self._report(self._generation, 0, 0)

    def _report(self, generation: int, outcome: int, slot: int) -> None:
        answers, self._answers = self._answers, 0
        self._hub.report(END, self._keys, (*self._words(), generation, outcome, slot, answers), self._see)

    def _words(self) -> tuple[Any, ...]:
        return (*self._fixed, self._rng.random())

    def _force(self, state: State) -> None:
        self._seen = state
        self._hub.report(FORCE, self._keys, (*self._words(), state), self._see)

    def _look(self) -> None:
        if self._used:
            self._hub.report(LOOK, self._keys, self._words(), self._see)

    def _return(self, _lost: bool) -> None:  # noqa: FBT001 - a listener
        """The server is back, and others may have gone on without us."""
        self._is_known = False
        self._look()

    def _see(self, found: Any) -> int:
        """Draw the picture anew; returns what was granted."""
        if not isinstance(found, str):
            return 0
        granted, state, generation, left, calls, failures = found.split(" ")
        if int(generation) != self._generation:
            self._answers = 0
        self._is_known = True
        self._seen, self._generation = STATES[state], int(generation)
        self._until = self._clock.monotonic() + float(left)
        self._calls, self._failures = int(calls), int(failures)
        return int(granted)

    def _refuse(self) -> CircuitOpenError:
        error = self._refused(self._clock.monotonic())
        if self._seen == "forced-open":
            return CircuitOpenError(
                f"{self.name} is switched off for everybody (its circuit is forced open); nothing was sent; reset the circuit or try another model"
            )
        return CircuitOpenError(str(error), retry_after=self.retry_after)


class SharedBreakers(Breakers):
    """The circuits of a session, shared with every process of the namespace; a model that runs in this process has its own.

    Args:
        hub: The connection.
        options: The thresholds of each.
        clock: Where time comes from.
        rng: Where jitter comes from.
    """

    def __init__(self, hub: Hub, options: Circuit, *, clock: Clock, rng: Random) -> None:
        super().__init__(options, clock=clock, rng=rng)
        self._hub = hub

    def make(self, call: Call, name: str, endpoint: str) -> CircuitBreaker:
        """A new circuit."""
        if getattr(call.provider, "slots", None) is not None:
            return super().make(call, name, endpoint)
        return SharedBreaker(
            self._hub, self._options, name=name, endpoint=endpoint, clock=self._clock, rng=self._rng
        )


class SharedPermitStage:
    """Takes the circuit's permit after the line and reports how the attempt went; a probe asks the server for it."""

    def __init__(self, breakers: Breakers) -> None:
        self._breakers = breakers

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        """One attempt under a permit."""
        breaker = self._breakers.of(call)
        if isinstance(breaker, SharedBreaker):
            return await breaker.attempt(call, proceed)
        with breaker.permit():
            return await proceed(call)
