"""``%%ai``: read the line, fill the names, ask, show or bind the reply."""

from __future__ import annotations

import dataclasses
from typing import Any

from ainb.engine import ENGINE
from ainb.errors import ConfigError
from ainb.magics.commands.chat import join
from ainb.magics.display.dry_run import preview_report
from ainb.magics.display.images import show_pictures
from ainb.magics.display.reply import ASKS, CUT, plain_text
from ainb.magics.display.streaming import Stream
from ainb.magics.parsing.arguments import Arguments, one_word, parse
from ainb.magics.parsing.flags import CELL_FLAGS
from ainb.magics.parsing.schemas import find_schema
from ainb.magics.shell import Front
from ainb.messages import Call, Form, Reply
from ainb.prompts.fill import Filled, fill
from ainb.providers.services import SERVICES

EACH_ONLY = frozenset({"limit", "sample", "retry_failed", "keep"})
STREAMED_FORMS = frozenset({"markdown", "text"})


def run_cell(front: Front, line: str, body: str, magic: str = "%%ai") -> Any:
    """Ask what the cell says.

    Args:
        front: The shell.
        line: What stands behind the magic's name.
        body: What stands below.
        magic: As typed, for messages.

    Returns:
        The reply, or the frame of ``--each``, which IPython shows as Out[n]; None with ``--into`` and ``--dry-run``.

    Raises:
        AinbError: The call was refused or failed.
        CallInterrupted: The person stopped it.
    """
    front.lines.clear()
    arguments = parse(line, CELL_FLAGS, magic)
    if "each" in arguments.cell:
        from ainb.magics.each import run_each

        return run_each(front, arguments, body, magic)
    _refuse_row_options(arguments)
    filled = fill(body, front.names()) if "{" in body else Filled(body)
    call = make_call(front, arguments, filled, magic)
    dry = "dry_run" in arguments.cell
    place = join(front, call, arguments.cell.get("chat"), anew="reset" in arguments.cell and not dry)
    if dry:
        front.show(preview_report(front.session().preview(call)))
        return None
    reply = ask(front, call, arguments)
    if place is not None:
        place.keep(reply)
    front.bind("_ai", reply)
    return _hand_over(front, reply, arguments)


def _refuse_row_options(arguments: Arguments) -> None:
    for name in EACH_ONLY & arguments.cell.keys():
        raise ConfigError(f"--{name.replace('_', '-')} needs --each FRAME beside it")


def make_call(front: Front, arguments: Arguments, filled: Filled, magic: str) -> Call:
    """The call that a line and its prompt ask for.

    Raises:
        ConfigError: Model or an option makes no sense.
        InvalidPromptError: The prompt is empty.
    """
    for note in filled.notes:
        front.say(note)
    suffix = ASKS.get(arguments.cell.get("format", "markdown"))
    prompt = f"{filled.text.strip()}\n\n{suffix}" if suffix and filled.text.strip() else filled.text
    model = one_word(arguments.words, magic)
    name = arguments.cell.get("schema")
    schema = None if name is None else find_schema(front, name)
    call = front.session().make_call(
        prompt, model=model, schema=schema, values=filled.values, **arguments.call
    )
    call.notes.extend(filled.notes)
    if arguments.body:
        parameters = {**arguments.body, **call.request.parameters}
        call.request = dataclasses.replace(call.request, parameters=parameters)
    show_pictures(front, call, arguments.cell.get("image", ()))
    if schema is None and _form(arguments) == "json":
        ask_for_json(call)
    return call


def ask_for_json(call: Call) -> None:
    """Switch on the service's own JSON mode where it has one."""
    service = SERVICES.get(call.request.provider)
    if service is not None and service.json_mode:
        parameters = {"response_format": {"type": "json_object"}, **call.request.parameters}
        call.request = dataclasses.replace(call.request, parameters=parameters)


def ask(front: Front, call: Call, arguments: Arguments) -> Reply:
    """Send the call and wait, showing pieces where somebody is watching."""
    stream = _stream(front, arguments)
    if stream is not None:
        call.options = dataclasses.replace(call.options, on_text=stream.feed)
    said = len(call.notes)
    whole = False
    try:
        # A copy: an identical call in flight may have been handed the same reply.
        reply = dataclasses.replace(ENGINE.run(front.session().handle(call)), form=_form(arguments))
        whole = True
    finally:
        if stream is not None:
            stream.end(whole=whole)
            if whole and stream.shown:
                _after_stream(front, reply)
        for note in call.notes[said:]:
            front.say(note)
    return reply


def _form(arguments: Arguments) -> Form:
    usual = "json" if "schema" in arguments.cell else "markdown"
    form: Form = arguments.cell.get("format", usual)
    return form


def _stream(front: Front, arguments: Arguments) -> Stream | None:
    if "into" in arguments.cell or _form(arguments) not in STREAMED_FORMS:
        return None
    return front.stream(asked=arguments.cell.get("stream"))


def _after_stream(front: Front, reply: Reply) -> None:
    if front.in_notebook:
        front.say_again()
    else:
        front.printed(reply)


def _hand_over(front: Front, reply: Reply, arguments: Arguments) -> Reply | None:
    name: Any = arguments.cell.get("into")
    # LaTeX is shown without the quiet line that would say so.
    unseen = name or reply.form == "math" or not front.look().rich
    if reply.finish_reason == "length" and unseen:
        front.say(f"the reply was {CUT}; raise --max-tokens for the rest")
    if name:
        front.bind(name, reply)
        return None
    if reply.form == "code" and front.display() not in {"static", "off"}:
        front.offer_cell(plain_text(reply)[0])
    return reply
