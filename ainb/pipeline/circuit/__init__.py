"""Circuit breaker: refuses calls to a provider that fails too often, and probes it later.

`state_machine` is the core without I/O (with the options), `standalone` the breaker for any function, `stage`
the two stages with one breaker per model and endpoint. `ainb.stores.redis.circuit` shares the state
between processes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ainb.lazy import lazy_exports

if TYPE_CHECKING:
    from ainb.pipeline.circuit.stage import Breakers, GateStage, PermitStage
    from ainb.pipeline.circuit.standalone import CircuitBreaker, CircuitStatus
    from ainb.pipeline.circuit.state_machine import (
        BUCKETS,
        OPEN_JITTER,
        PROBE_CHECK_SECONDS,
        Circuit,
        State,
        verdict,
    )
else:
    __getattr__ = lazy_exports(
        __name__,
        stage="Breakers GateStage PermitStage",
        standalone="CircuitBreaker CircuitStatus",
        state_machine="BUCKETS Circuit OPEN_JITTER PROBE_CHECK_SECONDS State verdict",
    )

__all__ = [
    "BUCKETS",
    "OPEN_JITTER",
    "PROBE_CHECK_SECONDS",
    "Breakers",
    "Circuit",
    "CircuitBreaker",
    "CircuitStatus",
    "GateStage",
    "PermitStage",
    "State",
    "verdict",
]
