"""llama.cpp servers: one per model file, shared by all sessions of the process, restarted after a crash."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import threading
from concurrent.futures import Future, wait
from pathlib import Path

from ainb.errors import PermanentProviderError
from ainb.fork import new_lock, renew_after_fork
from ainb.providers.local.child import GONE_SECONDS, Local, Process


class Server:
    """The server of one GGUF file; may be used from any event loop."""

    def __init__(self, weights: Path, options: Local) -> None:
        self._weights = weights
        self._options = options
        self._lock = new_lock()
        self._process: Future[Process] | None = None
        self._deaths = 0

    async def ready(self) -> Process:
        """The running child; it is started when there is none, once for all concurrent callers.

        Raises:
            ConfigError: xllamacpp is not installed.
            PermanentProviderError: The model cannot be loaded.
        """
        try:
            return await asyncio.shield(asyncio.wrap_future(self._current()))
        except PermanentProviderError as error:
            # All waiting callers share one exception: each one raises a new instance.
            raise PermanentProviderError(str(error)) from error

    async def died(self, process: Process) -> int:
        """Check whether the child has crashed during a call.

        Returns:
            Number of consecutive children that crashed without an answer, this one included; 0 if it runs.
        """
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(process.gone)), GONE_SECONDS)
        if not process.gone.done():
            return 0
        with self._lock:
            self._count(process)
            return self._deaths

    def processes(self) -> list[Process]:
        """The running child; an empty list without one."""
        future = self._process
        if future is None or not future.done() or future.exception() is not None:
            return []
        return [future.result()]

    def _current(self) -> Future[Process]:
        with self._lock:
            if self._process is None or self._has_ended(self._process):
                self._process = Future()
                threading.Thread(
                    target=self._start, args=(self._process,), name="ainb-llama-start", daemon=True
                ).start()
            return self._process

    def _has_ended(self, future: Future[Process]) -> bool:
        if not future.done():
            return False
        if future.exception() is not None:
            return True
        process = future.result()
        if not process.gone.done():
            return False
        self._count(process)
        return True

    def _count(self, process: Process) -> None:
        if not process.counted:
            process.counted = True
            self._deaths = 1 if process.answered else self._deaths + 1

    def _start(self, future: Future[Process]) -> None:
        try:
            process = Process(self._weights, self._options)
        except OSError as error:
            future.set_exception(
                PermanentProviderError(
                    f"local: llama.cpp cannot be started ({error.strerror or error}); free memory or "
                    "processes"
                )
            )
        except BaseException as error:  # noqa: BLE001 - waiting callers must receive it
            future.set_exception(error)
        else:
            future.set_result(process)


class Servers:
    """All servers of this process; empty in a forked child."""

    def __init__(self) -> None:
        self._lock = new_lock()
        self._servers: dict[tuple[Path, Local], Server] = {}
        self._inherited: list[Server] = []
        atexit.register(self.close)
        renew_after_fork(self)

    def server(self, weights: Path, options: Local) -> Server:
        """The server of a model file with these options, made on first use; `Server.ready` starts it."""
        with self._lock:
            return self._servers.setdefault((weights.resolve(), options), Server(weights, options))

    def close(self) -> None:
        """End all children; the next call starts a new one."""
        with self._lock:
            servers = list(self._servers.values())
            self._servers.clear()
        processes = [process for server in servers for process in server.processes()]
        for process in processes:
            process.end()
        wait([process.gone for process in processes], GONE_SECONDS)
        for process in processes:
            process.kill()
        wait([process.gone for process in processes], GONE_SECONDS)

    def renew(self) -> None:
        """Forget the parent's servers in a forked child."""
        for server in self._servers.values():
            for process in server.processes():
                process.end()  # closes this copy of the pipe; the child ends once the parent's is closed too
        self._inherited += self._servers.values()  # referenced, so that they are not ended here
        self._servers = {}


SERVERS = Servers()
