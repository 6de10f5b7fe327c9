"""``--dry-run``: report of the prompt, findings, tokens and price of a call that is not sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ainb.magics.display.reply import braced
from ainb.panels.markup import Report, Table, TextBlock
from ainb.pipeline.validation import Preview
from ainb.pricing import Estimate
from ainb.prompts import Filled
from ainb.redaction import redact

MAX_SHOWN_CHARACTERS = 20_000


def field_lines(filled: Filled) -> list[str]:
    """Lines on the fields that were filled in a prompt and on existing names that stayed as typed."""
    lines = [f"Filled: {braced(filled.filled)}."] if filled.filled else []
    return [*lines, f"Sent as typed: {braced(filled.as_typed)}."] if filled.as_typed else lines


def preview_report(preview: Preview, fields: Sequence[str] = ()) -> Report:
    """Findings, the prompt, and a table of model, tokens and price.

    Secrets in the prompt are hidden in the report, because a notebook is saved with its outputs.
    """
    request = preview.request
    texts = [(message.role, message.text) for message in request.messages]
    passages = [
        TextBlock(caption=f"Prompt, {role}" if len(texts) > 1 else "Prompt", content=_shown(text))
        for role, text in texts
    ]
    table = Table(caption="Dry run, nothing was sent", columns=("what", "value"), rows=[*_rows(preview)])
    return Report([*_lines(preview, texts), *fields], [*passages, table])


def rows_report(preview: Preview, forecast: str | None) -> Report:
    """Report of a batch: the forecast of all rows, then the first row, or the first call for several."""
    first = preview_report(preview)
    rows = preview.request.rows or 1
    head = f"The first call, {rows} rows:" if rows > 1 else "The first row:"
    line = head if forecast is None else f"{forecast}. {head}"
    return Report([line, *first.lines], first.tables)


def _lines(preview: Preview, texts: Sequence[tuple[str, str]]) -> Iterator[str]:
    if preview.refusal is not None:
        yield f"This call would be refused: {preview.refusal}"
    yield from preview.notes
    if any(redact(text) != text for _, text in texts):
        yield "Secrets are hidden here and would be sent as they are."


def _rows(preview: Preview) -> Iterator[tuple[str, str]]:
    request, estimate = preview.request, preview.estimate
    yield "model", f"{request.provider}:{request.model}"
    if request.schema is not None:
        yield "schema", request.schema.name
    if request.parameters:
        # As in cache keys and cassettes: values of secret headers are hidden.
        asked = {name: value for name, value in request.asked().items() if name != "messages"}
        yield "parameters", redact(", ".join(f"{name}={value!r}" for name, value in asked.items()))
    about = "" if estimate.input_source == "exact" else "about "
    yield "tokens in", f"{about}{estimate.input_tokens:,}"
    yield (
        "tokens out",
        f"likely {estimate.output_tokens_likely:,}, at most {estimate.output_tokens_high:,}",
    )
    yield "price", _price(preview.stored, estimate)
    if preview.stored is not None:
        yield "cache", "holds an answer" if preview.stored else "holds no answer yet"


def _price(stored: bool | None, estimate: Estimate) -> str:  # noqa: FBT001 - one of two facts, not a switch
    return f"nothing, from the cache; asked again {estimate.cost_text}" if stored else estimate.cost_text


def _shown(text: str) -> str:
    hidden = redact(text)
    more = len(hidden) - MAX_SHOWN_CHARACTERS
    return f"{hidden[:MAX_SHOWN_CHARACTERS]}\n({more:,} more characters)" if more > 0 else hidden
