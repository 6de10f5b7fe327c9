"""Shared parts of the circuit breaker and retry tests: a made-up provider, calls to it, and faults."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from ainb.errors import PermanentProviderError, ProviderError, TransientProviderError
from ainb.messages import Call, CallOptions, Message, Reply, Request
from ainb.pipeline import compose
from ainb.testing import FakeClock, run_virtual
from tests.mutation import Mutant, load_mutant

MODULES = (
    "ainb.pipeline.circuit.state_machine",
    "ainb.pipeline.circuit.standalone",
    "ainb.pipeline.circuit.stage",
    "ainb.pipeline.retry.policy",
    "ainb.pipeline.retry.stage",
    "ainb.pipeline.retry.standalone",
)


def names_of(*modules: Any) -> SimpleNamespace:
    """Public names of some modules in one namespace, for scenarios that run on real modules and on
    mutants."""
    return SimpleNamespace(**{key: value for item in modules for key, value in vars(item).items()})


REAL = names_of(*(importlib.import_module(name) for name in MODULES))


@contextmanager
def broken(mutant: Mutant) -> Iterator[SimpleNamespace]:
    """The names of all modules, with the mutant in place of the real module."""
    with load_mutant(mutant.module, mutant.old, mutant.new, dependents=_dependents(mutant.module)) as loaded:
        yield names_of(*(loaded.get(name) or importlib.import_module(name) for name in MODULES))


def is_killed(m: SimpleNamespace, scenarios: Iterable[Callable[[Any], None]]) -> bool:
    """Whether at least one scenario fails on the modules `m`."""
    for scenario in scenarios:
        try:
            scenario(m)
        except (Exception, pytest.fail.Exception):  # noqa: BLE001 - a mutant may break in any way
            return True
    return False


def _dependents(module: str) -> list[str]:
    package = module.rpartition(".")[0]
    return [name for name in MODULES[MODULES.index(module) + 1 :] if name.startswith(package)]


class Place:
    """A provider with the attributes that the stages read."""

    name = "made-up"
    free = True

    def __init__(self, endpoint: str = "https://one.test") -> None:
        self._endpoint = endpoint

    def endpoint(self, request: Request) -> str:
        return self._endpoint


def make_call(
    *,
    model: str = "tea",
    endpoint: str = "https://one.test",
    deadline: float | None = None,
    on_text: Callable[[str], None] | None = None,
) -> Call:
    request = Request(provider="made-up", model=model, messages=(Message("user", "tea?"),))
    options = CallOptions(on_text=on_text)
    return Call(request=request, provider=Place(endpoint), deadline=deadline, options=options)


def fault(status: int | None = 503, **details: Any) -> ProviderError:
    """The error that an adapter raises for an HTTP status."""
    final = status is not None and 400 <= status < 500 and status not in {408, 409, 425, 429}
    kind = PermanentProviderError if final else TransientProviderError
    return kind(f"made-up answered {status}", status_code=status, **details)


class Scripted:
    """A provider handler that plays outcomes in order, repeats the last one, and records call times.

    An outcome is a text (answer), an exception (raise it) or a number (seconds to wait before the next
    outcome in the list).
    """

    def __init__(self, outcomes: Iterable[str | float | BaseException] = ("yes",)) -> None:
        self.outcomes = list(outcomes)
        self.asked_at: list[float] = []

    async def __call__(self, call: Call) -> Reply:
        self.asked_at.append(asyncio.get_running_loop().time())
        outcome = self._next()
        while isinstance(outcome, int | float):
            await asyncio.sleep(outcome)
            outcome = self._next()
        if isinstance(outcome, BaseException):
            raise outcome
        return Reply(text=outcome)

    def _next(self) -> str | float | BaseException:
        return self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]


def virtual_clock() -> FakeClock:
    return FakeClock(loop=asyncio.get_running_loop())


class LowRandom:
    """Random numbers of 0: no jitter."""

    def random(self) -> float:
        return 0.0


class HighRandom:
    """Random numbers just below 1: the largest jitter."""

    def random(self) -> float:
        return 0.999999


__all__ = [
    "MODULES",
    "REAL",
    "HighRandom",
    "LowRandom",
    "Place",
    "Scripted",
    "broken",
    "compose",
    "fault",
    "is_killed",
    "make_call",
    "run_virtual",
    "virtual_clock",
]
