"""``%ai help`` and ``%ai version``: options, subcommands and settings, each with an example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ainb.config import OPTIONS
from ainb.errors import ConfigError
from ainb.magics.commands.command import Command
from ainb.magics.parsing.arguments import Arguments
from ainb.magics.parsing.flags import CELL_FLAGS, Flag
from ainb.magics.shell import NotebookShell
from ainb.panels.markup import Report, Table
from ainb.suggestions import closest
from ainb.version import __version__

# A value of each setting, as typed after %config Ainb.NAME =
VALUES: Final[Mapping[str, str]] = {
    "model": '"openai:gpt-5-mini"',
    "api_base": '"http://127.0.0.1:8000/v1"',
    "fallback": '["anthropic:claude-haiku-4-5", "ollama:llama3.2"]',
    "allow_insecure_http": "True",
    "env_file": '"~/keys.env"',
    "home": '"~/ainb"',
    "batch_poll_seconds": "5",
    "confirm_above_usd": "5",
    "headers": '{"openai": {"X-Team": "$TEAM"}}',
    "chat_tokens": "4000",
    "display": '"static"',
    "state": '"redis://127.0.0.1:6379/0"',
    "aliases": '{"fast": "openai:gpt-5-mini"}',
    "prices": '{"openai:my-model": {"input_usd_per_million": 0.5, "output_usd_per_million": 2}}',
    "log": '{"max_age_days": 90}',
    "log_content": "True",
    "otel": "True",
    "otel_content": "True",
    "replay": '"record"',
    "footer": "False",
    "validation": '"strict"',
    "deadline": '{"timeout_seconds": 60}',
    "cache": '{"ttl_seconds": 86400}',
    "budget": '"5/day"',
    "retry": '{"attempts": 2}',
    "rate_limit": '{"requests_per_minute": 500, "concurrency": 16}',
    "user_rate_limit": '{"requests_per_minute": 20}',
    "local": '{"slots": 2, "context_tokens": 8192}',
    "circuit": '{"open_seconds": 10}',
}


def show_help(commands: Sequence[Command], arguments: Arguments) -> Report:
    """All options and subcommands, or one of them with an example."""
    if arguments.words:
        return Report(_topic(commands, arguments.words[0]))
    return Report(
        [
            (
                "%%ai [MODEL] [options], and the prompt below it; "
                "{name} inserts a value of the notebook, {{name}} is {name}."
            ),
            (
                "MODEL is provider:model, such as openai:gpt-5-mini, or an alias. "
                "%config Ainb lists every setting; %ai help TOPIC shows one option with an example."
            ),
        ],
        [
            Table(
                caption="Options of %%ai",
                columns=("option", "what it does"),
                rows=[(spelling(flag), flag.help) for flag in CELL_FLAGS],
            ),
            Table(
                caption="%ai subcommands",
                columns=("subcommand", "what it does"),
                rows=[(command.usage, command.help) for command in commands],
            ),
        ],
    )


def show_version(_shell: NotebookShell, _arguments: Arguments) -> str:
    """The versions of ainb and of its price list, in one line."""
    from ainb.pricing import price_source

    return f"ainb {__version__} ({price_source()})"


def topics(commands: Sequence[Command]) -> list[str]:
    """Names of all options, subcommands and settings."""
    flags, names = (flag.name for flag in CELL_FLAGS), (command.name for command in commands)
    return list(dict.fromkeys((*flags, *names, *OPTIONS)))


def spelling(flag: Flag) -> str:
    """Spelling of an option, such as ``-f, --format FORMAT``."""
    spelling = ", ".join(reversed(flag.spellings))
    return f"{spelling} {flag.metavar}" if flag.metavar else spelling


def _topic(commands: Sequence[Command], word: str) -> list[str]:
    """What `word` names: ``--word`` only an option, ``%word`` a subcommand, ``Ainb.word`` a setting."""
    bare = word.lstrip("-%").removeprefix("Ainb.")
    lines: list[str] = []
    if not word.startswith(("%", "Ainb.")):
        lines += [
            line for flag in CELL_FLAGS if bare in {flag.name, flag.short} for line in _about_flag(flag)
        ]
    if not word.startswith(("-", "Ainb.")):
        lines += [line for command in commands if _is_called(command, bare) for line in _about(command)]
    if bare in OPTIONS and not word.startswith(("-", "%")):
        lines += [
            f"%config Ainb.{bare}: {OPTIONS[bare].metadata['help']}",
            f"Example: %config Ainb.{bare} = {VALUES[bare]}",
        ]
    if not lines:
        raise ConfigError(f"there is no help on {word!r}; {closest(bare, topics(commands))}")
    return lines


def _is_called(command: Command, name: str) -> bool:
    return name in {command.name, *command.synonyms}


def _about_flag(flag: Flag) -> list[str]:
    return [f"{spelling(flag)}: {flag.help}", f"Example: {flag.example}"]


def _about(command: Command) -> list[str]:
    return [f"%ai {command.usage}: {command.help}", f"Example: {command.example}", *_own_flags(command)]


def _own_flags(command: Command) -> list[str]:
    """The subcommand's own options, each with an example."""
    lines: list[str] = []
    for flag in command.flags or ():
        if flag not in CELL_FLAGS:
            # An option of several subcommands has the example of one.
            _, _, rest = flag.example.split(" ", 2)
            lines += [f"{spelling(flag)}: {flag.help}", f"Example: %ai {command.name} {rest}"]
    if lines or command.flags is not CELL_FLAGS:
        return lines
    return ["It takes the options of %%ai; %ai help lists them."]
