"""Takes rows of batch jobs through the pipeline: without a provider before submission, later with results."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Callable

from ainb.core import Core
from ainb.errors import AinbError, InvalidPromptError, PermanentProviderError
from ainb.jobs.record import JobRecord
from ainb.messages import Call, CallOptions, Handler, Provider, Reply, Request
from ainb.pipeline import compose
from ainb.pipeline.send import Sender
from ainb.providers.batch_service import BatchService, RequestResult

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32, the alphabet of ULIDs
_TIME_CHARS = 10
_HASH_CHARS = 16


class _StandIn:
    """Replacement of a provider with the same endpoint and account, whose answers a function returns."""

    def __init__(self, provider: Provider, answer: Callable[[Call], Reply]) -> None:
        self.name = provider.name
        self.free = provider.free
        self.body = provider.body
        self.endpoint = provider.endpoint
        self.account = provider.account
        self._answer = answer

    async def send(self, call: Call) -> Reply:
        return self._answer(call)


class Delivery:
    """Pipeline of rows that are answered by batch jobs or by a call for several rows.

    Args:
        core: Core whose stages the rows pass.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        stages, sender = core.stages, Sender(core.prices, core.runtime.sink)
        inner = stages.of_batch_rows()
        self._recorded = compose([stages.record, *inner], sender)
        self._unrecorded = compose(inner, sender)
        front = [stages.validation] if stages.validation else []
        self._screen = compose(front, self._look)
        self._refreshed: tuple[CallOptions, CallOptions] | None = None

    async def screen(self, call: Call) -> Request | None:
        """The request as it would be sent; None when the stages answer or refuse the call themselves."""
        probe = call.fork()
        try:
            await self._screen(probe)
        except _ScreenedError as end:
            return None if end.is_answered else probe.request
        except Exception:  # noqa: BLE001 - `answer` raises and records it again
            return None
        return None

    async def answer(self, call: Call) -> Reply:
        """Answer a call for which `screen` returned None, without the provider.

        Raises:
            AinbError: The stages refuse it.
        """
        call.provider = _StandIn(call.provider, _refuse)
        return await self._core.through(self._recorded, call)

    async def deliver(
        self,
        call: Call,
        job: JobRecord,
        number: int,
        result: RequestResult | None,
        *,
        service: BatchService,
        is_logged: bool,
    ) -> Reply:
        """Take a result through the stages like a live reply.

        Args:
            call: The row's call, not yet started.
            job: The job of the result.
            number: Number of the request in the job.
            result: The result; None if the provider returned none.
            service: Parses the result.
            is_logged: Whether the usage log has its row already, from an interrupted merge.

        Raises:
            ProviderError: The request failed, or was not processed.
            InvalidReplyError: The reply does not match the schema, or is blocked.
        """

        def answer(call: Call) -> Reply:
            if result is None:
                raise _not_returned(job, number)
            return _read_result(call, service, result)

        call.provider = _StandIn(call.provider, answer)
        call.delivery = "batch"
        call.call_id = request_call_id(job, number)
        call.ended_at = job.ended_at
        call.duration_s = max(0.0, (job.ended_at or 0.0) - (job.submitted_at or job.planned_at))
        call.options = self._refresh(call.options)
        handler: Handler = self._unrecorded if is_logged else self._recorded
        return await self._core.through(handler, call)

    async def deliver_reply(self, call: Call, reply: Reply, attempts: int) -> Reply:
        """Take a row's part of an answer through the stages like a live reply; its call is already logged.

        Args:
            call: The row's call, not yet started.
            reply: The row's part, with its share of tokens and cost.
            attempts: Number of provider calls.

        Raises:
            InvalidReplyError: The reply does not match the schema, or is blocked.
        """
        call.provider = _StandIn(call.provider, lambda _call: reply)
        call.options = self._refresh(call.options)
        try:
            return await self._core.through(self._unrecorded, call)
        finally:
            call.attempts = attempts

    async def _look(self, call: Call) -> Reply:
        replay, cache = self._core.stages.replay, self._core.stages.cache
        if replay is not None and replay.answers(call):
            raise _ScreenedError(is_answered=True)
        raise _ScreenedError(is_answered=cache is not None and await cache.holds(call))

    def _refresh(self, options: CallOptions) -> CallOptions:
        """The same options with a cache that is written and not read: the answer is there and paid for."""
        if options.cache != "use":
            return options
        if self._refreshed is None or self._refreshed[0] is not options:
            self._refreshed = options, dataclasses.replace(options, cache="refresh")
        return self._refreshed[1]


class _ScreenedError(AinbError):
    """End of a call that is only screened: whether cassette or cache would answer it."""

    def __init__(self, *, is_answered: bool) -> None:
        Exception.__init__(self)
        self.is_answered = is_answered


def _refuse(_call: Call) -> Reply:
    """Raise for a call that a stage should have answered."""
    raise InvalidPromptError(
        "the stored answer of this row was removed while it was read; nothing was sent; run the batch again"
    )


def _read_result(call: Call, service: BatchService, result: RequestResult) -> Reply:
    """The reply in a result.

    Raises:
        ProviderError: The request failed, or was not processed.
    """
    if result.status_code is None:
        code = f" ({result.code})" if result.code else ""
        words = result.message or "the provider did not process it"
        raise PermanentProviderError(
            f"{call.provider.name} did not answer this row{code}: {words}; retry_failed=True sends it again",
            code=result.code,
        )
    reply = service.reply(call, result)
    call.first_text_at = None  # the text was not streamed
    return reply


def _not_returned(job: JobRecord, number: int) -> PermanentProviderError:
    if job.fault is None:
        # It is unknown whether the request was processed, and so whether it is billed.
        return PermanentProviderError(
            f"the provider returned nothing for this row of the job {job.job_id}; retry_failed=True "
            "sends it again",
            billed=True,
        )
    words = job.fault_lines.get(number, job.fault)
    lost = job.ended_at is not None and job.status not in {"failed", ""} and not job.fault_lines
    code = f" ({job.fault_code})" if job.fault_code else ""
    return PermanentProviderError(
        f"the job of this row failed{code}: {words}; retry_failed=True sends it again",
        code=job.fault_code,
        billed=lost,
    )


def request_call_id(job: JobRecord, number: int) -> str:
    """Id of a request's usage row, derived from job and number, so that no row is logged twice."""
    milliseconds = int((job.submitted_at or job.planned_at) * 1000)
    digest = int.from_bytes(hashlib.sha256(f"{job.job_uuid}/{number}".encode()).digest()[:10])
    return _crockford(milliseconds, _TIME_CHARS) + _crockford(digest, _HASH_CHARS)


def logged_calls(core: Core, job: JobRecord) -> set[str]:
    """Ids of the usage rows of batch jobs since a job was submitted; used after an interrupted merge."""
    core.log.flush()
    since = int(((job.submitted_at or job.planned_at) - 1.0) * 1e6)
    query = (
        "SELECT call_id FROM calls WHERE started_us >= ? AND delivery = (SELECT id FROM words WHERE word = "
        "'batch')"
    )
    with contextlib.suppress(AinbError), core.log.reading() as connection:
        return {call_id for (call_id,) in connection.execute(query, (since,))}
    return set()  # a row that is logged twice is better than results that are not delivered


def _crockford(value: int, length: int) -> str:
    return "".join(_ALPHABET[value >> 5 * place & 31] for place in reversed(range(length)))
