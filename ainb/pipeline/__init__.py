"""The pipeline: one package or file per stage, chained by `compose`.

Each stage package holds the options, the stage, its core without I/O and, where it can be used alone, a
stand-alone form. Stages never import each other; `ainb.assembly` puts them in order. `checks` validates
options.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Sequence

from ainb.messages import Call, Handler, Reply, Stage


def _link(stage: Stage, proceed: Handler) -> Handler:
    # A bound method takes half the time of an object with `__call__`.
    run = stage if inspect.ismethod(stage) else stage.__call__

    # Returns the stage's own coroutine: one more around it would cost each stage another 0.1 us.
    def handle(call: Call) -> Awaitable[Reply]:
        return run(call, proceed)

    return handle


def compose(stages: Sequence[Stage], provider: Handler) -> Handler:
    """Chain stages into one handler.

    Args:
        stages: Outermost first.
        provider: Handler that the innermost stage calls.
    """
    handler = provider
    for stage in reversed(stages):
        handler = _link(stage, handler)
    return handler
