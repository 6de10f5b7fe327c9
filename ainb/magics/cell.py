"""``%%ai``: parse the line, fill the prompt, send the call, show or bind the reply."""

from __future__ import annotations

import dataclasses
from typing import Any

from ainb import pricing
from ainb.engine import ENGINE
from ainb.errors import ConfigError, DeadlineExceededError, ProviderError
from ainb.magics.chat_turns import add_earlier_turns
from ainb.magics.display.dry_run import field_lines, preview_report
from ainb.magics.display.images import attach_images
from ainb.magics.display.reply import FORM_SUFFIXES, TRUNCATED, plain_text
from ainb.magics.display.streaming import Stream
from ainb.magics.parsing.arguments import Arguments, one_word, parse
from ainb.magics.parsing.flags import CELL_FLAGS, EACH_ONLY
from ainb.magics.parsing.schemas import find_schema
from ainb.magics.shell import NotebookShell
from ainb.messages import Call, Form, Reply
from ainb.prompts import Filled, fill
from ainb.providers.services import SERVICES

NOT_FILLED = Filled("")
LARGE_TABLE_CHARACTERS = 20_000
MAX_PART_CHARS = 4_000
STREAMED_FORMS = frozenset({"markdown", "text"})


def run_cell(shell: NotebookShell, line: str, body: str, magic: str = "%%ai") -> Any:
    """Run a ``%%ai`` cell.

    Args:
        shell: The notebook shell.
        line: Text after the magic's name.
        body: Text below the line.
        magic: As typed, for messages.

    Returns:
        The reply, or the frame of ``--each``, which IPython shows as Out[n]; None with ``--into`` and
        ``--dry-run``.

    Raises:
        AinbError: The call was refused or failed.
        CallInterrupted: The user stopped it.
    """
    shell.printed_lines.clear()
    arguments = parse(line, CELL_FLAGS, magic)
    if "each" in arguments.cell:
        from ainb.magics.each import run_each

        return run_each(shell, arguments, body, magic)
    _refuse_row_options(arguments)
    filled = fill(body, shell.namespace()) if "{" in body else Filled(body)
    call = make_call(shell, arguments, filled, magic)
    dry = "dry_run" in arguments.cell
    turn = add_earlier_turns(
        shell, call, arguments.cell.get("chat"), reset="reset" in arguments.cell and not dry
    )
    if dry:
        shell.show(preview_report(shell.session().preview(call), field_lines(filled)))
        return None
    reply = send(shell, call, arguments, filled)
    if turn is not None:
        turn.complete(reply)
    shell.bind("_ai", reply)
    return _return_or_bind(shell, reply, arguments)


def _refuse_row_options(arguments: Arguments) -> None:
    for name in EACH_ONLY & arguments.cell.keys():
        raise ConfigError(f"--{name.replace('_', '-')} needs --each FRAME as well")


def make_call(shell: NotebookShell, arguments: Arguments, filled: Filled, magic: str) -> Call:
    """Build the call from a parsed line and a filled prompt.

    Raises:
        ConfigError: The model or an option is invalid.
        InvalidPromptError: The prompt is empty.
    """
    for note in filled.notes:
        shell.print_line(note)
    suffix = FORM_SUFFIXES.get(arguments.cell.get("format", "markdown"))
    prompt = f"{filled.text.strip()}\n\n{suffix}" if suffix and filled.text.strip() else filled.text
    model = one_word(arguments.words, magic)
    name = arguments.cell.get("schema")
    schema = None if name is None else find_schema(shell, name)
    call = shell.session().make_call(
        prompt, model=model, schema=schema, values=filled.values, **arguments.call
    )
    call.notes.extend(filled.notes)
    _tell_of_large_tables(shell, call, filled)
    if arguments.body:
        parameters = {**arguments.body, **call.request.parameters}
        call.request = dataclasses.replace(call.request, parameters=parameters)
    attach_images(shell, call, arguments.cell.get("image", ()))
    if schema is None and _form(arguments) == "json":
        set_json_mode(call)
    return call


def _tell_of_large_tables(shell: NotebookShell, call: Call, filled: Filled) -> None:
    """Print the tokens and price of a large table in the prompt, and how to send less."""
    model = f"{call.request.provider}:{call.request.model}"
    for typed, text in filled.tables:
        if len(text) <= LARGE_TABLE_CHARACTERS:
            continue
        prices = shell.session().core.prices
        tokens = pricing.estimate(text, model=model, prices=prices).input_tokens
        cost = pricing.price(model, input_tokens=tokens, output_tokens=0, prices=prices)
        price = f", {pricing.format_usd(cost)} a call" if cost else ""
        shell.print_line(
            f"the table {{{typed}}} takes about {tokens:,} tokens{price}; "
            f"to send less, fill in a part of it: part = {typed}.iloc[:5, :20], or the columns that matter: "
            f"part = {typed}[['a', 'b']]"
        )


def set_json_mode(call: Call) -> None:
    """Switch on the JSON mode of the service if it has one."""
    service = SERVICES.get(call.request.provider)
    if service is not None and service.json_mode:
        parameters = {"response_format": {"type": "json_object"}, **call.request.parameters}
        call.request = dataclasses.replace(call.request, parameters=parameters)


def send(shell: NotebookShell, call: Call, arguments: Arguments, filled: Filled = NOT_FILLED) -> Reply:
    """Send the call and wait for the reply; it is shown as it arrives if a user is watching."""
    stream = _stream(shell, arguments)
    if stream is not None:
        call.options = dataclasses.replace(call.options, on_text=stream.feed)
        model = f"{call.request.provider}:{call.request.model}"
        activities = shell.session().core.activities
        stream.wait(lambda: activities().get(model) or f"waiting for {model}")
    printed = len(call.notes)
    complete = False
    try:
        # A copy, because an identical concurrent call may share the same reply.
        reply = dataclasses.replace(
            ENGINE.run(shell.session().handle(call)),
            form=_form(arguments),
            filled=filled.filled,
            as_typed=filled.as_typed,
        )
        complete = True
    except (DeadlineExceededError, ProviderError) as error:
        if error.text and (stream is None or not stream.shown):
            shell.print_line(f"received so far:\n{error.text[:MAX_PART_CHARS]}")
        raise
    finally:
        if stream is not None:
            stream.end(complete=complete)
            if complete and stream.shown and not shell.in_notebook:
                shell.mark_printed(reply)
            if stream.cleared:
                shell.reprint_lines()
        for note in call.notes[printed:]:
            shell.print_line(note)
    return reply


def _form(arguments: Arguments) -> Form:
    usual = "json" if "schema" in arguments.cell else "markdown"
    form: Form = arguments.cell.get("format", usual)
    return form


def _stream(shell: NotebookShell, arguments: Arguments) -> Stream | None:
    if "into" in arguments.cell or _form(arguments) not in STREAMED_FORMS:
        return None
    return shell.open_stream(requested=arguments.cell.get("stream"))


def _return_or_bind(shell: NotebookShell, reply: Reply, arguments: Arguments) -> Reply | None:
    name: Any = arguments.cell.get("into")
    # LaTeX is shown without the footer, which would show the note.
    unseen = name or reply.form == "math" or not shell.display_options().rich
    if reply.finish_reason == "length" and unseen:
        shell.print_line(f"the reply was {TRUNCATED}; raise --max-tokens for the rest")
    if name:
        shell.bind(name, reply)
        return None
    if reply.form == "code" and shell.display() not in {"static", "off"}:
        shell.insert_cell(plain_text(reply)[0])
    return reply
