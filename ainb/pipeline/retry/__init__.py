"""Retry of transient faults with full jitter, within the deadline and a retry budget."""
