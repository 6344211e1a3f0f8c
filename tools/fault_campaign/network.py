"""The network between one host and the database: a TCP proxy that can be cut, half-open, or slow."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from contextlib import suppress

_CHUNK = 1 << 18
_SLOW_SECONDS = 0.3
_TICK = 0.2


class Network:
    """Leads from a port of this machine to the server's socket.

    ``state``: "open"; "cut": connections are closed, and new ones too; "silent": connections stay, and nothing comes
    through in either direction, nor is it lost; "slow": each piece takes its time.
    """

    def __init__(self, server: str) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.state = "open"
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._other: dict[socket.socket, socket.socket] = {}
        self._closed = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it, with all connections."""
        self._closed = True
        self._thread.join()

    def _run(self) -> None:
        while not self._closed:
            if self.state == "silent":
                time.sleep(_TICK)
                continue
            if self.state == "cut":
                self._cut()
            for key, _ in self._selector.select(_TICK):
                if key.fileobj is self._listener:
                    self._accept()
                elif isinstance(key.fileobj, socket.socket):
                    self._pass_on(key.fileobj)
        self._cut()
        self._listener.close()

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        server = socket.socket(socket.AF_UNIX)
        try:
            if self.state == "cut":
                raise ConnectionError
            server.connect(self._server)
        except OSError:
            client.close()
            server.close()
            return
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for one, other in ((client, server), (server, client)):
            self._other[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _pass_on(self, source: socket.socket) -> None:
        if source not in self._other:
            return  # closed in this very round
        try:
            data = source.recv(_CHUNK)
            if self.state == "slow":
                time.sleep(_SLOW_SECONDS)
            if data:
                self._other[source].sendall(data)
        except OSError:
            data = b""
        if not data:
            self._end(source)

    def _cut(self) -> None:
        while self._other:
            self._end(next(iter(self._other)))

    def _end(self, one: socket.socket) -> None:
        for end in (one, self._other[one]):
            self._selector.unregister(end)
            del self._other[end]
            with suppress(OSError):
                end.close()
