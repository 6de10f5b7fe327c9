"""Request bodies adapted to the rules of one model, and replies converted back to the user's names."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ainb.errors import ConfigError
from ainb.messages import Call, Reply, ReplySchema, Request
from ainb.model_rules import Family, PromptCache, asked_effort
from ainb.providers.http import Refusal
from ainb.providers.lessons.lesson import SCHEMA_PREFIX, Lesson, apply_lessons
from ainb.providers.lessons.reading import ANY_SCHEMA
from ainb.providers.schemas.keys import mapping
from ainb.providers.schemas.replies import restore
from ainb.providers.schemas.tools import CleanTools, clean_tools
from ainb.providers.schemas.wire import WireSchema

Json = dict[str, Any]

# Parameters that control how a request is built; they are never sent.
OURS: Final = frozenset({"effort", "reasoning_effort", "extra_body", "extra_headers"})
_FIXED: Final = frozenset({"model", "messages", "stream"})
_CONNECTION: Final = frozenset({"host", "content-length", "transfer-encoding", "connection"})
_DIGEST_CHARS: Final = 12
_ASK = "Answer with JSON that matches this JSON schema and with nothing else:"


@dataclass(slots=True)
class Wire:
    """The outgoing request of one attempt.

    Attributes:
        body: The complete body without the stream flags.
        notes: Notices for the user.
        lessons: Lessons that changed this body.
        schema: The reply schema on the wire, where it differs from the user's; else None.
        tools: The tools on the wire, where their names differ from the user's; else None.
        refused: The service's refusal of this body; None without one.
        cache: The prompt cache that the body is laid out for; None without one.
    """

    body: Json
    notes: list[str] = field(default_factory=list)
    lessons: list[Lesson] = field(default_factory=list)
    schema: WireSchema | None = None
    tools: CleanTools | None = None
    refused: Refusal | None = None
    cache: PromptCache | None = None

    def take_refusal(self, refusal: Refusal) -> None:
        """Store the service's refusal of this body."""
        self.refused = refusal

    def note(self, text: str) -> None:
        """Add a notice, each text once."""
        if text not in self.notes:
            self.notes.append(text)

    def learn(self, lessons: Sequence[Lesson]) -> None:
        """Apply what earlier refusals taught to the body."""
        self.body, self.lessons = apply_lessons(lessons, self.body)
        for lesson in self.lessons:
            if lesson.instead is None:  # a renamed parameter keeps its value: no notice is needed
                self.note(lesson.describe(str(self.body.get("model"))))

    def read_back(self, text: str, schema: ReplySchema | None) -> str:
        """A reply's text, converted back to the user's schema and tool names."""
        if schema is None and self.tools is not None:
            return self.tools.restore(text)
        if schema is None or self.schema is None:
            return text
        return restore(text, self.schema, schema.json_schema)


def add_notices(call: Call, notes: Sequence[str]) -> None:
    """Add notices to the call, each once."""
    call.notes.extend(note for note in notes if note not in call.notes)


def add_limit_notice(call: Call, reply: Reply) -> None:
    """Add a notice when the output limit was reached before any text."""
    if reply.finish_reason != "length" or reply.text.strip():
        return
    used = reply.usage.output_tokens
    count = "" if used is None else f" of {used:,} tokens"
    text = (
        f"the output limit{count} was reached before any text, because thinking counts toward it; "
        "raise --max-tokens (max_tokens), or lower --effort (effort)"
    )
    add_notices(call, [text])


