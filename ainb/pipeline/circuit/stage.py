"""Circuit breaker: a provider that fails too often is left alone for a while, then probed by two calls, not by all."""

from __future__ import annotations

from collections.abc import Awaitable
from random import Random, SystemRandom

from ainb.clock import SYSTEM_CLOCK, Clock
from ainb.messages import Call, Handler, Reply
from ainb.pipeline.circuit.standalone import CircuitBreaker, CircuitStatus
from ainb.pipeline.circuit.state_machine import Circuit


class Breakers:
    """The circuits of a session, one for each model at each place, made on first use.

    Args:
        options: The thresholds of each.
        clock: Where time comes from.
        rng: Where jitter comes from; None means the system's.
    """

    def __init__(
        self, options: Circuit | None = None, *, clock: Clock = SYSTEM_CLOCK, rng: Random | None = None
    ) -> None:
        self._options = options or Circuit()
        self._clock = clock
        self._rng = rng or SystemRandom()
        self._breakers: dict[tuple[str, str], CircuitBreaker] = {}

    def of(self, call: Call) -> CircuitBreaker:
        """The circuit that this call runs through."""
        request = call.request
        key = (call.place(), request.model)
        breaker = self._breakers.get(key)
        if breaker is None:
            made = self.make(call, f"{request.provider}:{request.model}", key[0])
            breaker = self._breakers.setdefault(key, made)  # one step: two threads get the same one
        return breaker

    def make(self, call: Call, name: str, endpoint: str) -> CircuitBreaker:
        """A new circuit.

        Args:
            call: The first call that runs through it.
            name: ``provider:model``.
            endpoint: Where its calls go.
        """
        return CircuitBreaker(self._options, name=name, clock=self._clock, rng=self._rng)

    def find(self, name: str) -> list[CircuitBreaker]:
        """The circuits of a ``provider:model``, one for each place it was called at."""
        return [breaker for breaker in list(self._breakers.values()) if breaker.name == name]

    def reset(self) -> None:
        """Close all of them and forget what happened."""
        for breaker in list(self._breakers.values()):
            breaker.reset()

    def status(self) -> list[CircuitStatus]:
        """One row a circuit, in order of first use."""
        return [breaker.status(endpoint) for (endpoint, _), breaker in list(self._breakers.items())]


class GateStage:
    """Asks the circuit before the call stands in line: what would be refused is refused at once."""

    def __init__(self, breakers: Breakers) -> None:
        self._breakers = breakers

    def __call__(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Let the call on to the queue, or raise CircuitOpenError."""
        self._breakers.of(call).check()
        return proceed(call)


class PermitStage:
    """Takes the circuit's permit after the line (a probe must not wait in it) and reports how the attempt went."""

    def __init__(self, breakers: Breakers) -> None:
        self._breakers = breakers

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        """One attempt under a permit."""
        with self._breakers.of(call).permit():
            return await proceed(call)
