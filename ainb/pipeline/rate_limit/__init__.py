"""Rate limit: requests, tokens and calls in flight per provider, model and account.

`options` holds the limits, `stage` asks a limiter for a permit. `local` is the limiter of this process: it
adds lock, clock and waiting to the core, `queue` over the token `buckets` (with `permits` as their data).
`standalone` is the limiter for other clients; `ainb.stores.redis.limiter` is the one that processes share.
"""
