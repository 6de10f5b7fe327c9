"""Circuit breaker stages: refuse calls to a failing provider and probe it later."""

from __future__ import annotations

from collections.abc import Awaitable
from random import Random, SystemRandom

from ainb.clock import SYSTEM_CLOCK, Clock
from ainb.messages import Call, Handler, Reply
from ainb.pipeline.circuit.standalone import CircuitBreaker, CircuitStatus
from ainb.pipeline.circuit.state_machine import Circuit


class Breakers:
    """The circuits of a session, one per model and endpoint, created on first use.

    Args:
        options: Thresholds of each circuit.
    """

    def __init__(
        self, options: Circuit | None = None, *, clock: Clock = SYSTEM_CLOCK, rng: Random | None = None
    ) -> None:
        self._options = options or Circuit()
        self._clock = clock
        self._rng = rng or SystemRandom()
        self._breakers: dict[tuple[str, str], CircuitBreaker] = {}

    def of(self, call: Call) -> CircuitBreaker:
        """The circuit of this call."""
        request = call.request
        key = (call.resolve_endpoint(), request.model)
        breaker = self._breakers.get(key)
        if breaker is None:
            made = self.make(call, f"{request.provider}:{request.model}", key[0])
            breaker = self._breakers.setdefault(key, made)  # atomic: two threads get the same one
        return breaker

    def make(self, call: Call, name: str, endpoint: str) -> CircuitBreaker:
        """Make a new circuit.

        Args:
            call: First call of the circuit.
            name: ``provider:model``.
            endpoint: Endpoint of its calls.
        """
        return CircuitBreaker(self._options, name=name, clock=self._clock, rng=self._rng)

    async def attempt(self, call: Call, proceed: Handler) -> Reply:
        """Run one attempt under a permit of its circuit.

        Raises:
            CircuitOpenError: The call is refused; see ``retry_after``.
        """
        with self.of(call).permit():
            return await proceed(call)

    def find(self, name: str) -> list[CircuitBreaker]:
        """The circuits of a ``provider:model``, one per endpoint."""
        return [breaker for breaker in list(self._breakers.values()) if breaker.name == name]

    def reset(self) -> None:
        """Close all circuits and clear their windows."""
        for breaker in list(self._breakers.values()):
            breaker.reset()

    def status(self) -> list[CircuitStatus]:
        """One row per circuit, in order of first use."""
        return [breaker.status(endpoint) for (endpoint, _), breaker in list(self._breakers.items())]


class GateStage:
    """Checks the circuit before the call queues for the rate limit: refused calls do not wait first."""

    def __init__(self, breakers: Breakers) -> None:
        self._breakers = breakers

    def __call__(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Run the call, or raise CircuitOpenError."""
        self._breakers.of(call).check()
        return proceed(call)


class PermitStage:
    """Takes a permit of the circuit after the rate limit (a probe must not queue); reports the outcome."""

    def __init__(self, breakers: Breakers) -> None:
        self._breakers = breakers

    def __call__(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Run one attempt under a permit."""
        return self._breakers.attempt(call, proceed)
