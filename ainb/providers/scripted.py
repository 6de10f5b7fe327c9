"""Deterministic provider without a network: ``scripted:echo``, and scripts of replies, delays and faults."""

from __future__ import annotations

import asyncio
from typing import Any

from ainb.clock import Clock
from ainb.errors import ConfigError, PermanentProviderError, TransientProviderError
from ainb.messages import Call, Reply, Request, Usage
from ainb.testing.faults import SCRIPTS, Script, Step

ECHO = Step()
TRANSIENT_STATUSES = frozenset({408, 409, 425, 429, *range(500, 600)})
NEVER_SECONDS = 86_400.0


class ScriptedProvider:
    """Provider that plays the script of the model's name; ``echo`` returns the prompt.

    Token counts are word counts, marked as estimates, so that they are the same on every machine.
    """

    name = "scripted"
    free = True

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock

    def body(self, request: Request) -> dict[str, Any]:
        """The request in the form of the OpenAI protocol."""
        messages = [{"role": message.role, "content": message.content} for message in request.messages]
        return {"model": request.model, "messages": messages, **request.parameters}

    def endpoint(self, request: Request) -> str:
        """Identity of the script: a script that replaces it has its own circuit and cached answers."""
        made = SCRIPTS.get(request.model)
        return "scripted" if made is None else f"scripted#{made.token}"

    def account(self, request: Request) -> str:
        """A constant: there is one account."""
        return "scripted"

    async def send(self, call: Call) -> Reply:
        """Play the next step of the script.

        Raises:
            ConfigError: There is no script of that name.
            ProviderError: The step is a fault.
        """
        request = call.request
        step = ECHO if request.model == "echo" else self._script(request.model).next()
        if step.hang or step.delay_seconds:
            await self._clock.sleep(NEVER_SECONDS if step.hang else step.delay_seconds)
        if step.status is not None:
            raise _fault(step, step.status)
        if step.garbage:
            raise TransientProviderError(
                "scripted: the body of the reply is not JSON", status_code=200, billed=True
            )
        prompt = request.messages[-1].text
        text = prompt if step.text is None else step.text
        await self._stream(call, text, cut=step.cut)
        return Reply(
            text=text,
            model=request.model,
            provider=self.name,
            usage=Usage(
                input_tokens=sum(len(message.text.split()) for message in request.messages),
                output_tokens=len(text.split()),
                source="estimate",
            ),
            finish_reason="stop",
        )

    async def _stream(self, call: Call, text: str, *, cut: bool) -> None:
        if call.options.on_text is not None:
            for word in text.splitlines(keepends=True) or [""]:
                call.emit(word, self._clock.monotonic())
                if cut:
                    break
                await asyncio.sleep(0)
        if cut:
            raise TransientProviderError(
                "scripted: the connection was cut in the middle of the reply", billed=True
            )

    def _script(self, name: str) -> Script:
        try:
            return SCRIPTS[name]
        except KeyError:
            known = ", ".join(["echo", *sorted(SCRIPTS)])
            raise ConfigError(
                f"there is no script {name!r}; scripts are: {known}; make one with "
                f"ainb.testing.script({name!r}, [...])"
            ) from None


def _fault(step: Step, status: int) -> PermanentProviderError | TransientProviderError:
    final = step.code == "insufficient_quota" or status not in TRANSIENT_STATUSES
    kind = PermanentProviderError if final else TransientProviderError
    code = f" ({step.code})" if step.code else ""
    return kind(
        f"scripted answered {status}{code}", status_code=status, code=step.code, retry_after=step.retry_after
    )
