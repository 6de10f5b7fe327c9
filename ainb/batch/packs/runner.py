"""Worker pool that sends rows in packs: a worker gathers the rows of a call, sends it, and ends its rows."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ainb.batch.context import BatchContext
from ainb.batch.input.reader import RowReader
from ainb.batch.packs.calls import PackCalls, PackRow
from ainb.batch.packs.groups import alike, halves, is_about_content
from ainb.batch.packs.reply import read_answers
from ainb.batch.packs.shares import Share, share_out, with_shares
from ainb.batch.reporter import ProgressReporter
from ainb.batch.results.row_result import RowResult
from ainb.batch.running.refusals import kind_of, not_sent
from ainb.batch.running.runner import YIELD_ROWS, Runner
from ainb.errors import InvalidReplyError
from ainb.event_loop import Contained, RaisedByUser
from ainb.jobs import Delivery
from ainb.messages import Reply

if TYPE_CHECKING:
    from ainb.messages import Call

Outcome = tuple[RowResult, Exception | None]


class PackRunner(Runner):
    """Runner that sends several rows per call.

    A row that journal or cache answers is not packed. A row without an answer in the reply is sent alone, as
    in any other batch. A pack that fails because of its content is halved until the row at fault is alone.
    """

    def __init__(self, context: BatchContext, rows: RowReader, reporter: ProgressReporter) -> None:
        super().__init__(context, rows, reporter)
        self._packs = PackCalls(context.calls, context.options)
        self._delivery = Delivery(context.core)
        self._handle_pack = context.core.pack_handler()
        # One worker gathers at a time: otherwise the last rows would be spread over many small packs.
        self._gathering = asyncio.Lock()
        self._same: dict[str, list[tuple[int, Any]]] = {}

    async def _work(self) -> None:
        while not self._stopping and (rows := await self._gather()):
            self._progress.in_flight += len(rows)
            self._reporter.update()
            try:
                await self._send_rows(rows)
            finally:
                self._progress.in_flight -= len(rows)
                for row in rows:
                    self._same.pop(row.key, None)
            if await self._may_leave():
                break
        self._reporter.update()

    async def _gather(self) -> list[PackRow]:
        """Rows of the next pack, without those that journal, cache or validation have ended."""
        found: list[PackRow] = []
        async with self._gathering:
            while len(found) < self._packs.size and not self._stopping:
                taken = await self._next_row()
                if taken is None:
                    break
                row = await self._open(*taken)
                if row is not None:
                    found.append(row)
                elif not self._progress.done % YIELD_ROWS:
                    await asyncio.sleep(0)
        return [] if self._stopping else found

    async def _open(self, position: int, item: Any) -> PackRow | None:
        """The row if it must be sent; None if it has ended, or ends with another row of the same key."""
        call = await self._make_call(item)
        if isinstance(call, RowResult):
            self._end(position, item, call, resumed=False)
            return None
        key = call.row_key or ""
        if (known := self.finished.find(key)) is not None:
            self._end(position, item, known[0], resumed=known[1])
            return None
        if key in self._same:
            self._same[key].append((position, item))
            return None
        request = None if self._refusals.cause is not None else await self._delivery.screen(call)
        if request is None:
            self._end(position, item, await self._send_or_refuse(call, item), resumed=False)
            return None
        self._same[key] = []
        return self._packs.open_row(position, item, call, request)

    async def _send_rows(self, rows: Sequence[PackRow]) -> None:
        """Send rows until all have ended: in packs, and alone if a pack does not answer them."""
        waiting = list(alike(rows))
        while waiting:
            group = waiting.pop()
            if self._refusals.cause is not None:
                for row in group:
                    self.unfinished += 1
                    await self._end_row(row, not_sent(self._refusals.cause), None)
            elif len(group) == 1:
                await self._send_alone(group[0])
            else:
                waiting += reversed(await self._send_pack(group))

    async def _send_alone(self, row: PackRow) -> None:
        result, error = await self._send(await self._context.make_call(row.item), row.item)
        await self._end_row(row, result, error)

    async def _send_pack(self, rows: list[PackRow]) -> list[list[PackRow]]:
        """Send a pack and end the rows that it answers; returns the groups in which to send the others."""

        async def again() -> Call:
            return self._packs.make(rows)

        call, reply, started = await self._ask(self._packs.make(rows), self._handle, again)
        if isinstance(reply, Exception):
            return await self._fail(call, rows, reply, started)
        self._count_savings(call, len(rows))
        ids = [str(number) for number in range(1, len(rows) + 1)]
        answers = read_answers(self._packs.schema, reply, ids)
        texts = [answers.get(name) for name in ids]
        shares = self._share(call, rows, texts)
        missing: list[PackRow] = []
        invalid: list[PackRow] = []
        for row, text, share in zip(rows, texts, shares, strict=True):
            outcome = None if text is None else await self._deliver(row, call, reply, text, share)
            if outcome is not None:
                await self._end_row(row, *outcome)
                continue
            row.shares.append(share)
            (missing if text is None else invalid).append(row)
        if len(missing) == len(rows):
            return halves(rows)
        # The rows after the cut were not begun; the other rows got no valid answer.
        rest = [missing] if reply.finish_reason == "length" and missing else [[row] for row in missing]
        return [*rest, *([row] for row in invalid)]

    async def _handle(self, call: Call) -> Reply:
        return await self._handle_pack(call)

    async def _deliver(
        self, row: PackRow, call: Call, reply: Reply, text: str, share: Share
    ) -> Outcome | None:
        """The result of a row from its part of the answer; None if that is not valid."""
        own = await self._context.make_call(row.item)
        if call.provider is not own.provider:  # a fallback answered
            own.provider = call.provider
            own.endpoint = own.account = own.cache_key = None
            own.request = dataclasses.replace(
                own.request,
                provider=call.request.provider,
                model=call.request.model,
                api_base=call.request.api_base,
                api_key_name=call.request.api_key_name,
            )
        part = dataclasses.replace(
            reply,
            text=text,
            parsed=None,
            usage=share.usage,
            cost_usd=share.cost_usd,
            provider_saved_usd=share.saved_usd,
            finish_reason="stop",
            reasoning=None,
            headers={},
        )
        own.notes.extend(call.notes)
        try:
            answered = await Contained(self._delivery.deliver_reply(own, part, call.attempts))
            answered.attempts, answered.duration_s = call.attempts, reply.duration_s
            return await self._context.read_result(answered), None
        except InvalidReplyError:
            return None
        except RaisedByUser as error:
            self._leave(error)
        except Exception as error:  # noqa: BLE001 - it is this row's result
            return RowResult.of_error(error, status="error", attempts=call.attempts), error

    async def _fail(
        self, call: Call, rows: list[PackRow], error: Exception, started: float
    ) -> list[list[PackRow]]:
        """Halve a pack that failed because of its content; otherwise end its rows with the error."""
        if call.replies:
            for row, share in zip(rows, self._share(call, rows, [None] * len(rows)), strict=True):
                row.shares.append(share)
        if is_about_content(error):
            return halves(rows)
        failed = self._failed(call, error, started)
        if failed.status == "rejected":
            self.unfinished += len(rows) - 1  # `_failed` has counted one
        if call.replies:  # their cost is in the shares
            failed = dataclasses.replace(failed, cost_nano_usd=0, input_tokens=0, output_tokens=0, attempts=0)
        first, *others = rows
        await self._end_row(first, failed, error)
        held = kind_of(error) is not None
        for row in others:  # the refusal of one call counts once
            result = with_shares(failed, row.shares)
            if held:
                self.finished.hold_back(row.key, result)
            else:
                await self.finished.add(row.key, result)
            self._hand_out(row, result)
        return []

    def _count_savings(self, call: Call, rows: int) -> None:
        """Count the shared tokens that all rows but the first did not send again."""
        saved = self._packs.shared_tokens * (rows - 1)
        price = self._context.core.prices.per_million(call.request.provider, call.request.model)[0]
        self._progress.pack_saved_tokens += saved
        if price is not None and not call.provider.free:
            self._progress.pack_saved_nano_usd += int(price * saved * 1_000)

    def _share(self, call: Call, rows: Sequence[PackRow], texts: Sequence[str | None]) -> list[Share]:
        sent = [len(row.text) + 1 for row in rows]
        received = [0 if text is None else len(text) for text in texts]
        return share_out(call.replies, sent, received, call.attempts)

    async def _end_row(self, row: PackRow, result: RowResult, error: Exception | None) -> None:
        """Store and output a row's result, with the shares of earlier calls for it."""
        self._hand_out(row, await self._settle(row.key, with_shares(result, row.shares), error))

    def _hand_out(self, row: PackRow, result: RowResult) -> None:
        """End the row and rows with the same key."""
        self._end(row.position, row.item, result, resumed=False)
        for position, item in self._same.pop(row.key, ()):
            self._end(position, item, result.shared(), resumed=False)
