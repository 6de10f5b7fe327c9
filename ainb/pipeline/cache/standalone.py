"""Stand-alone cache for other clients: `get`, `set` and a decorator."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, overload

from ainb.clock import SYSTEM_CLOCK, Clock
from ainb.errors import ConfigError
from ainb.events import Sink, silent
from ainb.pipeline.cache.entry import copy_value, is_moment, stored_key
from ainb.pipeline.cache.function_keys import KeyOf, Keys, Prompt, prompt_key
from ainb.pipeline.cache.key import is_json
from ainb.pipeline.cache.lookup import Lookup
from ainb.pipeline.cache.options import Cache
from ainb.pipeline.cache.single_flight import SingleFlight
from ainb.pipeline.checks import check_seconds
from ainb.stores.base import Store, at_once
from ainb.stores.local import default_home, make_store

F = TypeVar("F", bound=Callable[..., Any])

VALUE_VERSION = 1
VALUE_FIELDS = {"version", "created_at", "value"}
# Field of an entry that a decorated function has stored under the key of `get`: the function's own key.
FUNCTION = "function"


@dataclass(frozen=True, slots=True)
class _Value:
    value: Any
    created_at: float
    function: str | None = None


class ResponseCache:
    """Cache of answers by prompt, model and parameters, and of function results by arguments.

    Args:
        options: Age limit and location of the answers; None means on disk without an age limit.
        store: Holds the answers; None means the store that `options` choose.
        home: Folder for the disk store; None means ``AINB_HOME``, else the user's data folder.
        clock: Source of time.
        sink: Receives one notice when the store cannot be used.

    Examples:
        >>> cache = ResponseCache(Cache(where="memory"))
        >>> cache.get("Capital of France?", "my-model", {"temperature": 0})
        >>> cache.set("Capital of France?", "my-model", {"temperature": 0}, "Paris")
        >>> cache.get("Capital of France?", "my-model", {"temperature": 0})
        'Paris'
        >>> @cache.cached(ttl_seconds=1800)
        ... def ask(question):
        ...     print("asking")
        ...     return question.upper()
        >>> ask("why?"), ask(question="why?")
        asking
        ('WHY?', 'WHY?')
    """

    def __init__(
        self,
        options: Cache | None = None,
        *,
        store: Store | None = None,
        home: str | os.PathLike[str] | None = None,
        clock: Clock = SYSTEM_CLOCK,
        sink: Sink = silent,
    ) -> None:
        chosen = options or Cache()
        if store is None:
            folder = (Path(home).expanduser() if home is not None else default_home()) / "cache"
            store = make_store(chosen.where, folder, memory_bytes=chosen.memory_bytes, clock=clock, sink=sink)
        self._store = store
        self._lookup = Lookup("value", chosen.ttl_seconds, store=store, clock=clock, sink=sink)
        self._calls: SingleFlight[Any, None] = SingleFlight(copy_value)

    def get(
        self,
        prompt: Prompt,
        model: str,
        params: Mapping[str, Any] | None = None,
        *,
        ttl_seconds: float | None = None,
    ) -> str | None:
        """The stored answer to a prompt, or None.

        It was stored by `set`, or by a function decorated with `cached` that has arguments ``prompt`` and
        ``model``; its other arguments are the parameters. Of several such functions the newest answer is
        returned.

        Args:
            prompt: Text, or a list of messages as dicts.
            model: The model's name, as it was given to `set` or to the function.
            params: Request parameters; None means none.
            ttl_seconds: Age up to which the answer is valid; None means the cache's own limit.

        Raises:
            ConfigError: A parameter cannot be part of a cache key; the message names it.
        """
        check_seconds("ttl_seconds", ttl_seconds)
        found = at_once(self._find(prompt_key(prompt, model, params), ttl_seconds))
        self._lookup.misses += found is None
        return found.value if found is not None and isinstance(found.value, str) else None

    def set(self, prompt: Prompt, model: str, params: Mapping[str, Any] | None, reply_text: str) -> None:
        """Store the answer to a prompt, in place of an earlier one.

        Raises:
            ConfigError: The answer is not a text, or a parameter cannot be part of a cache key.
        """
        if not isinstance(reply_text, str):
            raise ConfigError(f"reply_text must be a string; it is {type(reply_text).__name__}")
        at_once(self._keep(prompt_key(prompt, model, params), str.__str__(reply_text)))

    @overload
    def cached(self, function: F) -> F: ...

    @overload
    def cached(self, *, ttl_seconds: float | None = None, ignore: Sequence[str] = ()) -> Callable[[F], F]: ...

    def cached(
        self, function: F | None = None, *, ttl_seconds: float | None = None, ignore: Sequence[str] = ()
    ) -> Any:
        """Cache the results of a function by its name, its code and its arguments, as a decorator.

        An async function runs once for identical calls at the same time. A result that JSON cannot hold
        exactly (an object, a tuple) is returned but not stored; errors are never stored. `get` finds the text
        that a function with arguments ``prompt`` and ``model`` returned, and such a function finds what `set`
        has stored for the same prompt, model and parameters.

        Args:
            function: The async or plain function, when the decorator is used without parentheses.
            ttl_seconds: Age up to which a result is valid; above 0, None means the cache's own limit.
            ignore: Names of arguments that are not part of the key, such as ``self`` or ``client``.

        Raises:
            ConfigError: The function is a generator, `ignore` names no argument, or ttl_seconds is out of its
                range. A call raises it when an argument cannot be part of a cache key.
        """
        check_seconds("ttl_seconds", ttl_seconds)
        if function is None:
            return lambda named: self._wrap(named, ttl_seconds, tuple(ignore))
        return self._wrap(function, ttl_seconds, tuple(ignore))

    def status(self) -> dict[str, Any]:
        """One row of counts and sizes; see `Lookup.status`."""
        return self._lookup.status()

    def clear(self) -> int:
        """Delete all entries; returns their number."""
        return at_once(self._lookup.clear())

    def prune(self, older_than_seconds: float | None = None) -> int:
        """Delete entries older than an age and return their number; None means the cache's ttl_seconds."""
        return at_once(self._lookup.prune(older_than_seconds))

    def close(self) -> None:
        """Write pending entries and close the store."""
        at_once(self._store.close())

    def _wrap(self, function: F, ttl_seconds: float | None, ignore: tuple[str, ...]) -> Any:
        key_of = KeyOf(function, ignore)
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def share(*args: Any, **kwargs: Any) -> Any:
                keys = key_of(args, kwargs)
                found = await self._find_result(keys, ttl_seconds)
                if found is not None:
                    return found.value
                return await self._share(keys, functools.partial(function, *args, **kwargs))

            return share

        @functools.wraps(function)
        def keep(*args: Any, **kwargs: Any) -> Any:
            keys = key_of(args, kwargs)
            found = at_once(self._find_result(keys, ttl_seconds))
            if found is not None:
                return found.value
            self._lookup.misses += 1
            value = function(*args, **kwargs)
            at_once(self._keep_result(keys, value))
            return value

        return keep

    async def _share(self, keys: Keys, function: Callable[[], Any]) -> Any:
        shared = self._calls.find(keys.own)
        if shared is None:
            shared, _ = self._calls.start(keys.own, self._fetch(keys, function), None)
            self._lookup.misses += 1
        else:
            self._lookup.coalesced += 1
        return await shared.join().wait()

    async def _fetch(self, keys: Keys, function: Callable[[], Any]) -> Any:
        value = await function()
        await self._keep_result(keys, value)
        return value

    async def _find_result(self, keys: Keys, ttl_seconds: float | None) -> _Value | None:
        """The function's stored result, or a value from `set`; never another function's result."""
        found = await self._find(keys.own, ttl_seconds)
        if found is None and keys.asked is not None:
            found = await self._find(keys.asked, ttl_seconds, by_hand=True)
        return found

    async def _find(self, key: str, ttl_seconds: float | None, *, by_hand: bool = False) -> _Value | None:
        found = await self._lookup.read(stored_key(key, VALUE_VERSION), _decode_value)
        if found is None or not self._lookup.is_fresh(found.created_at, ttl_seconds):
            return None
        if by_hand and found.function is not None:
            return None
        self._lookup.hits += 1
        return found

    async def _keep_result(self, keys: Keys, value: Any) -> None:
        await self._keep(keys.own, value)
        if keys.asked is not None and isinstance(value, str):
            await self._keep(keys.asked, str.__str__(value), function=keys.own)

    async def _keep(self, key: str, value: Any, *, function: str | None = None) -> None:
        if not is_json(value):
            self._lookup.report(
                f"a function returned a {type(value).__name__}, which JSON cannot hold exactly, so it is not "
                "stored"
            )
            return
        place = stored_key(key, VALUE_VERSION)
        await self._lookup.write(place, lambda created_at: _encode_value(value, created_at, function))


def _encode_value(value: Any, created_at: float, function: str | None) -> str:
    import orjson

    entry = {"version": VALUE_VERSION, "created_at": created_at, "value": value}
    return bytes(orjson.dumps(entry if function is None else {**entry, FUNCTION: function})).decode()


def _decode_value(text: str) -> _Value | None:
    import orjson

    try:
        entry = orjson.loads(text)
    except ValueError:
        return None
    if type(entry) is not dict or entry.keys() - {FUNCTION} != VALUE_FIELDS:
        return None
    function = entry.get(FUNCTION)
    if entry["version"] != VALUE_VERSION or not isinstance(function, str | None):
        return None
    return _Value(entry["value"], entry["created_at"], function) if is_moment(entry["created_at"]) else None
