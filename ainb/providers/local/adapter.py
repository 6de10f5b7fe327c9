"""Adapter for ``local:MODEL``: a GGUF file on this machine, run by llama.cpp; no key, no network, no cost."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

from ainb.clock import Clock
from ainb.errors import PermanentProviderError, ProviderError, TransientProviderError
from ainb.messages import UNKNOWN_USAGE, Call, Reply, Request
from ainb.providers.http import Exchange, make_target
from ainb.providers.local import weights
from ainb.providers.local.child import Local, Process
from ainb.providers.local.repetition import RepetitionWatch
from ainb.providers.local.server import SERVERS, Server
from ainb.providers.openai import STREAM_FLAGS, Answer, OpenAIProvider
from ainb.providers.services import SERVICES

DEFAULT = Local()
MAX_DEATHS = 2
CRASH_STATUSES = frozenset({None, 200})  # statuses of an error after a crash of the server
# After a stream llama.cpp closes a connection that it had announced to keep alive: about one in six of the
# next calls on it failed.
CLOSE_CONNECTION = {"Connection": "close"}
# A small model may never stop. The limit is set when a call is sent, so that cache keys and cassettes stay
# those of the request.
USUAL_LIMIT = 1_024
OUTPUT_LIMITS = frozenset({"max_tokens", "max_completion_tokens", "n_predict"})


class _RepetitionError(Exception):
    """Ends the stream of a reply that only repeats itself."""


class LocalProvider:
    """Provider of models that llama.cpp runs in a child process, shared by all sessions of this process.

    A base URL or a key in the request is ignored.
    """

    name = "local"
    free = True

    def __init__(self, *, clock: Clock, options: Local = DEFAULT) -> None:
        self._options = options
        self._exchange = Exchange(Answer, clock=clock)
        self._openai = OpenAIProvider(SERVICES["local"], clock=clock)
        self._clock = clock
        self._loading: Counter[str] = Counter()

    @property
    def slots(self) -> int:
        """Calls that are answered at the same time; further calls wait in the server."""
        return self._options.slots

    def body(self, request: Request) -> dict[str, Any]:
        """The request in the OpenAI protocol; a schema becomes a grammar that constrains the reply."""
        return self._openai.body(request)

    def endpoint(self, request: Request) -> str:
        """Identity of the weights in any folder: another file of the same name is another endpoint."""
        return f"local:{weights.identity(request.model)}"

    def account(self, request: Request) -> str:
        """The model's name: each model has its own slots."""
        return self.endpoint(request)

    def activities(self) -> dict[str, str]:
        """What calls are waiting for, by model: the loading of the model."""
        return {model: "loading the model" for model, calls in self._loading.items() if calls}

    async def send(self, call: Call) -> Reply:
        """One attempt; the first one starts the server.

        Raises:
            ConfigError: The model is not on this machine, or llama.cpp is not installed.
            PermanentProviderError: The model cannot be loaded, or the prompt is longer than the context.
            TransientProviderError: The server crashed during the call.
        """
        request = call.request
        server = SERVERS.server(weights.find(request.model), self._options)
        self._loading[request.model] += 1
        try:
            process = await server.ready()
        finally:
            self._loading[request.model] -= 1
        target = make_target(self.name, f"{process.url}/v1", headers=CLOSE_CONNECTION, key=process.key)
        wire = self._openai.wire(request)
        if not OUTPUT_LIMITS & wire.body.keys():
            wire.body["max_tokens"] = USUAL_LIMIT
        # A grammar may require a value many times: then only endless whitespace counts as repetition.
        watch = RepetitionWatch(only_blanks=request.schema is not None or "response_format" in wire.body)
        try:
            reply = await self._exchange.send(self._streamed(call, watch), target, wire.body | STREAM_FLAGS)
        except _RepetitionError:
            call.notes.append("stopped, because the model only repeated itself; a larger model does so less")
            reply = Reply(
                text=watch.trimmed(),
                model=request.model,
                provider=self.name,
                usage=UNKNOWN_USAGE,
                finish_reason="length",
            )
        except TransientProviderError as error:
            if error.status_code not in CRASH_STATUSES:
                raise
            fault = await self._crash_error(server, process, request.model)
            if fault is None:
                raise
            raise fault from error
        process.answered = True
        reply.model = request.model
        if wire.schema is not None or wire.tools is not None:
            reply.text = wire.read_back(reply.text, request.schema)
        return reply

    def _streamed(self, call: Call, watch: RepetitionWatch) -> Call:
        """The same call, always streamed.

        llama.cpp only detects a closed connection while it streams: without streaming, a cancelled request
        kept its slot until the whole answer was generated.
        """

        def pass_on(text: str) -> None:
            call.emit(text, self._clock.monotonic())
            if watch.feed(text):
                raise _RepetitionError

        options = dataclasses.replace(call.options, on_text=pass_on)
        return dataclasses.replace(call, options=options, pieces=[])

    async def _crash_error(self, server: Server, process: Process, model: str) -> ProviderError | None:
        """Error for a server that died during a call; None if it still runs."""
        deaths = await server.died(process)
        if deaths == 0:
            return None
        if deaths < MAX_DEATHS:
            return TransientProviderError(
                f"local: llama.cpp died while it answered ({process.last_log_line}); another attempt starts "
                "it anew"
            )
        return PermanentProviderError(
            f"local: llama.cpp died again before {model} gave an answer ({process.last_log_line}); "
            "use a smaller model, fewer slots or fewer context_tokens"
        )
