"""IPython shells in this process, without the extension, that are gone when the test is."""

from __future__ import annotations

import atexit
import contextlib

from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config


@contextlib.contextmanager
def fresh_shell():
    """A shell that keeps no history.

    IPython registers every shell to be reset when the process ends, with a whole garbage collection each:
    hundreds of them take minutes, and until then each keeps what its cells made.
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
