"""Shared circuit breaker: outcomes are counted in Redis, and all processes see the same state.

Each process keeps a copy of the state, updated by each report and each heartbeat, so that a call under a
closed circuit needs no request. Only a probe requests its permit from the server.
"""

from __future__ import annotations

import functools
import hashlib
from random import Random
from typing import Any, get_args

from ainb.clock import Clock
from ainb.errors import CircuitOpenError
from ainb.fork import renew_after_fork
from ainb.messages import Call, Handler, Reply
from ainb.pipeline.circuit import (
    BUCKETS,
    OPEN_JITTER,
    PROBE_CHECK_SECONDS,
    Breakers,
    Circuit,
    CircuitBreaker,
    CircuitStatus,
    State,
    verdict,
)
from ainb.stores.redis.client import RedisClient
from ainb.stores.redis.connection import UnavailableError
from ainb.stores.redis.script import Script, load_script

REPORT_SECONDS = 0.05
KEEP_MS = 2 * 3600 * 1000
STATES: dict[str, State] = {state: state for state in get_args(State)}

# ``lua/circuit/head.lua`` describes their keys and arguments.
_load = functools.partial(
    load_script,
    head="circuit/head",
    types=("hash",),
    KEEP_MS=KEEP_MS,
    BUCKETS=BUCKETS,
    OPEN_JITTER=OPEN_JITTER,
)
BEGIN = _load("circuit/begin")
END = _load("circuit/end")
FORCE = _load("circuit/force")
LOOK = _load("circuit/look")


