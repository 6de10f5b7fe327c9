"""In-memory folder for the temporary files of the tests.

Most tests open a new home with three databases, which takes 90 ms or more on a disk and 10 ms in memory.
A full run needs about 300 MB.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import suppress
from multiprocessing.util import Finalize
from pathlib import Path

import psutil

MEMORY = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a private folder in it
NAME = "ainb-tests-"
FREE_BYTES = 4 * 2**30
DAY_SECONDS = 86_400


def open_memory_folder() -> None:
    """Keep the temporary files of this process and its child processes in memory until it ends.

    Does nothing if TMPDIR is set, or if less than FREE_BYTES of memory are free.
    """
    if "TMPDIR" in os.environ or not os.access(MEMORY, os.W_OK):
        return
    for left in MEMORY.glob(f"{NAME}*"):  # left by a killed run
        with suppress(FileNotFoundError):  # removed by another run
            if time.time() - left.stat().st_mtime > DAY_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
    if min(shutil.disk_usage(MEMORY).free, psutil.virtual_memory().available) < FREE_BYTES:
        return
    folder = tempfile.mkdtemp(prefix=NAME, dir=MEMORY)
    os.environ["TMPDIR"] = folder
    tempfile.tempdir = None  # cached; tempfile then reads TMPDIR again
    # Runs after multiprocessing has removed its own folder (priority -100); forked children do not run it.
    Finalize(None, shutil.rmtree, args=(folder,), kwargs={"ignore_errors": True}, exitpriority=-200)
