"""Adapter for the Messages protocol of Anthropic and of gateways in front of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ainb.messages import Request
from ainb.providers.anthropic.reply import Answer
from ainb.providers.anthropic.request import build, read_schema_lesson
from ainb.providers.batch_service import BatchService
from ainb.providers.http import BatchHttp, Target, make_target, without_path
from ainb.providers.lessons.lesson import Lesson
from ainb.providers.remote.body import Wire
from ainb.providers.remote.provider import RemoteProvider
from ainb.providers.remote.service import Settings

VERSION: Final = "2023-06-01"
PATH: Final = "/v1"


class AnthropicProvider(RemoteProvider):
    """Provider for one service of the Messages protocol.

    Parameters with OpenAI's names are translated; those that only this protocol has (``thinking``, ``top_k``,
    …) are sent unchanged. ``cache_control`` (true, or Anthropic's own dict) marks the system message and the
    end of the conversation for its prompt cache.

    Args and errors as for `RemoteProvider`.
    """

    models_path = "/models?limit=1000"
    required = frozenset({"max_tokens"})

    answer = Answer
    stream_flags: Mapping[str, Any] = {"stream": True}
    read_schema_lesson = staticmethod(read_schema_lesson)

    def wire(self, request: Request, lessons: Sequence[Lesson] = (), **how: Any) -> Wire:
        """The outgoing body; see the base class."""
        # Jobs run longer than the five minutes that a prefix is kept by default.
        return build(request, lessons, cache_hour=how.pop("purpose", "") == "job", **how)

    def _batches(self, http: BatchHttp, **how: Any) -> BatchService:
        from ainb.providers.anthropic.batches import AnthropicBatches

        return AnthropicBatches(http, **how)

    def _target(self, url: str, given: Settings) -> Target:
        # Anthropic's own clients take the base URL without the version, gateways often include it.
        return make_target(
            self.name,
            _with_version(url),
            headers={"anthropic-version": VERSION},
            key=given.key,
            key_header="x-api-key",
            key_variable=given.key_name,
            base_url_variable=self._service.base_url_variable,
            path="/messages",
        )


def _with_version(url: str) -> str:
    base, mark, query = without_path(url, "/messages").partition("?")
    return base.removesuffix(PATH) + PATH + mark + query
