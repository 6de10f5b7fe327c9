"""SIGTERM handler that writes queued rows before the process ends, as at a normal exit."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

WAIT_SECONDS = 3.0


def flush_at_sigterm(flush: Callable[[], None]) -> None:
    """Install a handler that flushes and then ends the process, as the signal does by default.

    Nothing is installed when the program has a handler of its own, or starts its first session in a thread:
    Python sets handlers in the main thread only.

    Args:
        flush: Writes queued rows; runs in a thread, because the signal may have interrupted the holder of a
            lock.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return

    def end(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        thread = threading.Thread(target=flush, name="ainb-sigterm", daemon=True)
        thread.start()
        thread.join(WAIT_SECONDS)
        os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, end)
