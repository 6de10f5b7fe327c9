"""The composition root: options in, stages in order, then `ask`, `submit`."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random, SystemRandom
from types import TracebackType
from typing import Any, Self, get_args

from ainb import providers
from ainb.clock import SYSTEM_CLOCK, Clock
from ainb.config import Config, load_config
from ainb.engine import ENGINE, Job
from ainb.errors import ConfigError, InvalidPromptError
from ainb.events import Sink, silent
from ainb.messages import DEFAULT_OPTIONS, Call, CallOptions, Message, Provider, Reply, Request, Role, Stage
from ainb.pipeline import compose
from ainb.pipeline.deadline import AttemptTimeoutStage, Deadline, DeadlineStage

UNSET: Any = object()
Prompt = str | Sequence[Message | Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """What a session takes from the world: time, randomness, and who listens.

    Attributes:
        clock: Where time comes from.
        rng: Where jitter comes from.
        sink: Who is told of finished calls and notices.
    """

    clock: Clock = SYSTEM_CLOCK
    rng: Random = dataclasses.field(default_factory=SystemRandom)
    sink: Sink = silent


class Session:
    """Prompts in, replies out, through every stage that is switched on.

    Args:
        model: ``provider:model`` or an alias; None means the configured one.
        timeout_seconds: Total time of a call; None means no limit.
        home: Folder of cache, usage log and journals; None means the configured one.
        api_base: Base URL in place of the provider's own; None means the configured one.
        config: A whole tree of options, in place of everything that would be read; other arguments go on top.
        runtime: Clock, randomness and listener; for tests.

    Raises:
        ConfigError: An option makes no sense.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        timeout_seconds: float | None = UNSET,
        home: str | os.PathLike[str] | None = None,
        api_base: str | None = None,
        config: Config | None = None,
        runtime: Runtime | None = None,
    ) -> None:
        base = load_config() if config is None else config
        self.config = _with_arguments(
            base, model=model, home=home, api_base=api_base, timeout_seconds=timeout_seconds
        )
        self.runtime = runtime or Runtime()
        self._providers: dict[str, Provider] = {}
        self._handle = compose(self.stages(), _send)

    def stages(self) -> list[Stage]:
        """The pipeline, outermost first; the one place that says the order."""
        clock, deadline = self.runtime.clock, self.config.deadline
        stages: list[Stage | None] = [
            DeadlineStage(deadline, clock) if deadline else None,
            AttemptTimeoutStage(deadline) if deadline else None,
        ]
        return [stage for stage in stages if stage is not None]

    def ask(
        self, prompt: Prompt, *, model: str | None = None, system: str | None = None, **options: Any
    ) -> Reply:
        """Send a prompt and wait for the reply; works in a notebook, a script, a thread.

        Args:
            prompt: Text, or a list of messages (``{"role": …, "content": …}`` or `Message`).
            model: For this call; None means the session's.
            system: System message put in front; None means none.
            options: Fields of `CallOptions` (``timeout_seconds``, ``cache``, ``tags``, …), ``api_base``, ``api_key_name``;
                everything else is a request parameter (``temperature``, ``max_tokens``, …).

        Raises:
            CallRejectedError: Nothing was sent; the message says why.
            ProviderError: It was sent and failed.
            ConfigError: Model, key or an option makes no sense.
        """
        return ENGINE.run(self.handle(self.make_call(prompt, model=model, system=system, **options)))

    def submit(
        self, prompt: Prompt, *, model: str | None = None, system: str | None = None, **options: Any
    ) -> Job[Reply]:
        """Send a prompt and return at once; arguments as for `ask`.

        Returns:
            A job: ``job.result()`` blocks, ``await job`` works on any loop, ``job.cancel()`` stops it.
        """
        return ENGINE.submit(self.handle(self.make_call(prompt, model=model, system=system, **options)))

    async def handle(self, call: Call) -> Reply:
        """Take a call through every stage, on the running loop."""
        call.started_at = self.runtime.clock.monotonic()
        reply = await self._handle(call)
        reply.attempts = call.attempts
        reply.duration_s = self.runtime.clock.monotonic() - call.started_at
        return reply

    def make_call(
        self,
        prompt: Prompt,
        *,
        model: str | None = None,
        system: str | None = None,
        api_base: str | None = None,
        api_key_name: str | None = None,
        **options: Any,
    ) -> Call:
        """Read what the person gave into a Call that has not started.

        Raises:
            ConfigError: Model or message makes no sense.
            InvalidPromptError: The prompt is empty.
        """
        service, name = self.find_model(model)
        treatment = {key: options.pop(key) for key in _TREATMENT & options.keys()}
        request = Request(
            provider=service,
            model=name,
            messages=read_prompt(prompt, system),
            parameters={key: value for key, value in options.items() if value is not None},
            api_base=api_base or self.config.api_base,
            api_key_name=api_key_name,
        )
        return Call(
            request=request,
            provider=self.provider(service),
            options=CallOptions(**treatment) if treatment else DEFAULT_OPTIONS,
        )

    def find_model(self, model: str | None = None) -> tuple[str, str]:
        """Service and model name of `model`, of the session's model, or of the embedded one where it is ready.

        Raises:
            ConfigError: Nothing is configured (the message lists the ways to choose), or the name makes no sense.
        """
        name = model or self.config.model or providers.embedded_model()
        if name is None:
            raise ConfigError(providers.ways_to_choose())
        return providers.split_model(name, self.config.aliases)

    def provider(self, service: str) -> Provider:
        """The session's adapter of a service, made on first use."""
        adapter = self._providers.get(service)
        if adapter is None:
            adapter = self._providers[service] = providers.make_provider(service, clock=self.runtime.clock)
        return adapter

    def close(self) -> None:
        """Let go of what the session holds open; it may not be used afterwards."""
        self._providers.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_TREATMENT = {item.name for item in dataclasses.fields(CallOptions)}


