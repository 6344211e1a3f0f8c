"""The relay: one process of a host that has the driver and a connection, and appends for all others on the host.

They decide and write the mirror themselves; the relay only hands requests to the database, one after the other. While
one of them holds the log's head, the requests of the others wait here instead of at the database.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import threading
import time
from contextlib import suppress
from typing import Any

from kugetsu.log.files.segments import Head
from kugetsu.log.shared.arbiter import PAGE, Fence
from kugetsu.log.shared.postgres import HOLD_SECONDS, Database
from kugetsu.log.shared.relay_protocol import Address, dumps, raised, texts
from kugetsu.model import jsontext
from kugetsu.model.errors import KugetsuError, LogWriteFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_SEND_SECONDS = 2.0
"""How long a client may take to read an answer: a stopped one must not stop the others."""

_CHUNK = 256 * 1024

_REFUSED_SECONDS = 60.0
"""How long the last append counts as refused when none comes after it."""


class Relay:
    """The socket and the thread that serves it, which calls ``changed`` when `refused` does. Raises OSError if the
    socket cannot be made."""

    def __init__(
        self, directory: str, database: Callable[[], Database], changed: Callable[[], None] = lambda: None
    ) -> None:
        self._changed = changed
        self._database = database()
        self._requests: dict[socket.socket, bytearray] = {}
        self._holder: socket.socket | None = None
        self._held_until = 0.0
        self._refused: tuple[float, KugetsuError] | None = None
        self._stopped, self._stop = os.pipe2(os.O_CLOEXEC)
        self._path, self._listener = _listening(directory)
        self._thread = threading.Thread(target=self._serve, name="kugetsu-log-relay", daemon=True)
        self._thread.start()

    def refused(self) -> KugetsuError | None:
        """Why the database has just refused an append, though it may answer: its disk is full, say. None after one that
        it took, and after a while without any."""
        refused = self._refused
        return refused[1] if refused is not None and time.monotonic() - refused[0] < _REFUSED_SECONDS else None

    def stop(self) -> None:
        """Take no more requests; what is being done is done first."""
        with suppress(FileNotFoundError):
            os.unlink(self._path)
        os.write(self._stop, b"!")
        self._thread.join()
        for connection in (self._listener, *self._requests):
            connection.close()
        self._database.close()
        os.close(self._stop)
        os.close(self._stopped)

    def _serve(self) -> None:
        while True:
            # While one holds the head, only that one is heard.
            heard: list[Any] = [self._holder] if self._holder is not None else [self._listener, *self._requests]
            left = max(self._held_until - time.monotonic(), 0.0) if self._holder is not None else None
            ready, _, _ = select.select([self._stopped, *heard], [], [], left)
            if self._stopped in ready:
                return
            if not ready:
                self._end_hold()
            for connection in ready:
                if connection is self._listener:
                    self._accept()
                elif connection in self._requests:
                    self._read(connection)
                if self._holder is not None:
                    break  # the others' requests wait, also those that are here already

    def _accept(self) -> None:
        with suppress(OSError):
            connection, _ = self._listener.accept()
            if _owner(connection) != os.geteuid():
                connection.close()
                return
            connection.settimeout(_SEND_SECONDS)
            self._requests[connection] = bytearray()

    def _read(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(_CHUNK)
        except OSError:
            data = b""
        if not data:
            self._drop(connection)
            return
        buffer = self._requests[connection]
        buffer += data
        if not buffer.endswith(b"\n"):
            return
        request = bytes(buffer)
        buffer.clear()
        try:
            answer = self._answer(connection, jsontext.loads(request))
        except KugetsuError as error:
            answer = raised(error)
        except Exception as error:  # noqa: BLE001 - who asked is told; without an answer it would wait for ever
            answer = raised(LogWriteFailed(f"the relay failed: {error!r}", "kugetsu queue-daemon restart"))
        try:
            connection.sendall(dumps(answer))
        except OSError:
            self._drop(connection)

    def _answer(self, connection: socket.socket, request: dict[str, Any]) -> dict[str, Any]:
        held = self._holder is connection
        if request["do"] == "release":
            if held:
                self._end_hold()
            return {}
        at = Head(request["seq"], request["sha"])
        if request["do"] == "append":
            self._holder = None
            lines = [line.encode() for line in request["lines"]]
            fence = Fence(*request["fence"]) if "fence" in request else None
            holds = held and request["held"]
            try:
                missing = self._database.append(
                    at, lines, held=holds, again=request["again"], fence=fence, within=request.get("within")
                )
            except KugetsuError as error:
                self._note((time.monotonic(), error))
                raise
            self._note(None)
            return {"done": missing is None, "lines": texts(missing or [])}
        if request["do"] == "hold":
            held_lines = self._database.hold(at)
            if held_lines is not None:
                self._holder, self._held_until = connection, time.monotonic() + HOLD_SECONDS
            return {"lines": None if held_lines is None else texts(held_lines)}
        tail = self._database.tail(at, request.get("most", PAGE))
        return {"lines": texts(tail.lines), "head_seq": tail.head.seq, "head_sha": tail.head.sha}

    def _note(self, refused: tuple[float, KugetsuError] | None) -> None:
        before, self._refused = self._refused, refused
        if (before is None) != (refused is None):
            self._changed()

    def _end_hold(self) -> None:
        self._holder = None
        self._database.release()

    def _drop(self, connection: socket.socket) -> None:
        if self._holder is connection:
            self._end_hold()
        del self._requests[connection]
        connection.close()


def _listening(directory: str) -> tuple[str, socket.socket]:
    """The socket, for its owner only: made under another name, so that nobody connects to it before it is."""
    path = Address(directory)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    beside = f"{path.path}.{os.getpid()}"
    try:
        with suppress(FileNotFoundError):
            os.unlink(beside)
        listener.bind(beside)
        os.chmod(beside, 0o600)
        listener.listen(64)
        os.replace(beside, path.path)
    except BaseException:
        listener.close()
        raise
    finally:
        path.close()
    return os.path.join(directory, os.path.basename(path.path)), listener


def _owner(connection: socket.socket) -> int:
    """The user of the process at the other end."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:  # not Linux: the folder's and the socket's modes are what there is
        return os.geteuid()
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, option, struct.calcsize("3i")))
    return int(uid)
