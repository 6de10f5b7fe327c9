"""A request body as one model takes it, and how the reply is read back."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ainb.errors import ConfigError
from ainb.families import Family, asked_effort
from ainb.messages import Call, Reply, ReplySchema, Request
from ainb.prompt_caches import PromptCache
from ainb.providers.http import Refusal
from ainb.providers.lessons import ANY_SCHEMA, SCHEMA_PREFIX, Lesson, Refused, apply_lessons
from ainb.providers.schema_forms import WireSchema
from ainb.providers.schema_replies import restore
from ainb.providers.tool_names import CleanTools, clean_tools

Json = dict[str, Any]

# Parameters of ours that say how a request is made; no provider knows them.
OURS: Final = frozenset({"effort", "reasoning_effort", "extra_body", "extra_headers"})
_FIXED: Final = frozenset({"model", "messages", "stream"})
_CONNECTION: Final = frozenset({"host", "content-length", "transfer-encoding", "connection"})
_DIGEST_CHARS: Final = 12
_ASK = "Answer with JSON that matches this JSON schema and with nothing else:"


@dataclass(slots=True)
class Wire:
    """What goes out for one attempt.

    Attributes:
        body: The whole body but for the stream flags.
        notes: Lines for the user.
        lessons: What was learnt and changed this body.
        schema: The reply schema on the wire, where it differs from the user's; else None.
        tools: The tools on the wire, where their names differ from the user's; else None.
        refused: What the service said where it refused this body; else None.
        cache: The prompt cache that the body is laid out for; None where it is not.
    """

    body: Json
    notes: list[str] = field(default_factory=list)
    lessons: list[Lesson] = field(default_factory=list)
    schema: WireSchema | None = None
    tools: CleanTools | None = None
    refused: Refused | None = None
    cache: PromptCache | None = None

    def take_refusal(self, refusal: Refusal) -> None:
        """Keep what the service said of this body."""
        self.refused = Refused(said=refusal.said, code=refusal.code, param=refusal.param, extra=refusal.extra)

    def note(self, text: str) -> None:
        """Say something once."""
        if text not in self.notes:
            self.notes.append(text)

    def learn(self, lessons: Sequence[Lesson]) -> None:
        """Change the body as earlier refusals ask."""
        self.body, self.lessons = apply_lessons(lessons, self.body)
        for lesson in self.lessons:
            if lesson.instead is None:  # another name for the same value is nothing that a user has to know
                self.note(lesson.describe(str(self.body.get("model"))))

    def read_back(self, text: str, schema: ReplySchema | None) -> str:
        """A reply's text in the form of the user's schema, calls of tools under the user's names."""
        if schema is None and self.tools is not None:
            return self.tools.restore(text)
        if schema is None or self.schema is None:
            return text
        return restore(text, self.schema, schema.json_schema)


def tell(call: Call, notes: Sequence[str]) -> None:
    """Put lines beside the reply, each once."""
    call.notes.extend(note for note in notes if note not in call.notes)


def tell_limit(call: Call, reply: Reply) -> None:
    """Say why a reply holds no text, where its output limit was reached before any."""
    if reply.finish_reason != "length" or reply.text.strip():
        return
    used = reply.usage.output_tokens
    count = "" if used is None else f" of {used:,} tokens"
    text = (
        f"the output limit{count} was reached before any text, for thinking counts in it; "
        "raise --max-tokens (max_tokens), or lower --effort (effort)"
    )
    tell(call, [text])


def with_clean_tools(wire: Wire, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters with names of tools that a protocol accepts."""
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
    """Parameters but for those that say how it is made."""
    hidden = without | OURS
    return {name: value for name, value in given.items() if name not in hidden}


def choose_effort(wire: Wire, family: Family, request: Request) -> str | None:
    """The effort level to send; None for none. A note tells where it is not the one asked for."""
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
    """The form that earlier refusals left for a schema: the schema's own lesson, else the model's."""
    wanted = {item.field: item.value for item in lessons if item.field.startswith(SCHEMA_PREFIX)}
    if not wanted:  # most calls; the digest of a schema takes longer than the rest
        return None
    return wanted.get(schema_field(schema)) or wanted.get(ANY_SCHEMA)


def schema_field(schema: ReplySchema) -> str:
    """The name under which a lesson on this schema alone is kept."""
    text = json.dumps(schema.json_schema, sort_keys=True, default=str)
    return SCHEMA_PREFIX + "s" + hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_CHARS]


def schema_prompt(schema: Mapping[str, Any]) -> str:
    """The sentence that asks for JSON of a schema, for services that cannot be told otherwise."""
    return f"{_ASK}\n{json.dumps(schema, ensure_ascii=False)}"


def extra_body(request: Request) -> Json:
    """Fields of the body as the user gave them, put over ours.

    Raises:
        ConfigError: It is no mapping, or holds the model or the messages.
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
        ConfigError: It is no mapping of texts, or holds a header of the connection.
    """
    extra = request.parameters.get("extra_headers") or {}
    if not isinstance(extra, Mapping) or not all(
        isinstance(name, str) and isinstance(value, str) for name, value in extra.items()
    ):
        raise ConfigError('extra_headers takes a dict of texts, such as {"X-Team": "search"}')
    check_header_names(extra, "extra_headers")
    return dict(extra)


def check_header_names(names: Mapping[str, Any], option: str) -> None:
    """Refuse names that are no header names or belong to the connection.

    Raises:
        ConfigError: Such a name is there.
    """
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
            raise ConfigError(
                f"{option} holds {name!r}, which is not a header name; use letters, digits and dashes"
            )
        if name.lower() in _CONNECTION:
            raise ConfigError(f"{option} may not hold {name}: it belongs to the connection; leave it out")
