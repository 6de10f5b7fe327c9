"""Names and parameters of tools as protocols accept them; the model's calls with the user's names."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ainb.providers.schema_names import NAME, CleanSchema, clean_schema, mapping, replacements

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanTools:
    """Tools whose names and keys a protocol accepts.

    Attributes:
        tools: As they are sent.
        names: The user's name by the one on the wire, of tools that were renamed.
        parameters: Parameters of each tool, by its name on the wire.
    """

    tools: list[Any]
    names: Mapping[str, str]
    parameters: Mapping[str, CleanSchema]

    @property
    def renames(self) -> bool:
        """Whether anything differs from what the user gave."""
        return bool(self.names) or any(item.keys for item in self.parameters.values())

    def choice(self, choice: Any) -> Any:
        """``tool_choice`` with the tool's name on the wire."""
        function = choice.get("function") if isinstance(choice, Mapping) else None
        if not isinstance(function, Mapping):
            return choice
        sent = {asked: name for name, asked in self.names.items()}
        name = str(function.get("name"))
        return {**choice, "function": {**function, "name": sent.get(name, name)}}

    def restore(self, text: str) -> str:
        """The calls that a reply's text lists, under the user's names; other text stays as it is."""
        try:
            calls = json.loads(text)
        except (ValueError, RecursionError):
            return text
        if not isinstance(calls, list) or not all(
            isinstance(call, dict) and {"name", "arguments"} <= call.keys() for call in calls
        ):
            return text
        return json.dumps([self._call(call) for call in calls], ensure_ascii=False)

    def _call(self, call: Json) -> Json:
        name, given = call["name"], call["arguments"]
        schema = self.parameters.get(name) if isinstance(name, str) else None
        if schema is not None:
            is_text = isinstance(given, str)
            try:
                value, changed = schema.restore(json.loads(given) if is_text else given)
            except (ValueError, RecursionError):
                value, changed = None, False
            if changed:
                given = json.dumps(value, ensure_ascii=False) if is_text else value
        return {**call, "name": self.names.get(name, name), "arguments": given}


def clean_tools(tools: Iterable[Any]) -> CleanTools:
    """Tools of the OpenAI protocol under names that protocols accept; items of another kind stay."""
    given = list(tools)
    functions = [item.get("function") if isinstance(item, Mapping) else None for item in given]
    names = replacements(
        (name for item in functions if isinstance(name := mapping(item).get("name"), str)), NAME
    )
    written: list[Any] = []
    parameters: dict[str, CleanSchema] = {}
    for tool, function in zip(given, functions, strict=True):
        name = mapping(function).get("name")
        if not isinstance(function, Mapping) or not isinstance(name, str):
            written.append(tool)
            continue
        sent: Json = {**function, "name": names.get(name, name)}
        if isinstance(function.get("parameters"), Mapping):
            found = parameters[sent["name"]] = clean_schema(function["parameters"])
            sent["parameters"] = found.schema
        written.append({**tool, "function": sent})
    return CleanTools(
        tools=written, names={sent: name for name, sent in names.items()}, parameters=parameters
    )
