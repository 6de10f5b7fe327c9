"""Cache key: a digest of the request as the user made it, in one canonical encoding.

Two values have the same key exactly when they are the same JSON document with numbers distinguished by type:
1, 1.0, true and "1" are four values, 0.0 and -0.0 are two, a tuple equals a list. Values that JSON cannot
hold without loss are refused: keys that are not text, NaN, infinities, sets, objects. Bytes are represented
by their digest and position, so that no text has the same key.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from typing import Any

from ainb.errors import ConfigError
from ainb.event_loop import is_long, work
from ainb.messages import Call

# 2: the user's request in place of the outgoing body (0.2.0). Tests pin sample keys of this version.
KEY_VERSION = 2
MAX_DEPTH = 100
MIN_INTEGER, MAX_INTEGER = -(2**63), 2**64 - 1

SCALARS = frozenset({str, int, bool, type(None)})
TEXT_KEYS = frozenset({str})

Path = tuple[str | int, ...]


def reply_key(call: Call) -> str:
    """Key of the answer to a call: 64 hexadecimal digits.

    It covers the service, its endpoint, the model, the request as the user made it (`Request.asked`), the
    reply schema as given, the replica and, above 1, the number of rows per call. It covers no secret and no
    change that an adapter or a stage makes to the request.

    Raises:
        ConfigError: A parameter has no canonical form; the message names it.
    """
    if call.cache_key is not None:
        return call.cache_key
    request, provider = call.request, call.provider
    call.cache_key = digest(
        request.asked(),
        "reply",
        provider.name,
        request.model,
        call.resolve_endpoint(),
        call.options.replica,
        None if request.schema is None else dict(request.schema.json_schema),
        # Rows that share a call may get other answers than alone; which rows share it does not matter.
        *([call.rows_per_call] if call.rows_per_call > 1 else []),
    )
    return call.cache_key


async def find_key(call: Call) -> str:
    """`reply_key`; the key of a long request is found in a thread.

    Raises:
        ConfigError: As `reply_key`.
    """
    if call.cache_key is not None:
        return call.cache_key
    request = call.request
    texts = [message.content for message in request.messages]
    return await work(reply_key, call, is_long=is_long(texts, request.parameters))


def digest(value: Mapping[str, Any], *names: Any) -> str:
    """SHA-256 digest of named values and further values in canonical encoding.

    Args:
        value: Parameters or arguments by name.
        names: Further values that are part of the key.

    Returns:
        64 hexadecimal digits.

    Raises:
        ConfigError: A value has no canonical form; the message names it.
    """
    return hashlib.sha256(canonical(value, names)).hexdigest()


def canonical(value: Mapping[str, Any], names: tuple[Any, ...] = ()) -> bytes:
    """The canonical encoding that `digest` hashes."""
    import orjson

    try:
        if _is_plain(value) and _is_plain(names):
            return bytes(orjson.dumps([KEY_VERSION, value, names, ()], option=orjson.OPT_SORT_KEYS))
    except (TypeError, RecursionError):
        pass  # too large a number, a lone surrogate or a cycle: the walk below names it
    digests: list[Path] = []
    normal = [_normalise(value, (), digests), _normalise(names, ("names",), digests)]
    return bytes(orjson.dumps([KEY_VERSION, *normal, digests], option=orjson.OPT_SORT_KEYS))


def is_json(value: object) -> bool:
    """Whether JSON holds a value exactly: text, finite number, bool, None, lists and dicts of them."""
    try:
        return _is_plain(value, lists=(list,))
    except RecursionError:
        return False


def _is_plain(value: Any, lists: tuple[type, ...] = (list, tuple)) -> bool:
    """Whether orjson alone encodes a value canonically, as it does for nearly every body."""
    kind = type(value)
    if kind in SCALARS:
        return True
    if kind is float:
        return math.isfinite(value)
    if kind is dict:
        return set(map(type, value)) <= TEXT_KEYS and _are_plain(value.values(), lists)
    return kind in lists and _are_plain(value, lists)


def _are_plain(values: Iterable[Any], lists: tuple[type, ...]) -> bool:
    for value in values:  # noqa: SIM110 - a generator expression takes twice the time, and this runs for every call
        if type(value) not in SCALARS and not _is_plain(value, lists):
            return False
    return True


def _normalise(value: object, path: Path, digests: list[Path]) -> Any:
    """The value converted to plain JSON types."""
    if len(path) > MAX_DEPTH:
        raise _refusal(path[:3], f"is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        return {_read_key(key, path): _normalise(item, (*path, key), digests) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_normalise(item, (*path, place), digests) for place, item in enumerate(value)]
    if isinstance(value, bytes | bytearray | memoryview):
        digests.append(path)
        return hashlib.sha256(value).hexdigest()
    return _normalise_scalar(value, path)


def _normalise_scalar(value: object, path: Path) -> str | int | float | bool | None:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _read_text(value, path)
    if isinstance(value, int):
        if MIN_INTEGER <= value <= MAX_INTEGER:
            return int.__int__(value)
        raise _refusal(path, "is an integer of more than 64 bits")
    if isinstance(value, float):
        if math.isfinite(value):
            return float.__float__(value)
        raise _refusal(path, f"is {float.__float__(value)}")
    raise _refusal(path, f"is a {type(value).__module__}.{type(value).__qualname__}".replace("builtins.", ""))


def _read_text(value: str, path: Path) -> str:
    text = str.__str__(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _refusal(path, "holds half of a surrogate pair, which is not valid text") from None
    return text


def _read_key(key: object, path: Path) -> str:
    if isinstance(key, str):
        return _read_text(key, (*path, "key"))
    raise _refusal(path, f"has the key {key!r}, which is not text")


def _refusal(path: Path, what: str) -> ConfigError:
    name = (
        "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".") or "call"
    )
    return ConfigError(
        f"parameter {name} {what}; the cache key takes texts, finite numbers, true, false, None, bytes, "
        "lists and dicts with text keys; convert it, or turn the cache off for this call (--no-cache, "
        "cache='off')"
    )
