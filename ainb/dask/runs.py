"""Runs over partitions: a folder in the home with a journal and a mark of completion per partition.

A partition may be computed more than once: its worker or its result was lost, or the user computes the frame
again. Finished rows are found by the run id.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from ainb.core import Core
from ainb.stores.files import FOLDER_MODE, make_folders

FOLDER = "partitions"
MARK = "run.json"
IDENTITY_LETTERS = 24
KEEP_SECONDS = 30 * 86_400.0


@dataclass(frozen=True, kw_only=True)
class PartitionedRun:
    """A run over partitions.

    Attributes:
        run_id: Its id, and the ``batch_id`` of its calls.
        folder: Path of its journals on the notebook's machine; None without journals.
        partitions: Number of partitions; None while unknown.
    """

    run_id: str
    folder: Path | None
    partitions: int | None

    def journal(self, number: int) -> Path | None:
        """The journal of a partition."""
        return None if self.folder is None else self.folder / f"{number}.sqlite3"

    def finish(self, number: int) -> None:
        """Mark a partition as finished."""
        if self.folder is not None:
            (self.folder / f"{number}.done").touch()

    @property
    def is_here(self) -> bool:
        """Whether this machine can read the notebook's folder."""
        try:
            return self.folder is not None and (self.folder / MARK).is_file()
        except OSError:  # a network folder that does not answer
            return False


def open_run(
    core: Core, *, identity: str, partitions: int | None, resume: bool, retry_failed: bool
) -> PartitionedRun:
    """The unfinished run of the same work, or a new one.

    Args:
        core: Core of the session in whose home the journals are.
        identity: Equal for the same work, apart from the number of partitions.
        partitions: Number of partitions; None while unknown, and the run is a new one.
        resume: Continue an unfinished run.
        retry_failed: Continue the newest run, finished or not.
    """
    run_id, folder = core.new_id(), None
    home = core.config.home_folder().absolute() / FOLDER
    stem = f"{identity[:IDENTITY_LETTERS]}-{partitions or 0}"
    try:
        if core.config.replay == "off":
            make_folders(home)
            _delete_old(home, core.runtime.clock.unix() - KEEP_SECONDS)
            old = sorted(home.glob(f"{stem}.*"))
            done = len(list(old[-1].glob("*.done"))) if old else 0
            if old and partitions and (retry_failed or (resume and done < partitions)):
                folder = old[-1]
                run_id = folder.suffix.removeprefix(".")
            else:
                folder = _new_folder(home / f"{stem}.{run_id}", partitions)
    except OSError as error:
        text = f"the journal of the partitions cannot be kept ({error}); rows of a lost worker are sent again"
        core.notify(text, "journal")
    return PartitionedRun(run_id=run_id, folder=folder, partitions=partitions)


def _new_folder(folder: Path, partitions: int | None) -> Path:
    folder.mkdir(mode=FOLDER_MODE)
    (folder / MARK).write_text(json.dumps({"partitions": partitions}), encoding="utf-8")
    return folder


def _delete_old(home: Path, before: float) -> None:
    for mark in home.glob(f"*/{MARK}"):
        with contextlib.suppress(FileNotFoundError):  # another kernel deletes too
            if mark.stat().st_mtime < before:
                shutil.rmtree(mark.parent, ignore_errors=True)
