"""Cache: stored answers and single-flight for identical calls in flight."""