def with_clean_tools(wire: Wire, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters, with tool names replaced where the protocol does not accept them."""
    given = parameters.get("tools")
    if not isinstance(given, list | tuple):
        return parameters
    tools = clean_tools(given)
    if not tools.renames:
        return parameters
    wire.tools = tools
    changed = {**parameters, "tools": tools.tools}
    if "tool_choice" in parameters:
        changed["tool_choice"] = tools.choice(parameters["tool_choice"])
    return changed


def plain_parameters(given: Mapping[str, Any], *, without: frozenset[str]) -> Json:
    """The parameters to send, without `without` and without those that control how the request is built."""
    hidden = without | OURS
    return {name: value for name, value in given.items() if name not in hidden}


def set_inside(body: Json, field: str, **values: Any) -> None:
    """Set values inside a field that holds a mapping, which is copied; any other value is replaced."""
    body[field] = {**mapping(body.get(field)), **values}


def choose_effort(wire: Wire, family: Family, request: Request) -> str | None:
    """The effort level to send, or None; a notice is added when it differs from the requested level."""
    asked = asked_effort(request.parameters)
    if asked is None:
        return None
    level = family.level(asked)
    if level is None:
        wire.note(f"{request.model} has no effort levels; effort {asked} was left out")
    elif level != asked:
        wire.note(f"{request.model} has no effort {asked}; {level} was sent")
    return level


def drop_sampling(wire: Wire, family: Family, model: str, effort: str | None) -> None:
    """Leave out sampling parameters that the model refuses."""
    without_effort = family.sampling == "without_effort" and family.effective(effort) == "none"
    refused = family.refused & wire.body.keys()
    if family.sampling != "always" and not without_effort:
        refused |= family.sampling_names & wire.body.keys()
    given = [name for name in family.one_of if name in wire.body]
    refused |= frozenset(given[1:])
    for name in sorted(refused):
        usual = name in {"temperature", "top_p"} and wire.body.pop(name) in {1, None}
        wire.body.pop(name, None)
        hint = " while it thinks (effort none lets it)" if family.sampling == "without_effort" else ""
        if not usual:
            wire.note(f"{model} does not accept {name}{hint}; it was left out")


def schema_lesson(lessons: Sequence[Lesson], schema: ReplySchema) -> str | None:
    """How to request a schema after earlier refusals: the schema's own lesson, otherwise the model's."""
    wanted = {item.field: item.value for item in lessons if item.field.startswith(SCHEMA_PREFIX)}
    if not wanted:  # the usual case: a schema's digest costs more than the rest of this function
        return None
    return wanted.get(schema_field(schema)) or wanted.get(ANY_SCHEMA)


def schema_field(schema: ReplySchema) -> str:
    """Field name of a lesson that holds for this schema alone."""
    text = json.dumps(schema.json_schema, sort_keys=True, default=str)
    return SCHEMA_PREFIX + "s" + hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_CHARS]


def schema_prompt(schema: Mapping[str, Any]) -> str:
    """Prompt text that requests JSON of a schema, for services without structured output."""
    return f"{_ASK}\n{json.dumps(schema, ensure_ascii=False)}"


def extra_body(request: Request) -> Json:
    """The user's ``extra_body``: fields that override those of the request.

    Raises:
        ConfigError: It is not a mapping, or it holds the model or the messages.
    """
    extra = request.parameters.get("extra_body") or {}
    if not isinstance(extra, Mapping) or not all(isinstance(name, str) for name in extra):
        raise ConfigError(f'extra_body takes a dict of fields, such as {{"top_k": 5}}; it is {extra!r:.80}')
    if _FIXED & extra.keys():
        names = ", ".join(sorted(_FIXED & extra.keys()))
        raise ConfigError(f"extra_body may not hold {names}: they are set by the call; leave them out")
    return dict(extra)


def extra_headers(request: Request) -> dict[str, str]:
    """HTTP headers of this request alone.

    Raises:
        ConfigError: It is not a mapping of strings, or it holds a header that belongs to the connection.
    """
    extra = request.parameters.get("extra_headers") or {}
    if not isinstance(extra, Mapping) or not all(
        isinstance(name, str) and isinstance(value, str) for name, value in extra.items()
    ):
        raise ConfigError('extra_headers takes a dict of texts, such as {"X-Team": "search"}')
    check_header_names(extra, "extra_headers")
    return dict(extra)


def check_header_names(names: Mapping[str, Any], option: str) -> None:
    """Check header names: valid in HTTP, and none that belongs to the connection.

    Raises:
        ConfigError: A name is invalid or belongs to the connection.
    """
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
            raise ConfigError(
                f"{option} holds {name!r}, which is not a header name; use letters, digits and dashes"
            )
        if name.lower() in _CONNECTION:
            raise ConfigError(f"{option} may not hold {name}: it belongs to the connection; leave it out")
