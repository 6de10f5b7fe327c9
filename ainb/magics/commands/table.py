"""Table of the ``%ai`` subcommands."""

from __future__ import annotations

from ainb.config import REPLAYS
from ainb.keys import KEY_VARIABLES
from ainb.magics.commands import budget, cache
from ainb.magics.commands.alias import SAVE, UNSAVE, drop_alias, set_alias
from ainb.magics.commands.chat import reset, run_chat
from ainb.magics.commands.command import Command
from ainb.magics.commands.compare import show_comparison
from ainb.magics.commands.cost import ALL, SINCE, show_cost, show_errors, show_usage
from ainb.magics.commands.explain import explain, fix
from ainb.magics.commands.help import show_help, show_version
from ainb.magics.commands.jobs import CANCEL, show_jobs
from ainb.magics.commands.list import show_list
from ainb.magics.commands.login import login, logout
from ainb.magics.commands.panel import show_panel
from ainb.magics.commands.pull import YES, pull
from ainb.magics.commands.replay import ACTIONS, replay
from ainb.magics.commands.status import show_status
from ainb.magics.commands.trust import trust_folder, untrust_folder
from ainb.magics.parsing.arguments import Arguments
from ainb.magics.parsing.flags import CELL_FLAGS
from ainb.magics.shell import NotebookShell
from ainb.panels import PANELS
from ainb.panels.markup import Report
from ainb.providers.local import PULLABLE
from ainb.usage.columns import LABEL_COLUMNS


def _show_help(_shell: NotebookShell, arguments: Arguments) -> Report:
    """All options and subcommands, or one of them."""
    return show_help(COMMANDS, arguments)


# fmt: off
COMMANDS: list[Command] = [
    Command("status", run=show_status,
            help="state of the models, their circuits and queues, of the cache and the budget",
            example="%ai status"),
    Command("help", run=_show_help, metavar="[TOPIC]", words=(0, 1), flags=None,
            help="all options, or one of them", example="%ai help format"),
    Command("list", run=show_list, metavar="[PROVIDER]", words=(0, 1),
            help="providers, pulled models and aliases; with a provider, the models that it offers now",
            example="%ai list"),
    Command("cost", run=show_cost, metavar="[COLUMN…] [--since SPAN] [--all]", words=(0, 8),
            flags=(SINCE, ALL), choices=LABEL_COLUMNS,
            help="tokens and cost, by model or by any columns of the log; returns the frame",
            example="%ai cost notebook day --since 7d"),
    Command("usage", run=show_usage, metavar="[--since SPAN]", flags=(SINCE,),
            help="one row per call; returns the frame", example="%ai usage --since 24h"),
    Command("errors", run=show_errors, metavar="[COLUMN…] [--since SPAN]", words=(0, 8), flags=(SINCE,),
            choices=LABEL_COLUMNS,
            help="failed calls, or their number by any columns of the log; returns the frame",
            example="%ai errors error_type request_model"),
    Command("budget", run=budget.budget, metavar="[USD[/session|day|user|batch] | reset | off]", words=(0, 1),
            choices=tuple(budget.ACTIONS),
            help="amounts spent, reserved and left; set, reset or remove the budget",
            example="%ai budget 5/day"),
    Command("jobs", run=show_jobs, metavar="[cancel RUN]", words=(0, 2), choices=(CANCEL,),
            help="batch jobs of providers, one per row; cancel stops those of a run, and finished rows are "
                 "kept", example="%ai jobs"),
    Command("cache", run=cache.cache, metavar="[clear | prune [--older SPAN]]", words=(0, 1),
            flags=(cache.OLDER,), choices=cache.ACTIONS,
            help="the stored answers; delete all, or those past an age",
            example="%ai cache prune --older 7d"),
    Command("pull", run=pull, metavar="NAME | hf:OWNER/REPO/FILE.gguf [--yes]", words=(1, 1), flags=(YES,),
            choices=tuple(PULLABLE),
            help="download a model that runs on this machine; for a file of the Hugging Face hub, size and "
                 "licence are shown and confirmed first (--yes skips the question)",
            example="%ai pull smollm2"),
    Command("replay", run=replay, metavar="[off|record [NAME]|replay|auto|status|prune]", words=(0, 2),
            choices=(*REPLAYS, *ACTIONS), help="answers from the notebook's cassette",
            example="%ai replay record"),
    Command("login", run=login, metavar="PROVIDER", words=(1, 1), choices=tuple(KEY_VARIABLES),
            help="ask for a key and store it in the OS keyring", example="%ai login openai"),
    Command("logout", run=logout, metavar="PROVIDER", words=(1, 1), choices=tuple(KEY_VARIABLES),
            help="remove a key from the OS keyring", example="%ai logout openai"),
    Command("trust", run=trust_folder, metavar="[FOLDER]", words=(0, 1),
            help="let the project's pyproject.toml set destinations, files and credentials too",
            example="%ai trust"),
    Command("untrust", run=untrust_folder, metavar="[FOLDER]", words=(0, 1),
            help="withdraw the trust in a project", example="%ai untrust"),
    Command("alias", run=set_alias, metavar="NAME MODEL [--save]", words=(2, 2), flags=(SAVE,),
            synonyms=("register", "update"),
            help="give a model a short name until the kernel ends, or permanently with --save",
            example="%ai alias fast openai:gpt-5-mini"),
    Command("dealias", run=drop_alias, metavar="NAME [--save]", words=(1, 1), flags=(UNSAVE,),
            synonyms=("delete",), help="remove a short name", example="%ai dealias fast"),
    Command("error", run=explain, metavar="[MODEL] [options]", words=(0, 1), flags=CELL_FLAGS,
            help="explain the last error of the notebook; sends its cell and the lines of your own code, "
                 "without secrets", example="%ai error"),
    Command("fix", run=fix, metavar="[MODEL] [options]", words=(0, 1), flags=CELL_FLAGS,
            help="correct the last cell that failed, in a new cell if the front end supports it",
            example="%ai fix openai:gpt-5-mini"),
    Command("chat", run=run_chat, metavar="[show|fork|cut|reset] [NAME]", words=(0, 3),
            help="the chats of the notebook; show one, fork it, cut it after some turns, delete it",
            example="%ai chat fork report other"),
    Command("reset", run=reset, metavar="[NAME]", words=(0, 1),
            help="delete a chat, or all chats of the notebook", example="%ai reset"),
    Command("compare", run=show_comparison, metavar="NAME", words=(1, 1),
            help="show a result of session.compare(…) again", example="%ai compare result"),
    Command("panel", run=show_panel, metavar="[cost|errors|batch]", words=(0, 1), choices=tuple(PANELS),
            help="panels of cost, errors and batches; without a name the board, an overview of all",
            example="%ai panel cost"),
    Command("version", run=show_version, help="the version of ainb", example="%ai version"),
]
# fmt: on

# By name and by every synonym.
BY_NAME = {name: command for command in COMMANDS for name in (command.name, *command.synonyms)}
