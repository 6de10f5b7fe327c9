"""Circuit breaker: stop calling a provider that fails, probe it later."""
