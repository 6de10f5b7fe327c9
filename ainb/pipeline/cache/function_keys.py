"""Cache keys for function calls, and for prompts passed to `ResponseCache.get` and `set`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter
from types import CodeType
from typing import Any, Final

from ainb.errors import ConfigError
from ainb.pipeline.cache.key import digest

Prompt = str | Sequence[Mapping[str, Any]]
# Argument names of a function whose cached results `get` can find.
PROMPT: Final = "prompt"
MODEL: Final = "model"


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys of one call of a function.

    Attributes:
        own: Key of this function and these arguments.
        asked: Key that `get` and `set` use for the same prompt, model and parameters; None for a function
            without such arguments.
    """

    own: str
    asked: str | None


class KeyOf:
    """Makes the keys of a function's calls: equal for equal arguments while its code is unchanged."""

    def __init__(self, function: Callable[..., Any], ignore: tuple[str, ...]) -> None:
        inner = inspect.unwrap(function)
        name = getattr(inner, "__qualname__", None)
        if name is None or inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
            raise ConfigError(f"the cache keeps results of plain and async functions; this is {function!r}")
        self._signature = inspect.signature(function)
        unknown = set(ignore) - self._signature.parameters.keys()
        if unknown:
            raise ConfigError(
                f"ignore names {min(unknown)!r}, which is not an argument of {name}{self._signature}"
            )
        self._ignore = ignore
        code = getattr(inner, "__code__", None)
        self._name = (f"{inner.__module__}.{name}", "" if code is None else _describe(code))

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Keys:
        """Keys of a call with these arguments, positional or by name."""
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        for name in self._ignore:
            del bound.arguments[name]
        return Keys(digest(bound.arguments, "function", *self._name), self._asked(bound.arguments))

    def _asked(self, arguments: Mapping[str, Any]) -> str | None:
        kinds = {name: self._signature.parameters[name].kind for name in arguments}
        model = arguments.get(MODEL)
        if (
            PROMPT not in arguments
            or not isinstance(model, str)
            or Parameter.VAR_POSITIONAL in kinds.values()
        ):
            return None
        params: dict[str, Any] = {}
        for name, value in arguments.items():
            if kinds[name] is Parameter.VAR_KEYWORD:
                params |= value
            elif name not in {PROMPT, MODEL}:
                params[name] = value
        return prompt_key(arguments[PROMPT], model, params)


def _describe(constant: object) -> str:
    """A function's code as text, equal in every process; editing the function changes it."""
    if isinstance(constant, CodeType):
        parts = ",".join(map(_describe, constant.co_consts))
        return f"{constant.co_code.hex()}:{constant.co_names}:{constant.co_varnames}:[{parts}]"
    if isinstance(constant, tuple):
        return f"({','.join(map(_describe, constant))})"
    if isinstance(constant, frozenset):
        return f"{{{','.join(sorted(map(_describe, constant)))}}}"
    return f"{type(constant).__name__} {constant!r}"


def prompt_key(prompt: Prompt, model: str, params: Mapping[str, Any] | None) -> str:
    """Key of the answer to a prompt, as `get` and `set` use it."""
    return digest({"prompt": prompt, "model": model, "params": params or {}}, "prompt")
