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
        {
            "BUCKETS": "state_machine",
            "Breakers": "stage",
            "Circuit": "state_machine",
            "CircuitBreaker": "standalone",
            "CircuitStatus": "standalone",
            "GateStage": "stage",
            "OPEN_JITTER": "state_machine",
            "PROBE_CHECK_SECONDS": "state_machine",
            "PermitStage": "stage",
            "State": "state_machine",
            "verdict": "state_machine",
        },
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
