"""Provider that calls a Python function instead of a model, so that it passes through the same stages."""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import functools
import inspect
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from ainb.errors import ConfigError
from ainb.event_loop import USER_THREADS, Contained, carried, is_plain
from ainb.fork import renew_after_fork
from ainb.messages import Call, Reply, Request
from ainb.plain import plain_value

THREADS = 64
NOTHING = object()  # stands for a return value of None


class FunctionProvider:
    """Calls ``function(prompt, **parameters)``.

    A plain function runs in a thread, so that it does not block the event loop.

    Its return value becomes the reply: a string, a `Reply`, or an object, which is the reply's `parsed`
    (`NOTHING` for None) and whose JSON is the reply's text.

    Args:
        function: Async or plain; its exceptions are raised by the call.
        name: Name in usage rows, circuits and limits.
        text_only: Raise for return values that are neither a string nor a `Reply`.

    Attributes:
        takes_output_limit: Whether the function accepts ``max_tokens``, which a hard budget sets.
    """

    name = "function"
    free = False

    def __init__(self, function: Callable[..., Any], *, name: str, text_only: bool = False) -> None:
        self._function = function
        self._name = name
        self._text_only = text_only
        self._returns_reply = False
        self._is_async = inspect.iscoroutinefunction(function)
        self.takes_output_limit = _takes(function, "max_tokens")
        self._pool: ThreadPoolExecutor | None = None
        renew_after_fork(self)

    def body(self, request: Request) -> dict[str, Any]:
        """Name, prompt and parameters of the function call."""
        prompt = [message.content for message in request.messages]
        return {"function": self._name, "model": request.model, "prompt": prompt, **request.parameters}

    def endpoint(self, request: Request) -> str:
        """The function's name."""
        return self._name

    def account(self, request: Request) -> str:
        """The function's name."""
        return self._name

    async def send(self, call: Call) -> Reply:
        """Call the function once."""
        return await self.apply(call.request.messages[-1].content, call.request)

    async def apply(self, prompt: Any, request: Request) -> Reply:
        """Call the function with `prompt` in place of the request's own."""
        work = functools.partial(self._function, prompt, **request.parameters)
        value = await (Contained(_awaited(work)) if self._is_async else self._in_thread(work))
        if isinstance(value, Reply):
            self._returns_reply = True
            return value
        if self._text_only and not isinstance(value, str):
            raise ConfigError(
                f"{self._name} must return a text or a Reply to be guarded; it returned "
                f"{type(value).__name__}"
            )
        # Turning the user's objects into text runs the user's code, which may block.
        text = text_of(value) if is_plain(value) else await USER_THREADS.run(lambda: text_of(value))
        reply = Reply(text=text, model=request.model, provider=self.name, finish_reason="stop")
        if not isinstance(value, str) and request.schema is None:
            reply.parsed = NOTHING if value is None else value
        return reply

    def result(self, reply: Reply) -> str | Reply:
        """The reply in the form that the function returned: a string or a `Reply`."""
        return reply if self._returns_reply else reply.text

    def close(self) -> None:
        """Shut the thread pool down without waiting; the next call starts a new one."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False)

    def renew(self) -> None:
        """Start with a new thread pool in a forked child: the threads of the parent's do not exist there."""
        self._pool = None

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="ainb-function")
        context = contextvars.copy_context()
        end = await asyncio.get_running_loop().run_in_executor(self._pool, context.run, _end_of, work)
        if end.error is not None:
            raise end.error
        return end.value


def _takes(function: Callable[..., Any], name: str) -> bool:
    """Whether a function accepts a keyword argument; True when its signature cannot be read."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return True
    return name in parameters or any(
        parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()
    )


class _End(NamedTuple):
    """Return value or exception of a function: a future cannot hold every exception (StopIteration)."""

    value: Any = None
    error: Exception | None = None


def _end_of(work: Callable[[], Any]) -> _End:
    try:
        return _End(work())
    except BaseException as error:  # noqa: BLE001 - any exception is the error of this call alone
        return _End(error=carried(error))


async def _awaited(work: Callable[[], Any]) -> Any:
    return await work()


def fields_of(value: Any) -> dict[str, Any] | None:
    """Fields by name of a mapping, a dataclass or a pydantic model; None for any other object."""
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}
    if hasattr(type(value), "model_dump") and hasattr(type(value), "model_fields"):
        return dict(value)
    return None


def text_of(value: Any) -> str:
    """A string unchanged, otherwise the object's JSON; values that JSON lacks are converted by ``str``."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(_keyed(value), default=_jsonable, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return str(value)


def _jsonable(value: Any) -> Any:
    if (fields := fields_of(value)) is not None:
        return fields
    plain = plain_value(value)
    return str(value) if plain is value else plain


def _keyed(value: Any) -> Any:
    # JSON has string keys only, and `json` raises for other keys (numpy's, tuples) without calling `default`.
    return fields_of(value) if isinstance(value, Mapping) else value


class ItemProvider:
    """Provider of one row of a batch: calls the shared function with the item itself, not with its text."""

    __slots__ = ("_item", "_shared")

    name = FunctionProvider.name
    free = FunctionProvider.free

    def __init__(self, shared: FunctionProvider, item: Any) -> None:
        self._shared = shared
        self._item = item

    @property
    def takes_output_limit(self) -> bool:
        """As of the function."""
        return self._shared.takes_output_limit

    def body(self, request: Request) -> dict[str, Any]:
        """As of the function."""
        return self._shared.body(request)

    def endpoint(self, request: Request) -> str:
        """As of the function."""
        return self._shared.endpoint(request)

    def account(self, request: Request) -> str:
        """As of the function."""
        return self._shared.account(request)

    async def send(self, call: Call) -> Reply:
        """Call the function with the item."""
        return await self._shared.apply(self._item, call.request)