class SharedBreaker(CircuitBreaker):
    """Circuit breaker with its state on the server, or in this process while the server is unavailable.

    Args:
        options: Thresholds; normally the same in every process.
        name: Name in error messages.
        endpoint: Endpoint of its calls.
    """

    def __init__(
        self, client: RedisClient, options: Circuit, *, name: str, endpoint: str, clock: Clock, rng: Random
    ) -> None:
        super().__init__(options, name=name, clock=clock, rng=rng)
        self._client = client
        self._rng = rng
        digest = hashlib.sha256(f"{endpoint}\0{name}".encode()).hexdigest()[:20]
        self._keys = (client.key("circuit", digest), client.key("probe", digest))
        numbers = (options.window_seconds, options.minimum_calls, options.failure_rate)
        self._fixed = (*numbers, options.open_seconds, options.max_open_seconds, options.probes)
        self._seen: State = "closed"
        self._generation = 0
        self._until = 0.0
        self._busy_until = 0.0
        self._calls = self._failures = 0
        self.renew()
        self._used = False
        client.on.heartbeat.append(self._on_heartbeat)
        client.on.reconnected.append(self._on_reconnect)
        renew_after_fork(self)

    def renew(self) -> None:
        """Start without answers to report, also in a forked child: the parent reports its own."""
        self._is_known = False  # until the first answer a permit is requested from the server
        self._answers = 0
        self._is_reporting = False

    @property
    def state(self) -> State:
        """State shared by all processes, at most one heartbeat old."""
        return super().state if self._client.is_down else self._seen

    @property
    def retry_after(self) -> float | None:
        """Seconds until a call may pass; 0 if one may pass now, None when forced open."""
        if self._client.is_down:
            return super().retry_after
        if self._seen == "forced-open":
            return None
        until = self._until if self._seen == "open" else self._busy_until
        return 0.0 if self._seen in {"closed", "disabled"} else max(0.0, until - self._clock.monotonic())

    def status(self, endpoint: str | None = None) -> CircuitStatus:
        """State and window of all processes together."""
        if self._client.is_down:
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
        """Let every call of every process pass, uncounted, until `reset`."""
        super().disable()
        self._force("disabled")

    def reset(self) -> None:
        """Close the circuit for all processes and clear its window."""
        super().reset()
        self._force("closed")

    def check(self) -> None:
        """Raise an error if a call would be refused now; takes no permit and sends no request.

        Raises:
            CircuitOpenError: The circuit is open, or half-open with all probes in flight.
        """
        if self._client.is_down:
            super().check()
        elif self._seen not in {"closed", "disabled"} and self.retry_after != 0:
            raise self._refuse()

    async def attempt(self, call: Call, proceed: Handler) -> Reply:
        """Run one attempt under a permit.

        Raises:
            CircuitOpenError: The call is refused; see ``retry_after``.
        """
        self._used = True
        try:
            generation, probe = await self._permit()
        except UnavailableError:
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
            self._end(generation, probe, failed=failed)

    async def _permit(self) -> tuple[int, int]:
        """Take a permit: its generation, and its number as a probe (0 for other calls)."""
        if self._client.is_down:
            raise UnavailableError("local state is in use")
        if self._is_known and self._seen in {"closed", "disabled"}:
            return self._generation, 0
        probe = await self._client.run_on_loop(
            self._begin, lambda probe: self._end(self._generation, probe, failed=None)
        )
        if probe is None:
            raise self._refuse()
        return self._generation, probe

    async def _begin(self) -> int | None:
        words = (*self._fixed, self._rng.random())
        granted = self._update(await self._client.run_script(BEGIN, self._keys, words, self._give_back))
        if granted == 0:
            left = self._until - self._clock.monotonic()
            self._busy_until = self._clock.monotonic() + min(PROBE_CHECK_SECONDS, max(0.05, left))
            return None
        return granted - 1

    def _give_back(self, found: Any) -> None:
        """Return a permit whose requester was cancelled before the answer came."""
        granted = self._update(found)
        if granted > 1:
            self._end(self._generation, granted - 1, failed=None)

    def _end(self, generation: int, probe: int | None, *, failed: bool | None) -> None:
        if probe == 0 and not failed:
            if failed is False and generation == self._generation:
                self._count_answer()
            return
        if probe is not None:
            self._report(generation, -1 if failed is None else int(failed), probe)

    def _count_answer(self) -> None:
        """Count a success, reported later with others or with a failure, since it changes no state."""
        self._answers += 1
        if not self._is_reporting:
            self._is_reporting = True
            self._client.call_later(REPORT_SECONDS, self._report_answers)

    def _report_answers(self) -> None:
        self._is_reporting = False
        if self._answers:
            self._report(self._generation, 0, 0)

    def _report(self, generation: int, outcome: int, probe: int) -> None:
        answers, self._answers = self._answers, 0
        self._send(END, generation, outcome, probe, answers)

    def _send(self, script: Script, *words: Any) -> None:
        words = (*self._fixed, self._rng.random(), *words)
        self._client.send_script(script, self._keys, words, self._update)

    def _force(self, state: State) -> None:
        self._seen = state
        self._send(FORCE, state)

    def _on_heartbeat(self) -> None:
        if self._used:
            self._send(LOOK)

    def _on_reconnect(self, _lost: bool) -> None:  # noqa: FBT001 - a listener
        """Update the state after a reconnection."""
        self._is_known = False
        self._on_heartbeat()

    def _update(self, found: Any) -> int:
        """Update the copy of the state; returns the granted permit."""
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
                f"{self.name} is switched off for all processes (its circuit is forced open); nothing was "
                "sent; reset the circuit or try another model"
            )
        return CircuitOpenError(str(error), retry_after=self.retry_after)


class SharedBreakers(Breakers):
    """The circuits of a session, shared by all processes of the namespace; local models have their own.

    Args:
        options: Thresholds of each circuit.
    """

    def __init__(self, client: RedisClient, options: Circuit, *, clock: Clock, rng: Random) -> None:
        super().__init__(options, clock=clock, rng=rng)
        self._client = client

    def make(self, call: Call, name: str, endpoint: str) -> CircuitBreaker:
        """Make a new circuit."""
        if getattr(call.provider, "slots", None) is not None:
            return super().make(call, name, endpoint)
        return SharedBreaker(
            self._client, self._options, name=name, endpoint=endpoint, clock=self._clock, rng=self._rng
        )

    async def attempt(self, call: Call, proceed: Handler) -> Reply:
        """Run one attempt under a permit, which a shared circuit may request from the server."""
        breaker = self.of(call)
        if isinstance(breaker, SharedBreaker):
            return await breaker.attempt(call, proceed)
        return await super().attempt(call, proceed)
