"""Validation stage: checks the prompt before anything is spent, and the reply before it is shown."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from ainb import tokens
from ainb.errors import DeadlineExceededError, InvalidPromptError, InvalidReplyError, ProviderError
from ainb.event_loop import LONG_CHARACTERS, USER_THREADS, is_long, work
from ainb.messages import Call, Handler, Message, Reply
from ainb.pipeline.validation.findings import notes, refusal
from ainb.pipeline.validation.options import Preset, Validation
from ainb.pipeline.validation.placeholders import put_back
from ainb.pipeline.validation.rules import Finding
from ainb.pipeline.validation.validator import Validator

T = TypeVar("T")

# Every model accepts 4,096 tokens, and a token is at least one byte: shorter prompts need no check.
LEAST_CONTEXT = 4_096
# For a vocabulary that is not public the count is an estimate.
ESTIMATE_MARGIN = 1.5
MAX_BYTES_A_CHARACTER = 4


def validate(text: str, preset: Preset = "default") -> list[Finding]:
    """Find the places in a text that the rules of a preset match; nothing is changed.

    Args:
        text: Treated as untrusted: every rule of the preset applies.
        preset: "default" or "strict".

    Returns:
        Findings in the order of the rules, then of the text; an empty list means nothing was found.

    Raises:
        ConfigError: The preset is unknown.

    Examples:
        >>> [(finding.rule, finding.action) for finding in validate("<script>", "strict")]
        [('script tag', 'block'), ('HTML tag', 'block')]
    """
    return _validator(preset).check(text)


@functools.lru_cache(maxsize=4)
def _validator(preset: Preset) -> Validator:
    return Validator(Validation(preset=preset))


class ValidationStage:
    """Applies rules to prompts and replies, and refuses prompts longer than the model's context.

    Args:
        options: Rules and actions.
        context_window: Returns the context window of a call's model in tokens, None where unknown.
    """

    def __init__(
        self, options: Validation, *, context_window: Callable[[Call], int | None] | None = None
    ) -> None:
        self.validator = Validator(options)
        self._own_rules = bool(options.rules)  # functions of the user, which may block
        self._context_window = context_window if options.context else None

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        """Validate the call, run it, and validate the reply.

        Raises:
            InvalidPromptError: A rule blocks the call, or the prompt is too long; nothing was sent.
            InvalidReplyError: A rule blocks the reply.
        """
        texts = [message.content for message in call.request.messages]
        check = self._look_at_call if self._own_rules else self._check_call
        if self._own_rules or is_long(texts, call.request.parameters):
            await self._in_thread(check, call)
        else:
            check(call)
        if self._context_window is not None and _most_tokens(call.request.messages) > LEAST_CONTEXT:
            await self._check_context(call, self._context_window)
        try:
            if call.options.on_text is not None and self._needs_whole(call):
                reply = await self._send_whole(call, proceed)
            else:
                reply = await proceed(call)
        except (DeadlineExceededError, ProviderError) as error:
            if self._needs_whole(call):
                error.text = None  # a part of a reply cannot be validated
            raise
        if self._own_rules or is_long(reply.text):
            return await self._in_thread(self._look_at_reply, call, reply)
        return self._look_at_reply(call, reply)

    def _in_thread(self, function: Callable[..., T], *arguments: object) -> Awaitable[T]:
        if self._own_rules:
            return USER_THREADS.run(functools.partial(function, *arguments))
        return asyncio.to_thread(function, *arguments)

    def _check_call(self, call: Call) -> None:
        if not self.validator.passes(call):
            self._look_at_call(call)

    def _look_at_call(self, call: Call) -> None:
        review = self.validator.review(call)
        if not review.findings:
            return
        call.notes.extend(note for note in review.notes if note not in call.notes)
        if review.request is not call.request:
            call.request, call.cache_key = review.request, None
            call.placeholders = dict(review.placeholders)
        if review.refusal is not None:
            raise InvalidPromptError(review.refusal)

    def _needs_whole(self, call: Call) -> bool:
        """Whether the whole reply must be validated before any of it is shown."""
        return self.validator.changes_reply or bool(self.validator.options.put_back and call.placeholders)

    async def _send_whole(self, call: Call, proceed: Handler) -> Reply:
        options = call.options
        call.options = dataclasses.replace(options, on_text=None)
        try:
            return await proceed(call)
        finally:
            call.options = options

    def _look_at_reply(self, call: Call, reply: Reply) -> Reply:
        text, findings = self.validator.review_reply(reply.text)
        if findings:
            refused = refusal(findings)
            if refused is not None:
                raise InvalidReplyError(refused, text=text)
            call.notes.extend(notes(self.validator.rules, findings, when=" in the reply"))
        if self.validator.options.put_back and call.placeholders:
            text = put_back(text, call.placeholders)
        return reply if text == reply.text else _with_text(call, reply, text)

    async def _check_context(self, call: Call, context_window: Callable[[Call], int | None]) -> None:
        size, window = _most_tokens(call.request.messages), context_window(call)
        if window is None or size <= window:
            return
        counted = await work(tokens.count_request, call.request, is_long=size > LONG_CHARACTERS)
        _, own = tokens.vocabulary_for(call.request.model)
        if counted.tokens > window * (1 if own else ESTIMATE_MARGIN):
            about = "" if own else "about "
            raise InvalidPromptError(
                f"the prompt of {about}{counted.tokens:,} tokens is longer than the {window:,} that "
                f"{call.request.model} takes; nothing was sent; shorten it, or use a model with a longer "
                "context"
            )


def _most_tokens(messages: Sequence[Message]) -> int:
    size = 0
    for message in messages:
        text = message.text
        size += len(text) if text.isascii() else len(text) * MAX_BYTES_A_CHARACTER
    return size


def _with_text(call: Call, reply: Reply, text: str) -> Reply:
    # A copy: the cache keeps the model's own text.
    changed = dataclasses.replace(reply, text=text)
    schema = call.request.schema
    if reply.parsed is None or schema is None:
        return changed
    try:
        changed.parsed = schema.check(changed.code)
    except ValueError:
        raise InvalidReplyError(
            f"the reply no longer matches the schema {schema.name} after validation has changed it; "
            "simplify the schema, or allow the rule",
            text=text,
        ) from None
    return changed
