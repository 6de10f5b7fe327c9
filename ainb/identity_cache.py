"""Cache by the identity of an argument, for values such as schemas, which are dicts and have no hash."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Final, TypeVar

MAX_KNOWN: Final = 64
_Argument = TypeVar("_Argument")
_Result = TypeVar("_Result")


def cached_by_identity(function: Callable[[_Argument], _Result]) -> Callable[[_Argument], _Result]:
    """Cache the last results of a function of one argument, which must not be changed afterwards."""
    # The argument is kept with the result: its id is not reused while it is alive.
    known: dict[int, tuple[_Argument, _Result]] = {}

    @functools.wraps(function)
    def cached(argument: _Argument) -> _Result:
        found = known.get(id(argument))
        if found is None:
            if len(known) >= MAX_KNOWN:
                known.clear()
            found = known[id(argument)] = argument, function(argument)
        return found[1]

    return cached
