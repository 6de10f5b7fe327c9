"""Builds the call of a pack from the requests of its rows."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ainb.batch.input.calls import TemplateCalls
from ainb.batch.input.shared_prefix import count_shared, shared_prefix
from ainb.batch.packs.schema import pack_schema
from ainb.errors import ConfigError
from ainb.messages import OUTPUT_LIMITS, Call, Message, Request
from ainb.model_rules import SharedPrefix

if TYPE_CHECKING:
    from ainb.batch.input.calls import RowCalls
    from ainb.batch.options import BatchOptions
    from ainb.batch.packs.shares import Share
    from ainb.pipeline.answer import Schema

# Tokens of an entry's id and braces, and of the enclosing object.
ENTRY_TOKENS, FRAME_TOKENS = 16, 32
_LINE_BREAK = re.compile("\r\n|[\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029]")
TASK = (
    "Do this for each of the rows below, each by itself. A row is one line that begins with the id of the "
    "row in square brackets; \\n in it stands for a line break. Answer with one JSON object of the form "
    '{"rows": [{"id": "1", …}, {"id": "2", …}, …]} with one entry for each row, in the order of the rows.'
)


@dataclass(slots=True)
class PackRow:
    """A row to send.

    Attributes:
        position: Position in the input.
        item: The input row.
        call: The row's own call, not started.
        request: The request after validation.
        head: Beginning of the row's message, shared by all rows.
        text: The rest of the message, specific to the row.
        shares: Shares of calls that did not answer the row.
    """

    position: int
    item: Any
    call: Call
    request: Request
    head: str
    text: str
    shares: list[Share] = field(default_factory=list)

    @property
    def key(self) -> str:
        """Key of the row."""
        return self.call.row_key or ""


class PackCalls:
    """Builds the packs of a batch.

    Args:
        calls: Calls of the rows.
        options: ``rows_per_call`` and ``prompt_cache``.

    Attributes:
        size: Rows of a full pack.
        schema: Schema of a pack's answer.
        shared_tokens: Tokens that each row would send again in a separate call.

    Raises:
        ConfigError: The rows have no prompt or no schema.
    """

    def __init__(self, calls: RowCalls, options: BatchOptions) -> None:
        self.size = options.rows_per_call
        self._calls, schema = check_packs(calls, options)
        self.schema = pack_schema(schema)
        self._prefix = self._calls.template.prefix
        self.shared_tokens = count_shared(self._calls.request, self._prefix)
        self._heads: list[str] = [self._prefix]
        request = dataclasses.replace(self._calls.request, schema=self.schema.schema)
        head, fallback = _with_task(self._prefix), self._calls.fallback
        self._shared: SharedPrefix | None = (
            shared_prefix(request, head, fallback) if options.prompt_cache == "auto" else None
        )

    def open_row(self, position: int, item: Any, call: Call, request: Request) -> PackRow:
        """The row for a pack.

        If the row's own part of its message cannot be determined, the row gets a separate head and is
        packed with no other row.

        Args:
            position: Position in the input.
            item: The input row.
            call: The row's own call.
            request: The request after validation, which may have replaced text in the shared part and in
                the row's part.
        """
        content, own = request.messages[-1].text, call.request.messages[-1].text[len(self._prefix) :]
        if own and content.endswith(own):
            head = content[: len(content) - len(own)]
            if head not in self._heads:
                self._heads.append(head)
        head = next((head for head in self._heads if content.startswith(head)), content)
        return PackRow(position, item, call, request, head, content[len(head) :])

    def make(self, rows: Sequence[PackRow]) -> Call:
        """The call of rows with the same head and the same earlier messages; ids are "1" to "N"."""
        first = rows[0]
        head = _with_task(first.head)
        lines = [f"[{number}] {one_line(row.text)}" for number, row in enumerate(rows, 1)]
        text = f"{head}\n\n" + "\n".join(lines)
        shared = None if self._shared is None else dataclasses.replace(self._shared, text=head)
        request = dataclasses.replace(
            first.request,
            messages=(*first.request.messages[:-1], Message("user", text)),
            parameters=grown_limits(first.request.parameters, len(rows)),
            schema=self.schema.schema,
            shared=shared,
            rows=len(rows),
        )
        call = first.call
        return Call(
            request=request,
            provider=call.provider,
            options=call.options,
            endpoint=call.endpoint,
            account=call.account,
            delivery=call.delivery,
        )


def check_packs(calls: RowCalls, options: BatchOptions) -> tuple[TemplateCalls, Schema]:
    """Check that rows can be packed; returns their calls and schema.

    Raises:
        ConfigError: They cannot; the message says why, and what works.
    """
    size = f"rows_per_call={options.rows_per_call}"
    if not isinstance(calls, TemplateCalls):
        raise ConfigError(
            f"{size} packs the rows of a prompt; a function gets one item per call, so leave it out"
        )
    if calls.schema is None:
        raise ConfigError(
            f"{size} needs a schema, so that the answers of a call can be told apart; "
            'add one, such as schema="label: positive|negative" (--schema)'
        )
    if options.batch_api:
        raise ConfigError(
            f"{size} is for live calls: a batch job takes one row per request; leave rows_per_call or "
            "batch_api out"
        )
    return calls, calls.schema


def grown_limits(parameters: Any, rows: int) -> dict[str, Any]:
    """The parameters with an output limit for this number of rows."""
    grown = dict(parameters)
    for name in OUTPUT_LIMITS:
        limit = grown.get(name)
        if isinstance(limit, int) and not isinstance(limit, bool):
            grown[name] = rows * (limit + ENTRY_TOKENS) + FRAME_TOKENS
    return grown


def one_line(text: str) -> str:
    """The text with line breaks written as backslash and n, so that a row cannot start another row."""
    return _LINE_BREAK.sub(r"\\n", text)


def _with_task(head: str) -> str:
    return f"{head.rstrip()}\n\n{TASK}" if head.strip() else TASK
