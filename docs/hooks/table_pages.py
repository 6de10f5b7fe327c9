"""Reference pages made from the code's tables: settings, usage columns, ``%ai`` commands, ``%%ai``."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

import ainb
from ainb.config import OPTIONS
from ainb.config.project import RULES, free, trusted_only
from ainb.magics.commands.help import VALUES, spelling
from ainb.magics.commands.table import COMMANDS
from ainb.magics.parsing.flags import CELL_FLAGS, EACH_ONLY, Flag
from ainb.providers.services import SERVICES
from ainb.usage.columns import COLUMNS
from docs.hooks.docstrings import cell, read, table
from docs.hooks.errors import IncompleteDocsError

MADE = "This page is made from the code's own table."
SETTINGS: Final = f"""# Every setting

A setting is read from the first of these places that has it:

1. an argument of `ainb.Session(…)` or of the call;
2. `%config Ainb.NAME = …` in the notebook;
3. the environment variable `AINB_NAME`, and `AINB_SECTION_NAME` for an option of a section, such as
   `AINB_CACHE_TTL_SECONDS`;
4. `[tool.ainb]` in the nearest `pyproject.toml`;
5. the default.

A section is the group of options of a stage. `False` (in Python `None`) turns the section off. The last
column says whether a project's `pyproject.toml` may set it before
[`%ai trust`](../security.md#projects-of-others).
`%ai help NAME` shows a setting in the notebook. {MADE}

"""
OPTIONS_TEXT: Final = f"""# Options of %%ai

```text
%%ai [MODEL] [options]
prompt, with {{name}} filled from the notebook
```

MODEL is `provider:model`, `provider/model` or an alias.
`%ai help NAME` shows one option in the notebook. {MADE}

"""
COMMANDS_TEXT: Final = f"""# Commands of %ai

`%ai` alone shows the state in a few lines. {MADE}

"""
COLUMNS_TEXT: Final = f"""# Columns of the usage log

`session.usage()` has one row per call with these columns; `session.costs(by=…)` and `session.errors(by=…)`
group by them. Names follow the OpenTelemetry conventions for generative AI (v1.41). What is unknown is `NA`,
never 0. {MADE}

"""
SERVICES_TEXT: Final = f"""# Providers

The services that are known by name, as `provider:model`. `%ai list` shows the same in the notebook, with the
keys that are set. {MADE} Further providers come with the extra `pydantic-ai` (`pydantic:PROVIDER:MODEL`) or
from packages with an entry point `ainb.providers`.

"""


def settings_page() -> str:
    """Every option of the tree, with those of its sections.

    Raises:
        IncompleteDocsError: One has no help line, no example, or no line in its section's docstring.
    """
    rows, sections = [], []
    for name, item in OPTIONS.items():
        text = required(item.metadata.get("help"), f"the setting {name}")
        example = required(VALUES.get(name), f"the example of the setting {name}")
        section = item.metadata.get("section")
        default = "section" if section else shown(default_of(item))
        rows.append((f"[`{name}`](#{name})" if section else f"`{name}`", cell(text), default, trust(name)))
        if section:
            sections.append(_section(name, section, text, example, off=default_of(item) is None))
        else:
            rows[-1] = (
                *rows[-1][:1],
                f"{cell(text)}<br>`%config Ainb.{name} = {cell(example)}`",
                *rows[-1][2:],
            )
    columns = ("setting", "what it does", "default", "in pyproject.toml")
    return SETTINGS + table(columns, rows) + "\n" + "\n".join(sections)


def columns_page() -> str:
    """Every column of the usage log.

    Raises:
        IncompleteDocsError: One has no meaning.
    """
    rows = [
        (f"`{column.name}`", f"`{column.dtype}`", cell(required(column.meaning, f"the column {column.name}")))
        for column in COLUMNS.values()
    ]
    return COLUMNS_TEXT + table(("column", "dtype", "meaning"), rows)


def commands_page() -> str:
    """Every subcommand of ``%ai``, with its own options.

    Raises:
        IncompleteDocsError: One has no help line or no example.
    """
    parts = [COMMANDS_TEXT]
    for command in COMMANDS:
        text = required(command.help, f"%ai {command.name}")
        example = required(command.example, f"the example of %ai {command.name}")
        parts.append(f"## %ai {command.name} {{ #{command.name} }}\n\n{text[0].upper()}{text[1:]}.\n\n")
        if command.synonyms:
            parts.append(f"Other names: {', '.join(f'`%ai {name}`' for name in command.synonyms)}.\n\n")
        parts.append(f"```text\n%ai {command.usage}\n```\n\nExample: `{example}`\n\n")
        if command.flags is CELL_FLAGS:
            parts.append("It takes the [options of %%ai](cell-options.md).\n\n")
        elif command.flags:
            parts.append(table(("option", "what it does", "example"), _flags(command.flags)) + "\n")
    return "".join(parts)


def options_page() -> str:
    """Every option of ``%%ai``: for any cell, and for tables.

    Raises:
        IncompleteDocsError: One has no help line or no example.
    """
    of_tables = [flag for flag in CELL_FLAGS if flag.name == "each" or flag.keyword in EACH_ONLY]
    others = [flag for flag in CELL_FLAGS if flag not in of_tables]
    columns = ("option", "what it does", "example")
    return (
        f"{OPTIONS_TEXT}## For any cell\n\n{table(columns, _flags(others))}\n"
        f"## For tables\n\n{table(columns, _flags(of_tables))}"
    )


def services_page() -> str:
    """Every named service."""
    rows = [
        (
            f"`{service.name}`",
            f"`{service.key_variable}`" if service.key_needed and service.key_variable else "no key",
            f"`{service.base_url_variable}`" if service.base_url_variable else "",
            "yes" if service.batch_api else "",
        )
        for service in SERVICES.values()
    ]
    columns = ("provider", "key variable", "variable of its base URL", "batch API")
    return SERVICES_TEXT + table(columns, rows)


def required(text: str | None, what: str) -> str:
    """The text.

    Raises:
        IncompleteDocsError: There is none.
    """
    if not text or not text.strip():
        raise IncompleteDocsError(f"{what} has no line of documentation")
    return text


def default_of(item: dataclasses.Field[Any]) -> Any:
    """The default value of a field."""
    factory = item.default_factory
    return item.default if factory is dataclasses.MISSING else factory()


def shown(value: Any) -> str:
    """A default value as typed by a user."""
    if value is None:
        return "none"
    if isinstance(value, tuple) and value and all(isinstance(item, type) for item in value):
        return ", ".join(f"`{item.__name__}`" for item in value)
    if isinstance(value, bool | int | float | str):
        return f"`{value:,}`" if type(value) is int else f"`{value}`"
    return "empty" if not value else f"`{value}`"


def trust(name: str) -> str:
    """Values of this option that a project's file may set."""
    rule = RULES.get(name, trusted_only)
    if rule is free:
        return "yes"
    return (
        "only if trusted"
        if rule is trusted_only
        else "on this machine or inside the project; else if trusted"
    )


def _section(name: str, kind: type, text: str, example: str, *, off: bool) -> str:
    documented = read(kind, kind.__name__).attributes
    rows = [
        (
            f"`{item.name}`",
            cell(required(documented.get(item.name), f"{kind.__name__}.{item.name}")),
            "" if item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
            else shown(default_of(item)),
        )
        for item in dataclasses.fields(kind)
    ]  # fmt: skip
    state = " Off by default." if off else ""
    in_python = f" In Python: `ainb.{kind.__name__}(…)`." if kind.__name__ in ainb.__all__ else ""
    return (
        f"## {name} {{ #{name} }}\n\n{text[0].upper()}{text[1:]}.{state}{in_python} "
        f"Example: `%config Ainb.{name} = {example}`\n\n" + table(("option", "meaning", "default"), rows)
    )


def _flags(flags: Any) -> list[tuple[str, ...]]:
    return [_flag(flag) for flag in flags]


def _flag(flag: Flag) -> tuple[str, ...]:
    text = required(flag.help, f"the option --{flag.name}")
    example = required(flag.example, f"the example of --{flag.name}")
    return f"`{cell(spelling(flag))}`", cell(text), f"`{cell(example)}`"
