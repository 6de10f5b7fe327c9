"""Replaces names of tools and parameters that protocols do not accept; restores them in tool calls."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ainb.providers.schemas.keys import mapping
from ainb.providers.schemas.names import NAME, CleanSchema, clean_schema, replacements

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanTools:
    """Tools with names and parameter keys that protocols accept.

    Attributes:
        tools: The tools as sent.
        names: The user's name by the name in the request, of renamed tools.
        parameters: Parameters of each tool, by its name in the request.
    """

    tools: list[Any]
    names: Mapping[str, str]
    parameters: Mapping[str, CleanSchema]

    @property
    def renames(self) -> bool:
        """Whether any name was replaced."""
        return bool(self.names) or any(item.keys for item in self.parameters.values())

    def choice(self, choice: Any) -> Any:
        """``tool_choice`` with the tool's name in the request."""
        function = choice.get("function") if isinstance(choice, Mapping) else None
        if not isinstance(function, Mapping):
            return choice
        sent = {asked: name for name, asked in self.names.items()}
        name = str(function.get("name"))
        return {**choice, "function": {**function, "name": sent.get(name, name)}}

    def restore(self, text: str) -> str:
        """The tool calls in a reply's text with the user's names; other text is not changed."""
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
    """Tools of the OpenAI protocol with names that protocols accept; other items are not changed."""
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
