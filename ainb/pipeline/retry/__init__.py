"""Retry: repeats transient failures with full jitter, within the deadline and a retry budget.

`policy` decides (options, backoff, retry budget) without waiting; `stage` applies it to calls, `standalone`
to any function.
"""
