"""Adapter for the OpenAI chat protocol: OpenAI, Azure, Ollama, LM Studio, vLLM, Groq, Gemini and others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ainb.messages import Request
from ainb.providers.batch_service import BatchService
from ainb.providers.http import BatchHttp, Target, make_target, without_path
from ainb.providers.lessons.lesson import Lesson
from ainb.providers.openai.reply import Answer
from ainb.providers.openai.request import build, read_schema_lesson
from ainb.providers.remote.body import Wire
from ainb.providers.remote.cache_layout import CacheKeys
from ainb.providers.remote.provider import RemoteProvider
from ainb.providers.remote.service import Settings
from ainb.providers.services import Service
from ainb.variables import value_of

AZURE_PATH = "/openai/v1"
CHAT_PATH = "/chat/completions"
STREAM_FLAGS: Final = {"stream": True, "stream_options": {"include_usage": True}}


class OpenAIProvider(RemoteProvider):
    """Provider for one service of the OpenAI chat protocol.

    Args:
        service: Row of the table of services.
        options: Keyword arguments of `RemoteProvider`.
    """

    answer = Answer
    stream_flags = STREAM_FLAGS
    read_schema_lesson = staticmethod(read_schema_lesson)

    def __init__(self, service: Service, **options: Any) -> None:
        super().__init__(service, **options)
        self._cache_keys = CacheKeys()

    def wire(self, request: Request, lessons: Sequence[Lesson] = (), **how: Any) -> Wire:
        """The outgoing body; see the base class."""
        cache_key = self._cache_key if how.pop("purpose", "") == "send" else None
        return build(request, self.name, lessons, cache_key=cache_key, **how)

    def _cache_key(self, prefix: str) -> str:
        return self._cache_keys.next(prefix, self._clock.monotonic())

    def _batches(self, http: BatchHttp, **how: Any) -> BatchService:
        from ainb.providers.openai.batches import OpenAIBatches

        return OpenAIBatches(http, azure=self.name == "azure", **how)

    def _more(self) -> tuple[str | None, ...]:
        if self._service.name != "openai":
            return ()
        return value_of("OPENAI_ORG_ID"), value_of("OPENAI_PROJECT_ID")

    def _target(self, url: str, given: Settings) -> Target:
        service = self._service
        azure = service.name == "azure"
        if azure and not given.by_caller:
            url = _azure_url(url)
        more = zip(("OpenAI-Organization", "OpenAI-Project"), given.more, strict=False)
        return make_target(
            service.name,
            url,
            headers={name: value for name, value in more if value},
            key=given.key,
            key_header="api-key" if azure else "Authorization",
            key_variable=given.key_name,
            base_url_variable=service.base_url_variable,
        )


def _azure_url(url: str) -> str:
    """URL of an Azure resource with the path of the v1 API; a URL with a deployment (the older API) stays."""
    base, mark, query = without_path(url, CHAT_PATH).partition("?")
    if "/deployments/" in base:
        return base + mark + query
    return base.removesuffix(AZURE_PATH).removesuffix("/openai") + AZURE_PATH + mark + query
