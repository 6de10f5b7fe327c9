"""``python -m ainb``: commands for use outside a notebook, such as downloading a model in CI."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import TextIO

from ainb.errors import AinbError, NotConfirmedError
from ainb.version import __version__

BAR_CHARS = 30
PERCENT = 100
STEP_PERCENT = 25
MEGABYTE = 10**6


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand.

    Args:
        arguments: Arguments of the command line; None means those of the process.

    Returns:
        Exit status: 0, or 1 after an error, which is one line on stderr.
    """
    given = _parser().parse_args(arguments)
    try:
        if given.command == "pull":
            _pull(given.model, confirmed=given.yes)
        else:
            sys.stdout.write(f"ainb {__version__}\n")
    except AinbError as error:
        sys.stderr.write(f"ainb: {error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    from ainb.providers.local import PULLABLE

    parser = argparse.ArgumentParser(prog="python -m ainb", description="ainb outside a notebook")
    commands = parser.add_subparsers(dest="command", required=True)
    pull = commands.add_parser("pull", help="fetch a local model once; later calls are instant")
    models = ", ".join(
        f"{item.name} ({item.title}, {item.size_bytes // MEGABYTE} MB, {item.licence})"
        for item in PULLABLE.values()
    )
    pull.add_argument(
        "model", nargs="?", default=next(iter(PULLABLE)), help=f"hf:OWNER/REPO/FILE.gguf, or one of: {models}"
    )
    pull.add_argument("--yes", action="store_true", help="download a file of the hub (hf:…) without asking")
    commands.add_parser("version", help="print the version")
    return parser


def _pull(model: str, *, confirmed: bool) -> None:
    from ainb.providers import local as local_models

    if model.startswith("hf:"):
        file = local_models.look_up(model)
        sys.stderr.write(f"{file.summary}\n")
        if not confirmed and not _confirm():
            raise NotConfirmedError("the download was not confirmed; add --yes to allow it")
        path = local_models.pull_from_hub(file, progress=progress(file.name, sys.stderr))
        sys.stdout.write(f"{path}\n")
        return
    if local_models.is_pulled(model):
        sys.stdout.write(f"{local_models.find(model)}\n")
        return
    path = local_models.pull(model, progress=progress(model, sys.stderr))
    sys.stdout.write(f"{path}\n")


def _confirm() -> bool:
    if sys.stdin is None or not sys.stdin.isatty():
        return False
    return input("Download it? [y/N] ").strip().lower() in {"y", "yes"}


def progress(name: str, stream: TextIO) -> Callable[[int, int | None], None]:
    """Callback that shows a download: a progress bar on a terminal, elsewhere a line per quarter.

    Args:
        name: Name of the model.
        stream: Output stream.
    """
    terminal = stream.isatty()
    reported = -1

    def report(done: int, total: int | None) -> None:
        nonlocal reported
        percent = min(PERCENT, done * PERCENT // total) if total else 0
        step = percent if terminal else percent // STEP_PERCENT * STEP_PERCENT
        if step <= reported:
            return
        reported = step
        if terminal:
            filled = BAR_CHARS * percent // PERCENT
            end = "\n" if percent == PERCENT else ""
            stream.write(f"\r{name} [{'#' * filled}{'.' * (BAR_CHARS - filled)}] {percent:3d} %{end}")
        else:
            stream.write(f"{name}: {step} % of {(total or 0) // MEGABYTE} MB\n")
        stream.flush()

    return report


if __name__ == "__main__":
    sys.exit(main())
