"""Packs of rows in one call: `calls` and `schema` build it, `reply` parses it, `shares` splits its cost.

`runner` sends the packs. Validation, cache, journal and cassette work on single rows: a row is screened
before it is put into a pack, and its part of the answer passes the stages like a separate reply.
"""

from typing import TYPE_CHECKING

from ainb.lazy import lazy_exports

if TYPE_CHECKING:
    from ainb.batch.packs.calls import PackCalls, check_packs
    from ainb.batch.packs.runner import PackRunner
else:
    __getattr__ = lazy_exports(__name__, calls="PackCalls check_packs", runner="PackRunner")

__all__ = ["PackCalls", "PackRunner", "check_packs"]