async def _send(call: Call) -> Reply:
    call.attempts += 1
    return await call.provider.send(call)


def _with_arguments(
    config: Config, *, timeout_seconds: float | None, home: str | os.PathLike[str] | None, **texts: str | None
) -> Config:
    changes: dict[str, Any] = {name: value for name, value in texts.items() if value is not None}
    if home is not None:
        changes["home"] = Path(home).expanduser()
    if timeout_seconds is not UNSET:
        changes["deadline"] = dataclasses.replace(
            config.deadline or Deadline(), timeout_seconds=timeout_seconds
        )
    return dataclasses.replace(config, **changes) if changes else config


def read_prompt(prompt: Prompt, system: str | None = None) -> tuple[Message, ...]:
    """Messages out of a text or a list of messages.

    Raises:
        InvalidPromptError: There is nothing to send.
        ConfigError: An item of the list is no message.
    """
    if isinstance(prompt, str):
        text = prompt.strip()
        messages = [Message("user", text)] if text else []
    else:
        messages = [_read_message(item) for item in prompt]
    if not any(message.content for message in messages):
        raise InvalidPromptError(
            "the prompt is empty or white space only; nothing was sent; write a prompt below the %%ai line"
        )
    if system:
        messages.insert(0, Message("system", system))
    return tuple(messages)


def _read_message(item: Any) -> Message:
    if isinstance(item, Message):
        return item
    if isinstance(item, Mapping) and set(item) == {"role", "content"} and item["role"] in get_args(Role):
        return Message(item["role"], item["content"])
    roles = ", ".join(get_args(Role))
    raise ConfigError(
        f"a message is a dict of role ({roles}) and content, or a Message; it is {type(item).__name__}"
    )


_current: Session | None = None


def current() -> Session:
    """The notebook's session, made from the configuration on first use."""
    global _current  # noqa: PLW0603 - a kernel has one notebook, and so one current session
    if _current is None:
        _current = _maker()()
    return _current


def use(session: Session | None) -> None:
    """Make `session` the notebook's; None means make a new one from the configuration when next asked."""
    global _current  # noqa: PLW0603 - see current()
    _current = session


def _maker() -> Callable[[], Session]:
    """The loaded extension's (it adds ``%config Ainb`` and shows notices), else `Session`.

    It is looked up, not handed in, so that ``%load_ext`` need not import this module.
    """
    make = getattr(sys.modules.get("ainb.magics"), "make_session", None)
    return make or Session
