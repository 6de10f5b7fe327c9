"""Cache: returns stored answers, and runs identical calls in flight only once.

`stage` looks an answer up by its `key` through `lookup`, which reads and writes `entry` texts in a store of
`ainb.stores`; `single_flight` lets identical calls share one request. `standalone` is the cache for other
clients.
"""
