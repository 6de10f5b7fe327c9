"""Temporary files in memory.

Most tests open a home of their own, which is three databases: 90 ms and more where each has to reach a disk,
10 ms in memory. A whole run holds some 300 MB.
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

MEMORY = Path("/dev/shm")  # noqa: S108 - the folder below it is our own
NAME = "ainb-tests-"
FREE_BYTES = 4 * 2**30
DAY_SECONDS = 86_400


def open_memory_folder() -> None:
    """Send the temporary files of this process and of all that it starts to memory, until it ends.

    Nothing is changed where a person has chosen a folder, or where no such memory is left.
    """
    if "TMPDIR" in os.environ or not os.access(MEMORY, os.W_OK):
        return
    for left in MEMORY.glob(f"{NAME}*"):  # of a run that was killed
        with suppress(FileNotFoundError):  # another run has just ended
            if time.time() - left.stat().st_mtime > DAY_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
    if min(shutil.disk_usage(MEMORY).free, psutil.virtual_memory().available) < FREE_BYTES:
        return
    folder = tempfile.mkdtemp(prefix=NAME, dir=MEMORY)
    os.environ["TMPDIR"] = folder
    tempfile.tempdir = None  # so that it is asked for again
    # After the folder of multiprocessing in it (-100), and in this process only, in none that it has forked.
    Finalize(None, shutil.rmtree, args=(folder,), kwargs={"ignore_errors": True}, exitpriority=-200)
