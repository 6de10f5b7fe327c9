"""Circuit breaker: stops calls to a provider that fails too often, and probes it later.

`state_machine` is the core without I/O (and the options), `standalone` the breaker for any function, `stage`
the two stages that use one breaker per model and endpoint. `ainb.stores.redis.circuit` shares the state
between processes.
"""
