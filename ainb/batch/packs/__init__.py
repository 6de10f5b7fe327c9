"""Many rows in one call: `calls` and `schema` make it, `reply` reads its answer, `shares` splits its cost.

`runner` sends the packs. A row is validated, cached, journalled and recorded in a cassette by itself: it is
screened before it goes into a pack, and its part of the answer passes the stages like a reply of its own.
"""

from typing import TYPE_CHECKING

from ainb.lazy import lazy_exports

if TYPE_CHECKING:
    from ainb.batch.packs.calls import PackCalls, check_packs
    from ainb.batch.packs.runner import PackRunner
else:
    __getattr__ = lazy_exports(__name__, calls="PackCalls check_packs", runner="PackRunner")

__all__ = ["PackCalls", "PackRunner", "check_packs"]
