"""Adapter for ``pydantic:PROVIDER:MODEL``: the providers of pydantic-ai, without its retries."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ainb import keys, redaction
from ainb.clock import Clock
from ainb.errors import AinbError, ConfigError
from ainb.messages import Call, Reply, Request
from ainb.providers.http import Origin, refuse_cleartext
from ainb.providers.pydantic_ai.names import SERVICE, key_variables, split_name
from ainb.providers.remote.body import add_notices
from ainb.providers.remote.service import account_name

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelResponse
    from pydantic_ai.models import Model

    from ainb.providers.pydantic_ai.models import Make


class PydanticAIProvider:
    """Sends a request through pydantic-ai's model classes, one attempt per call.

    Keys come from each provider's own environment variable (or our keyring and file of keys) and are read on
    each call.

    Args:
        clock: Clock of the session.
        allow_insecure_http: Whether prompts and keys may go to another machine over plain http.
        make: Makes the model of a name (``provider:model``); None means pydantic-ai's own choice.
    """

    name = SERVICE
    free = False

    def __init__(self, *, clock: Clock, allow_insecure_http: bool = False, make: Make | None = None) -> None:
        self._clock = clock
        self._allow_insecure_http = allow_insecure_http
        self._make = make
        self._loaded: set[str] = set()

    def body(self, request: Request) -> dict[str, Any]:
        """The request as it is passed to pydantic-ai; the provider's client builds the actual body."""
        body: dict[str, Any] = {
            "model": request.model,
            "messages": [{"role": item.role, "content": item.content} for item in request.messages],
            **request.parameters,
        }
        if request.schema is not None:
            body["schema"] = dict(request.schema.json_schema)
        return body

    def endpoint(self, request: Request) -> str:
        """The base URL of the call, otherwise the provider's name."""
        return request.api_base or f"{SERVICE}:{split_name(request.model)[0]}"

    def account(self, request: Request) -> str:
        """The endpoint, and the first 8 hex digits of the key's SHA-256 where there is one."""
        return account_name(self.endpoint(request), next(iter(_secrets(request)), None))

    async def send(self, call: Call) -> Reply:
        """One attempt; streamed when ``call.options.on_text`` is set and no schema is.

        Raises:
            ProviderError: It failed.
            ConfigError: pydantic-ai, the provider's client or its key is missing, or a name or a part of a
                message is invalid.
        """
        if call.request.api_base and not self._allow_insecure_http:
            refuse_cleartext(call.request.api_base, call.request.model)
        try:
            return await self._ask(call)
        except AinbError:
            raise
        except Exception as error:  # noqa: BLE001 - any exception of a client becomes an error of ainb
            fault = self._fault(call, error)
        # Raised outside the except block: the client's exception holds the request and with it the key.
        raise fault

    async def _ask(self, call: Call) -> Reply:
        request = call.request
        provider, name = split_name(request.model)
        if provider not in self._loaded:
            await asyncio.to_thread(_load, provider)
            self._loaded.add(provider)
        from pydantic_ai.direct import model_request

        from ainb.providers.pydantic_ai import request as shape

        model = await self._model(request)
        settings, left_out = shape.read_settings(request, provider, model)
        add_notices(
            call,
            [
                f"{request.model} does not accept {name} through pydantic-ai; it was left out"
                for name in left_out
            ],
        )
        given: dict[str, Any] = {
            "messages": shape.read_messages(request.messages),
            "model_settings": settings,
            "model_request_parameters": shape.read_parameters(request, model),
            "instrument": False,
        }
        watched = call.options.on_text is not None and request.schema is None
        response = await (self._stream(call, model, given) if watched else model_request(model, **given))
        text = shape.text_of(response, request)
        if text and not watched:
            call.emit(text, self._clock.monotonic())
        return Reply(
            text=text,
            model=response.model_name or name,
            provider=request.provider,
            usage=shape.read_usage(response.usage),
            finish_reason=shape.finish_reason_of(response, request.schema),
            reasoning=shape.reasoning_of(response),
            request_id=response.provider_response_id,
        )

    async def _stream(self, call: Call, model: Model, given: Mapping[str, Any]) -> ModelResponse:
        from pydantic_ai.direct import model_request_stream
        from pydantic_ai.messages import PartDeltaEvent, PartStartEvent, TextPart, TextPartDelta

        async with model_request_stream(model, **given) as stream:
            async for event in stream:
                text = ""
                if isinstance(event, PartStartEvent) and isinstance(event.part, TextPart):
                    text = event.part.content
                elif isinstance(event, PartDeltaEvent) and isinstance(event.delta, TextPartDelta):
                    text = event.delta.content_delta
                if text:
                    call.emit(text, self._clock.monotonic())
            return stream.get()

    async def _model(self, request: Request) -> Model:
        from ainb.providers.pydantic_ai.models import make_model, open_model

        provider, name = split_name(request.model)
        return await open_model(
            provider if provider == name else f"{provider}:{name}",
            base_url=request.api_base,
            api_key=_own_key(provider, request.api_key_name),
            key=_secrets(request),
            make=self._make or make_model,
        )

    def _fault(self, call: Call, error: Exception) -> AinbError:
        provider = split_name(call.request.model)[0]
        service = f"{SERVICE}:{provider}"
        if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == "pydantic_ai":
            return ConfigError(
                f"{service} needs pydantic-ai, which is not installed; pip install "
                "'ainb-notebook[pydantic-ai]'"
            )
        from ainb.providers.pydantic_ai.faults import fault_of

        origin = Origin(
            service=service,
            base_url=self.endpoint(call.request),
            key_variable=call.request.api_key_name or key_variables(provider)[0],
            secrets=_secrets(call.request),
        )
        return fault_of(error, origin, call.request.model, shown=call.shown, unix_now=self._clock.unix())


def _load(provider: str) -> None:
    """Import the modules that a call needs."""
    from ainb.providers.pydantic_ai import faults as pydantic_faults  # noqa: F401 - for the sake of importing
    from ainb.providers.pydantic_ai import models as pydantic_models
    from ainb.providers.pydantic_ai import request as pydantic_request  # noqa: F401 - for the sake of importing

    pydantic_models.preload(provider)


def _own_key(provider: str, key_name: str | None) -> str | None:
    """A key that pydantic-ai does not find: of another variable, of the keyring or of the file of keys."""
    if key_name is not None:
        key = keys.get(key_name)
        if key is None:
            raise ConfigError(
                f"{key_name} is not set; set it in the environment, or leave --api-key-name out"
            )
        return key
    found = [keys.where(name) for name in key_variables(provider)]
    if "environment" in found or not any(found):
        return None
    return next(key for name in key_variables(provider) if (key := keys.get(name)))


def _secrets(request: Request) -> tuple[str, ...]:
    """Values of the key variables that this request may use; messages must not show them."""
    names = (request.api_key_name,) if request.api_key_name else key_variables(split_name(request.model)[0])
    for name in names:
        redaction.watch(name)
    return tuple(key for name in names if (key := keys.get(name)))
