"""Contract tests for provider adapters, as a class from which authors of adapters derive their tests.

    class TestMine(AdapterContract):
        secret = "sk-of-a-test"

        def make_adapter(self):
            return MyProvider(clock=SYSTEM_CLOCK)

        def make_request(self):
            return Request(provider="mine", model="m", messages=(Message("user", "hi"),))

        def make_refused_request(self):
            return Request(provider="mine", model="no-such-model", messages=(Message("user", "hi"),))

The tests send these requests: use a server of your own.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from typing import Any, TypeVar

from ainb.errors import AinbError
from ainb.messages import Call, CallOptions, Provider, Reply, Request

T = TypeVar("T")
WAIT_SECONDS = 30.0


class AdapterContract:
    """Contract tests; pytest collects them from a subclass whose name begins with Test.

    Attributes:
        secret: API key that the adapter uses in the test; None if it uses none.
    """

    secret: str | None = None

    def make_adapter(self) -> Provider:
        """Make a new adapter."""
        raise NotImplementedError

    def make_request(self) -> Request:
        """Make a request that the service answers with text."""
        raise NotImplementedError

    def make_refused_request(self) -> Request:
        """Make a request that the service refuses permanently."""
        raise NotImplementedError

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end on a new event loop."""
        loop = asyncio.new_event_loop()
        try:
            return loop.run_until_complete(asyncio.wait_for(work, WAIT_SECONDS))
        finally:
            loop.run_until_complete(self.clean_up())
            loop.close()

    async def clean_up(self) -> None:
        """Close connections that the adapter keeps open for an event loop."""

    def test_the_service_has_a_name_of_one_word(self) -> None:
        """The name is a single word, because it precedes the model's name in ``provider:model``."""
        name = self.make_adapter().name
        _must(bool(name) and not set(name) & set(":/ \t\n"), f"a name without : / and blanks, not {name!r}")

    def test_it_says_whether_calls_are_free(self) -> None:
        """`free` is a bool, not a price."""
        _must(isinstance(self.make_adapter().free, bool), "free is True or False")

    def test_the_body_is_json_and_the_same_each_time(self) -> None:
        """The body of a request is JSON and the same in every process."""
        first, second = (
            json.dumps(self.make_adapter().body(self.make_request()), sort_keys=True) for _ in range(2)
        )
        _must(first == second, "the same request gives the same body")

    def test_no_key_is_in_body_endpoint_or_account(self) -> None:
        """Body, endpoint and account do not contain the key, because they are stored and shown."""
        adapter, request = self.make_adapter(), self.make_request()
        shown = [
            str(adapter.body(request)),
            adapter.endpoint(request),
            adapter.account(request),
            repr(adapter),
        ]
        _must(not self.secret or not any(self.secret in text for text in shown), "the key appears nowhere")

    def test_an_answer_is_a_whole_reply(self) -> None:
        """An answer is a `Reply` with text and a finish reason in ainb's terms."""
        reply = self._ask(self.make_request())
        _must(isinstance(reply, Reply), f"a Reply, not {type(reply).__name__}")
        _must(bool(reply.text), "a text")
        _must(reply.finish_reason == "stop", f"finish_reason 'stop', not {reply.finish_reason!r}")

    def test_tokens_are_whole_numbers_or_unknown(self) -> None:
        """Token counts are whole numbers or None (unknown); cached tokens are part of the input."""
        usage = self._ask(self.make_request()).usage
        counts = [usage.input_tokens, usage.output_tokens, usage.cache_read_input_tokens]
        _must(all(count is None or (type(count) is int and count >= 0) for count in counts), "whole numbers")
        _must(
            (usage.cache_read_input_tokens or 0) <= (usage.input_tokens or 0), "cached is part of the input"
        )

    def test_the_pieces_of_a_stream_add_up_to_the_reply(self) -> None:
        """Streamed pieces add up to the reply's text, also when the service does not stream."""
        pieces: list[str] = []
        reply = self._ask(self.make_request(), CallOptions(on_text=pieces.append))
        _must("".join(pieces) == reply.text, "the pieces are the text")

    def test_a_refusal_is_an_error_of_ours_on_one_line_without_the_key(self) -> None:
        """A refusal raises one of ainb's errors, on one line and without the key."""
        try:
            self._ask(self.make_refused_request())
        except AinbError as error:
            _must(str(error).isprintable(), "one line")
            _must(not self.secret or self.secret not in str(error), "the key appears nowhere")
        else:
            _must(False, "a refused request raises")

    def test_the_request_is_left_as_it_is(self) -> None:
        """The request is unchanged, because another attempt or model may use it."""
        request = self.make_request()
        before = repr(request)
        self._ask(request)
        _must(repr(request) == before, "the request is not changed")

    def _ask(self, request: Request, options: CallOptions | None = None) -> Reply:
        adapter = self.make_adapter()
        call = Call(request=request, provider=adapter, options=options or CallOptions())
        return self.run(_send(adapter, call))


async def _send(adapter: Provider, call: Call) -> Reply:
    return await adapter.send(call)


def _must(holds: bool, what: str) -> None:  # noqa: FBT001 - reads like the assert that it is
    if not holds:
        raise AssertionError(what)
