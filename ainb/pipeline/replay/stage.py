"""Replay stage: answers calls from the notebook's cassette, or records live answers into it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable
from decimal import Decimal
from typing import Literal

from ainb.clock import Clock
from ainb.errors import ConfigError, DeadlineExceededError, InvalidReplyError, ReplayMissError
from ainb.events import Notice, Sink
from ainb.messages import Call, Handler, Reply
from ainb.pipeline.replay.cassettes import Library
from ainb.pipeline.replay.outcome import (
    apply_measured,
    mark_hit,
    read_failure,
    read_reply,
    write_failure,
    write_measured,
    write_reply,
)
from ainb.pipeline.replay.request import Asked, read_request, redacted
from ainb.stores.cassette import MEASURED, Cassette, Line, UnreadableFileError, write_line

Mode = Literal["record", "replay", "auto"]
NEVER_RECORDED = "scripted"
CLOCK_SECONDS = 0.005  # a loop's timer may fire this much early


def not_booked(_call: Call, _cost: Decimal) -> None:
    """Do nothing: in a session with a real budget replayed calls cost nothing."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Recording:
    call: Call
    asked: Asked
    cassette: Cassette
    notes_before: int  # before the call was sent


class ReplayStage:
    """Answers calls from a cassette, records them, or both.

    A record is the final outcome of a call: inner stages (cache, budget, retry, rate limit) do not run in
    replay. A request that is repeated in the same session is answered from the cassette like a cache hit,
    also while recording, so that a notebook shows the same when it is recorded and when it is replayed.

    Args:
        mode: "record" (live calls, recorded), "replay" (from the cassette only), "auto" (from the cassette,
            else as "record").
        library: The cassettes of this notebook.
        sink: Receives one notice when an answer cannot be recorded.
        caching: Whether the session has a cache, so that a repeated request costs nothing.
        book: Called with the recorded cost of a replayed call.
    """

    def __init__(
        self,
        mode: Mode,
        library: Library,
        clock: Clock,
        sink: Sink,
        *,
        caching: bool = True,
        book: Callable[[Call, Decimal], None] = not_booked,
    ) -> None:
        self.mode = mode
        self.library = library
        self._clock = clock
        self._sink = sink
        self._caching = caching
        self._book = book
        self._given: set[bytes] = set()
        self._recorded = False
        self._reported = False

    def answers(self, call: Call) -> bool:
        """Whether a cassette would answer this call, so that nothing is sent."""
        if call.request.provider == NEVER_RECORDED:
            return False
        asked = self._read(call)
        return asked is not None and self._find(asked, call, again=asked.key in self._given) is not None

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        """Answer from the cassette, or run the call and record its outcome.

        Raises:
            ReplayMissError: The mode is "replay", and the cassette has no record of this request.
            ConfigError: A cassette is damaged before anything was recorded into it, or the notebook to record
                for is unknown. A cassette that becomes unreadable later only causes a notice.
        """
        call.duration_s, call.replayed = (
            None,
            False,
        )  # before a fallback, the previous model may have set its own
        if call.request.provider == NEVER_RECORDED:
            return await proceed(call)
        asked = self._read(call)
        if asked is None:
            return await proceed(call)
        again = asked.key in self._given
        found = self._find(asked, call, again=again)
        if found is not None:
            self._given.add(asked.key)
            await asyncio.sleep(0)  # a batch of replayed rows must not block the loop
            return self._answer(call, *found, hit=again and self._may_hit(call))
        if self.mode == "replay":
            raise ReplayMissError(self.library.explain(asked))
        cassette = self.library.own()
        try:
            cassette.lines()  # raises for a damaged file before money is spent
        except ConfigError as fault:
            self._report_or_raise(fault)
        self._given.add(asked.key)
        return await self._record(call, proceed, asked, cassette)

    def _read(self, call: Call) -> Asked | None:
        """The cassette form of the request; None when it has none, so that the call runs live."""
        try:
            return read_request(call)
        except ConfigError as error:
            reason = str(error).partition(";")[0]
            if self.mode == "replay":
                raise ReplayMissError(
                    f"{reason}, so no cassette can hold this request; convert it, or run the cell with "
                    "replay off"
                ) from None
            self._report(f"{reason}, so this call is not recorded")
            return None

    def _find(self, asked: Asked, call: Call, *, again: bool) -> tuple[Cassette, Line] | None:
        """The record that may answer, or None."""
        if self.mode == "record" and not (again and self._may_hit(call)):
            return None
        try:
            found = self.library.find(asked)
        except ConfigError as fault:
            self._report_or_raise(fault)
            return None
        # Errors are replayed only in the mode "replay"; otherwise the call is made again.
        return found if found is not None and (self.mode == "replay" or found[1].is_reply) else None

    def _report_or_raise(self, fault: ConfigError) -> None:
        """Report that calls run without the cassette, or raise the fault where they must not.

        A cassette that is damaged before anything was recorded is an error: no money is spent on answers
        that cannot be kept. In a run that has begun recording, the fault must not cost the answers.
        """
        if self.mode == "replay" or not (self._recorded or isinstance(fault, UnreadableFileError)):
            raise fault
        self._report(f"answers cannot be recorded ({fault})")

    def _may_hit(self, call: Call) -> bool:
        return self._caching and call.options.cache == "use"

    def _answer(self, call: Call, cassette: Cassette, line: Line, *, hit: bool) -> Reply:
        cassette.used.add(line.key)
        call.replayed = True
        measured = line.fields[MEASURED]
        apply_measured(call, measured)
        call.notes.extend(line.fields.get("notes", ()))
        if not line.is_reply:
            error = read_failure(call, line.fields["error"], measured.get("retry_after"))
            if error is None:
                raise ReplayMissError(
                    f"{cassette.name} holds an error of the kind {line.fields['error']['type']}, which this "
                    "version of ainb does not support; upgrade ainb"
                )
            raise error
        reply = _reply_of(call, line)
        reply.replayed = True
        if hit:
            call.duration_s, call.attempts, call.first_text_at = 0.0, 0, None
            mark_hit(reply)
        elif reply.cost_usd:
            self._book(call, reply.cost_usd)
        _stream(call, reply.text, self._clock)
        return reply

    async def _record(self, call: Call, proceed: Handler, asked: Asked, cassette: Cassette) -> Reply:
        options, taken = call.options, _Recording(call, asked, cassette, len(call.notes))
        if options.cache == "use":
            # A cached answer was paid for earlier; the record must hold this call's own cost and duration.
            call.options = dataclasses.replace(options, cache="refresh")
        try:
            reply = await proceed(call)
        except Exception as error:
            outcome = write_failure(call, error)
            if outcome is not None:
                await self._keep(taken, {"error": outcome}, error)
            raise
        except asyncio.CancelledError:
            self._note_deadline(taken)
            raise
        finally:
            call.options = options
        if not reply.cached:  # else it came from an identical call in flight, which records it
            line = await self._keep(taken, {"reply": write_reply(reply)})
            if line is not None:
                _take_over(reply, call, line)
        return reply

    async def _keep(
        self, taken: _Recording, outcome: dict[str, object], error: Exception | None = None
    ) -> Line | None:
        """Record the outcome; an unchanged outcome keeps the existing record. None when writing fails."""
        try:
            line = self._put(taken, outcome, error)
            await asyncio.to_thread(taken.cassette.flush)
        except (OSError, ConfigError) as fault:
            self._report(f"an answer cannot be recorded in {taken.cassette.name} ({fault})")
            return None
        return line

    def _put(self, taken: _Recording, outcome: dict[str, object], error: Exception | None = None) -> Line:
        call, cassette = taken.call, taken.cassette
        duration_s = self._clock.monotonic() - call.started_at
        line = write_line(
            {
                **taken.asked.fields,
                **outcome,
                "weights": taken.asked.weights,
                "notes": [redacted(note) for note in call.notes[taken.notes_before :]] or None,
                MEASURED: write_measured(call, duration_s, error),
            }
        )
        before = cassette.find(line.key)
        if before is not None and before.same_outcome(line):
            line = before
        else:
            cassette.put(line)
        cassette.used.add(line.key)
        self._recorded = True
        apply_measured(call, line.fields[MEASURED])
        return line

    def _note_deadline(self, taken: _Recording) -> None:
        """Record a call past its deadline; the outer deadline stage raises the error. Must not await."""
        call = taken.call
        if call.deadline is None or self._clock.monotonic() < call.deadline - CLOCK_SECONDS:
            return  # it was cancelled
        late = DeadlineExceededError.after(call.deadline - call.started_at, billed=call.attempts > 0)
        with contextlib.suppress(ConfigError):
            self._put(taken, {"error": write_failure(call, late)})
            # A failed write is retried, and reported, with the next answer.
            asyncio.get_running_loop().run_in_executor(None, taken.cassette.flush)

    def _report(self, text: str) -> None:
        if not self._reported:
            self._reported = True
            self._sink(Notice(text, "replay"))


def _reply_of(call: Call, line: Line) -> Reply:
    reply = read_reply(line.fields["reply"])
    schema = call.request.schema
    if schema is not None:
        try:
            reply.parsed = schema.check(reply.code)
        except ValueError as error:
            raise InvalidReplyError(
                f"the recorded reply no longer matches the schema {schema.name}: "
                f"{' '.join(str(error).split())}; record it again",
                text=reply.text,
            ) from None
    return reply


def _take_over(reply: Reply, call: Call, line: Line) -> None:
    """Copy a record's values to a live reply, so that a notebook shows the same in replay."""
    recorded = read_reply(line.fields["reply"])
    if recorded.text != reply.text:  # the text held a secret
        recorded = _reply_of(call, line)
        reply.text, reply.parsed = recorded.text, recorded.parsed
    reply.usage, reply.cost_usd, reply.cost_source = recorded.usage, recorded.cost_usd, recorded.cost_source


def _stream(call: Call, text: str, clock: Clock) -> None:
    """Stream the text to the caller, a line at a time."""
    if call.options.on_text is None:
        return
    first = call.first_text_at
    for piece in text.splitlines(keepends=True):
        call.emit(piece, clock.monotonic())
    call.first_text_at = first
