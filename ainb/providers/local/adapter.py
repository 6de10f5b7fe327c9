"""``local:MODEL``: a GGUF file on this machine, answered by llama.cpp; no key, no network, no cost."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

from ainb.clock import Clock
from ainb.errors import PermanentProviderError, ProviderError, TransientProviderError
from ainb.messages import UNKNOWN_USAGE, Call, Reply, Request
from ainb.providers.http import make_target
from ainb.providers.local import weights
from ainb.providers.local.child import Local, Process
from ainb.providers.local.repetition import RepetitionWatch
from ainb.providers.local.server import SERVERS, Server
from ainb.providers.openai import ChatClient, OpenAIProvider
from ainb.providers.services import SERVICES

DEFAULT = Local()
MAX_DEATHS = 2
BROKEN_OFF = frozenset({None, 200})  # statuses of a fault that a dying server leaves
# After a stream llama.cpp closes the connection that it just promised to keep: the next call on it found
# nobody there in about one of six.
ONE_CALL = {"Connection": "close"}
# A small model may go on for ever. Set when a call is sent: keys and cassettes are those of the request.
USUAL_LIMIT = 1_024
OUTPUT_LIMITS = frozenset({"max_tokens", "max_completion_tokens", "n_predict"})


class _GoesRoundError(Exception):
    """Ends the stream of a reply that only repeats itself."""


class LocalProvider:
    """Models that llama.cpp runs in a child process, which all sessions of this process share.

    A base URL or a key of the request has no meaning here and is left alone.

    Args:
        clock: Where time comes from.
        options: How models are served.
    """

    name = "local"
    free = True

    def __init__(self, *, clock: Clock, options: Local = DEFAULT) -> None:
        self._options = options
        self._chat = ChatClient(clock=clock)
        self._openai = OpenAIProvider(SERVICES["local"], clock=clock)
        self._clock = clock
        self._loading: Counter[str] = Counter()

    @property
    def slots(self) -> int:
        """Calls that are answered at the same time; more than these wait in the server."""
        return self._options.slots

    def body(self, request: Request) -> dict[str, Any]:
        """The request as the OpenAI protocol carries it.

        A schema becomes a grammar that the reply cannot leave.
        """
        return self._openai.body(request)

    def endpoint(self, request: Request) -> str:
        """Which weights answer, wherever they lie: another file of the same name is another place."""
        return f"local:{weights.identity(request.model)}"

    def account(self, request: Request) -> str:
        """Each model has slots of its own."""
        return self.endpoint(request)

    def activities(self) -> dict[str, str]:
        """What calls wait for, by model: a model that is being loaded."""
        return {model: "loading the model" for model, calls in self._loading.items() if calls}

    async def send(self, call: Call) -> Reply:
        """One attempt; the first one starts the server.

        Raises:
            ConfigError: The model is not here, or llama.cpp is not installed.
            PermanentProviderError: The model cannot be loaded, or the prompt is longer than the context.
            TransientProviderError: The server died under the call.
        """
        request = call.request
        server = SERVERS.server(weights.find(request.model), self._options)
        self._loading[request.model] += 1
        try:
            process = await server.ready()
        finally:
            self._loading[request.model] -= 1
        target = make_target(self.name, f"{process.url}/v1", headers=ONE_CALL, key=process.key)
        wire = self._openai.wire(request)
        if not OUTPUT_LIMITS & wire.body.keys():
            wire.body["max_tokens"] = USUAL_LIMIT
        # A grammar may ask for a value many times; only blanks without end are a fault then.
        watch = RepetitionWatch(only_blanks=request.schema is not None or "response_format" in wire.body)
        try:
            reply = await self._chat.send(self._streamed(call, watch), target, wire.body)
        except _GoesRoundError:
            call.notes.append("stopped, because the model only repeated itself; a larger model does so less")
            reply = Reply(
                text=watch.trimmed(),
                model=request.model,
                provider=self.name,
                usage=UNKNOWN_USAGE,
                finish_reason="length",
            )
        except TransientProviderError as error:
            if error.status_code not in BROKEN_OFF:
                raise
            fault = await self._autopsy(server, process, request.model)
            if fault is None:
                raise
            raise fault from error
        process.answered = True
        reply.model = request.model
        if wire.schema is not None or wire.tools is not None:
            reply.text = wire.read_back(reply.text, request.schema)
        return reply

    def _streamed(self, call: Call, watch: RepetitionWatch) -> Call:
        """The same call, streamed whether or not somebody watches.

        llama.cpp notices that nobody waits any more only while it streams: a plain request that was cancelled
        kept its slot for as long as the whole answer took.
        """

        def pass_on(text: str) -> None:
            call.emit(text, self._clock.monotonic())
            if watch.feed(text):
                raise _GoesRoundError

        options = dataclasses.replace(call.options, on_text=pass_on)
        return dataclasses.replace(call, options=options, pieces=[])

    async def _autopsy(self, server: Server, process: Process, model: str) -> ProviderError | None:
        """The fault of a server that died under a call, or None when it lives."""
        deaths = await server.died(process)
        if deaths == 0:
            return None
        if deaths < MAX_DEATHS:
            return TransientProviderError(
                f"local: llama.cpp died while it answered ({process.last_words}); another attempt starts it "
                "anew"
            )
        return PermanentProviderError(
            f"local: llama.cpp died again before it answered {model} once ({process.last_words}); "
            "take a smaller model, fewer slots or fewer context_tokens"
        )
