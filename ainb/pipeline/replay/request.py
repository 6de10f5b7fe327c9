"""Form of a request in a cassette, without secrets and machine-specific values."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath, PureWindowsPath
from typing import Any

import orjson

from ainb.messages import Call, Request
from ainb.pipeline.cache import canonical
from ainb.redaction import encodable, redact
from ainb.stores.cassette import request_key

LOCAL = "local"
FUNCTION = "function"
SCHEMA_DIGITS = 12
# An image in the body is replaced by its digest, so that a cassette stays readable.
_DATA_URL = re.compile(r"data:[\w.+/-]+;base64,[A-Za-z0-9+/=]{200,}")
# Weights with a digest; those of a file that is not present have only its name.
_KNOWN_WEIGHTS = re.compile(r"-[0-9a-f]{16}$")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request in cassette form.

    Attributes:
        fields: `model` as ``provider:model``, `body` (messages and parameters as the user gave them), and
            if they apply, `schema`, `replica` and `rows_per_call`.
        key: Key of the request.
        weights: Weights of the local model that would answer; None where unknown.
    """

    fields: Mapping[str, Any]
    key: bytes
    weights: str | None

    def fits(self, recorded: Mapping[str, Any]) -> bool:
        """Whether a record of the same request was made with the same weights, as far as known."""
        weights = recorded.get("weights")
        return weights is None or self.weights is None or weights == self.weights


def read_request(call: Call) -> Asked:
    """The cassette form of a call's request.

    Port, host and folder are left out: a request to the same model on another machine is the same request.

    Raises:
        ConfigError: A parameter has no canonical form.
    """
    request = call.request
    asked = request.asked()
    if request.provider == FUNCTION:
        asked["function"] = (
            call.resolve_endpoint()
        )  # the function's name: two functions may get the same request
    plain = orjson.loads(canonical(asked))[1]
    fields = {
        "model": f"{request.provider}:{_model_name(request)}",
        "body": map_texts(_clean, plain),
        "schema": _schema_name(request),
        "replica": call.options.replica,
        "rows_per_call": call.rows_per_call if call.rows_per_call > 1 else None,
    }
    return Asked(fields, request_key(fields), _weights(call))


def map_texts(change: Callable[[str], str], value: Any) -> Any:
    """The JSON with every text changed; a text in an object is changed together with its key."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [map_texts(change, item) for item in value]
    if isinstance(value, dict):
        return {name: _named(change, name, item) for name, item in value.items()}
    return value


def redacted(text: str) -> str:
    """The text without secrets and lone surrogates."""
    return redact(encodable(text))


def _named(change: Callable[[str], str], name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return map_texts(change, value)
    start = f'{name}="'
    pair = change(f'{start}{value}"')
    # Some secrets are recognised only by the name before them, so `change` gets ``name="text"``.
    whole = pair.startswith(start) and pair.endswith('"')
    return pair[len(start) : -1] if whole else change(value)


def _clean(text: str) -> str:
    return redacted(_DATA_URL.sub(_shortened, text))


def _shortened(match: re.Match[str]) -> str:
    kind, _, data = match.group().partition(";base64,")
    return f"{kind};sha256,{hashlib.sha256(data.encode()).hexdigest()}"


def _model_name(request: Request) -> str:
    """The model's name; of a model file only the file name."""
    if request.provider != LOCAL:
        return request.model
    return PureWindowsPath(PurePath(request.model).name).name


def _schema_name(request: Request) -> str | None:
    if request.schema is None:
        return None
    # Without the version of cache keys, which cassettes must not depend on.
    plain = orjson.loads(canonical(dict(request.schema.json_schema)))[1]
    digest = hashlib.sha256(orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)).hexdigest()
    return f"{request.schema.name}-{digest[:SCHEMA_DIGITS]}"


def _weights(call: Call) -> str | None:
    if call.request.provider != LOCAL:
        return None
    weights = call.provider.endpoint(call.request).removeprefix(f"{LOCAL}:")
    return weights if _KNOWN_WEIGHTS.search(weights) else None
