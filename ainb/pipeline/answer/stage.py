"""Answer check stage: validates replies against a schema; repeats the request once with the error."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Awaitable
from typing import Any

from ainb.errors import InvalidReplyError
from ainb.event_loop import USER_THREADS
from ainb.messages import Call, Handler, Message, Reply, ReplySchema, Request, add_up, provider_savings
from ainb.pipeline.answer.finding import find_value

MAX_SHOWN_CHARACTERS = 200
TIMES_ASKED = 2


class AnswerStage:
    """Validates replies against the request's schema; inside the cache, which then stores only valid ones.

    Args:
        times_asked: Maximum number of requests; a batch job sends one.
    """

    def __init__(self, times_asked: int = TIMES_ASKED) -> None:
        self._times_asked = times_asked

    def __call__(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Send the request, check the reply, and send once more if the check fails.

        Raises:
            InvalidReplyError: The second reply is not valid either; its ``text`` is the raw reply.
        """
        schema = call.request.schema
        return proceed(call) if schema is None else _ask(call, proceed, schema, self._times_asked)


async def _ask(call: Call, proceed: Handler, schema: ReplySchema, times_asked: int) -> Reply:
    asked = call.request
    spent: list[Reply] = []
    problem = ""
    for _ in range(times_asked):
        reply = await proceed(call)
        spent.append(reply)
        if reply.finish_reason == "length" and not reply.text.strip():
            call.request = asked
            raise _without_text(schema, reply)
        try:
            reply.parsed = await _checked(schema, reply)
        except ValueError as error:
            if reply.finish_reason == "length":
                call.request = asked
                raise _cut(schema, reply, asked) from None
            problem = " ".join(str(error).split())
            call.request = _with_complaint(call, reply, problem)
        else:
            call.request = asked
            reply.usage, reply.cost_usd = add_up(spent)
            reply.provider_saved_usd = provider_savings(spent)
            return reply
    call.request = asked
    raise _invalid(schema, spent, problem)


async def _checked(schema: ReplySchema, reply: Reply) -> Any:
    """The checked value; functions of the user run in a thread.

    Raises:
        ValueError: The reply does not match.
    """
    if not schema.has_functions:
        return find_value(schema, reply.text)
    return await USER_THREADS.run(functools.partial(find_value, schema, reply.text))


async def check_again(schema: ReplySchema, reply: Reply) -> Any:
    """The checked value of a stored reply; a store keeps only the text.

    Raises:
        InvalidReplyError: It no longer matches, because the schema's own checks have changed.
    """
    try:
        return await _checked(schema, reply)
    except ValueError as error:
        problem = " ".join(str(error).split())[:MAX_SHOWN_CHARACTERS]
        raise InvalidReplyError(
            f"the stored reply does not match the schema {schema.name}: {problem}; ask again with --refresh "
            "(cache='refresh')",
            text=reply.text,
        ) from None


def _with_complaint(call: Call, reply: Reply, problem: str) -> Request:
    complaint = f"That was not valid: {problem}. Answer again with JSON of the schema and nothing else."
    # Anthropic refuses an assistant turn without text.
    said = (Message("assistant", reply.text),) if reply.text.strip() else ()
    messages = (*call.request.messages, *said, Message("user", complaint))
    return dataclasses.replace(call.request, messages=messages)


def _cut(schema: ReplySchema, reply: Reply, request: Request) -> InvalidReplyError:
    """The error of a cut reply, which is not repeated: it would be cut at the same limit again."""
    limit = next(iter(request.output_limits), None)
    where = "its output limit" if limit is None else f"max_tokens = {limit}"
    return InvalidReplyError(
        f"the reply was cut at {where}, before it matched the schema {schema.name}; raise --max-tokens "
        "(max_tokens)",
        text=reply.text,
    )


def _without_text(schema: ReplySchema, reply: Reply) -> InvalidReplyError:
    """The error of a reply without text, which is not repeated: it would end the same way."""
    return InvalidReplyError(
        f"there is no reply to check against the schema {schema.name}: the output limit was reached before "
        "any text, since thinking counts towards it; raise max_tokens (--max-tokens), or lower effort "
        "(--effort)",
        text=reply.text,
    )


def _invalid(schema: ReplySchema, spent: list[Reply], problem: str) -> InvalidReplyError:
    times = ", asked twice" if len(spent) > 1 else ""
    return InvalidReplyError(
        f"the reply does not match the schema {schema.name}{times}: {problem[:MAX_SHOWN_CHARACTERS]}; "
        "simplify the schema, show an example in the prompt, or try a larger model",
        text=spent[-1].text,
    )
