"""Decorator that runs the caller's own function, which calls a model, through the pipeline."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from ainb.core import Core
from ainb.engine import ENGINE
from ainb.event_loop import RaisedByUser
from ainb.messages import Call, Request
from ainb.pipeline.checks import is_async
from ainb.prompts import read_prompt

P = ParamSpec("P")
R = TypeVar("R")


def guard(core: Core, *, model: str, cache: bool = True) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function that calls a model, so that each call passes through the whole pipeline.

    An async function stays async and runs on the caller's loop; a plain one stays plain and runs in a thread.
    The first argument is the prompt (a text), the others are keyword parameters; the function returns a text
    or a `Reply`.

    Args:
        core: Core of the session that runs the pipeline.
        model: Name of the model in rows, circuits and limits.
        cache: Whether the same prompt and parameters are answered from the cache.

    >>> from ainb import Session
    >>> session = Session("scripted:echo", cache=None)
    >>> @session.guard(model="my-model", cache=False)
    ... def call_llm(prompt, **params):
    ...     return prompt.upper()
    >>> call_llm("hello")
    'HELLO'
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
        provider = core.function_provider(
            function, name=f"{module}.{name or type(function).__name__}", text_only=True
        )

        def make_call(prompt: str, **parameters: Any) -> Call:
            options = core.call_options({"cache": "use" if cache else "off"})
            request = Request(
                provider="function", model=model, messages=read_prompt(prompt), parameters=parameters
            )
            return Call(request=request, provider=provider, options=options)

        if is_async(function):

            @functools.wraps(function)
            async def guarded_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                try:
                    return provider.result(await core.handle(make_call(*args, **kwargs)))  # type: ignore[arg-type]
                except RaisedByUser as error:
                    raise error.original from None

            return cast(Callable[P, R], guarded_async)

        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> Any:
            return provider.result(ENGINE.run(core.handle(make_call(*args, **kwargs))))  # type: ignore[arg-type]

        return cast(Callable[P, R], guarded)

    return decorate
