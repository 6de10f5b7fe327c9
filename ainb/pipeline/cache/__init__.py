"""Cache: returns stored answers, and runs identical calls in flight only once.

`stage` looks an answer up by its `key` through `lookup`, which reads and writes `entry` texts in a store of
`ainb.stores`; `single_flight` lets identical calls share one request. `standalone` is the cache for other
clients, `function_keys` makes its keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ainb.lazy import lazy_exports

if TYPE_CHECKING:
    from ainb.pipeline.cache.key import canonical, reply_key
    from ainb.pipeline.cache.options import Cache
    from ainb.pipeline.cache.stage import CacheStage
    from ainb.pipeline.cache.standalone import ResponseCache
else:
    __getattr__ = lazy_exports(
        __name__,
        key="canonical reply_key",
        options="Cache",
        stage="CacheStage",
        standalone="ResponseCache",
    )

__all__ = ["Cache", "CacheStage", "ResponseCache", "canonical", "reply_key"]
