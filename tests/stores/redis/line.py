"""A TCP line to a server that tests can hang, cut, or let swallow replies."""

from __future__ import annotations

import contextlib
import socket
import threading


class Line:
    """A relay on this machine; each connection has two threads, which end when it is closed.

    Args:
        port: Port of the server.
        hangs: Whether it hangs from the start.

    Attributes:
        port: Port on which it listens.
    """

    def __init__(self, port: int, *, hangs: bool = False):
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._sockets = []
        self._lock = threading.Lock()
        self._passes = {"up": threading.Event(), "down": threading.Event()}
        self._is_closed = False
        if not hangs:
            self.mend()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    def hang(self, *ways):
        """Hold back what is sent from now on: "up" to the server, "down" from it, or both."""
        for way in ways or ("up", "down"):
            self._passes[way].clear()

    def mend(self):
        """Pass on what was held back, and everything after it."""
        for event in self._passes.values():
            event.set()

    def cut(self):
        """Close all connections; what was held back is lost."""
        with self._lock:
            sockets, self._sockets = self._sockets, []
        for item in sockets:
            with contextlib.suppress(OSError):
                item.shutdown(socket.SHUT_RDWR)
            item.close()

    def close(self):
        self._is_closed = True
        self._listener.close()
        self.cut()
        self.mend()

    def _accept(self):
        while not self._is_closed:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                continue
            with self._lock:
                self._sockets += [near, far]
            for way, source, target in (("up", near, far), ("down", far, near)):
                threading.Thread(target=self._pump, args=(way, source, target), daemon=True).start()

    def _pump(self, way, source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._passes[way].wait()
                target.sendall(data)
        for item in (source, target):
            with contextlib.suppress(OSError):
                item.shutdown(socket.SHUT_RDWR)
