"""IPython shells in this process without the extension, deleted at the end of the test."""

from __future__ import annotations

import atexit
import contextlib

from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config


@contextlib.contextmanager
def fresh_shell():
    """A shell without history.

    IPython resets every shell at the end of the process, each with a full garbage collection: hundreds of
    shells take minutes, and until then each keeps the objects of its cells.
    """
    config = Config()
    config.HistoryManager.enabled = False
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(config=config)
    try:
        yield shell
    finally:
        if "ainb" in shell.extension_manager.loaded:
            shell.run_line_magic("unload_ext", "ainb")
        InteractiveShell.clear_instance()
        atexit.unregister(shell.atexit_operations)
