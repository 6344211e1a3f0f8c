"""The way of one process to the arbiter: through the relay of this host's daemon, else straight to the database.

The relay is a socket away and loads no driver (15 times what `python -c pass` takes). Without one, or when it dies in
the middle, the process connects itself.
"""

from __future__ import annotations

import time

from kugetsu.log.files.segments import Head
from kugetsu.log.shared.arbiter import PAGE, Fence, Tail, left_open
from kugetsu.log.shared.relay_protocol import Address, dumps, error_of, texts
from kugetsu.model import jsontext
from kugetsu.model.lean import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from kugetsu.log.shared.postgres import Database

_CHUNK = 256 * 1024

RELAY_SECONDS = 40.0
"""For one answer of the relay, which opens its connection again for 10 s, and waits 15 s for the database's answer. One
that is stopped says nothing: its client then connects itself."""

_AVOID_SECONDS = 60.0
"""For which one that said nothing is not asked again."""

_CONNECT_SECONDS = 2.0
"""For a relay that takes no more connections."""


class _RelayLostError(Exception):
    """The relay is gone; what came of the request is unknown."""


class Link:
    """An `Arbiter`. Not for several threads."""

    def __init__(self, directory: str, database: Callable[[], Database]) -> None:
        self._directory = directory
        self._open_database = database
        self._database: Database | None = None
        self._socket: socket.socket | None = None
        self._holds_directly = False
        self._avoided_until = 0.0

    @property
    def is_direct(self) -> bool:
        """Whether it has a connection to the database itself."""
        return self._database is not None and self._database.is_connected

    def append(
        self,
        at: Head,
        lines: list[bytes],
        *,
        held: bool,
        again: bool = False,
        fence: Fence | None = None,
        within: float | None = None,
    ) -> list[bytes] | None:
        """See `Arbiter`. A relay that dies in the middle leaves open what happened, as a lost connection does: the very
        same lines are sent again, on another way."""
        request: dict[str, Any] = {"do": "append", "seq": at.seq, "sha": at.sha, "lines": texts(lines)}
        if fence is not None:
            request["fence"] = [fence.host, fence.term, fence.sure]
        if within is not None:
            request["within"] = within
        while True:
            if not self._has_relay():
                self._holds_directly = False
                return self._direct().append(at, lines, held=held, again=again, fence=fence, within=within)
            try:
                answer = self._asked({**request, "held": held, "again": again}, within)
            except _RelayLostError as error:
                if within is not None and isinstance(error.__cause__, TimeoutError):
                    raise left_open(f"the relay did not answer within {within + 1:.0f} s") from error
                held, again = False, True
                continue
            return None if answer["done"] else _bytes(answer)

    def hold(self, at: Head) -> list[bytes] | None:
        """See `Arbiter`."""
        while True:
            if not self._has_relay():
                self._holds_directly = True
                return self._direct().hold(at)
            try:
                answer = self._asked({"do": "hold", "seq": at.seq, "sha": at.sha})
            except _RelayLostError:
                continue
            return None if answer["lines"] is None else _bytes(answer)

    def release(self) -> None:
        """See `Arbiter`."""
        self._holds_directly = False
        if self._socket is None:
            if self._database is not None:
                self._database.release()
            return
        try:
            self._asked({"do": "release"})
        except _RelayLostError:
            return  # and the hold with it

    def tail(self, at: Head, most: int = PAGE) -> Tail:
        """See `Arbiter`."""
        while True:
            if not self._has_relay():
                return self._direct().tail(at, most)
            try:
                answer = self._asked({"do": "tail", "seq": at.seq, "sha": at.sha, "most": most})
            except _RelayLostError:
                continue
            return Tail(_bytes(answer), Head(answer["head_seq"], answer["head_sha"]))

    def forget_parent(self) -> None:
        """See `Arbiter`."""
        if self._socket is not None:
            self._socket.close()  # the parent has its own descriptor of it
            self._socket = None
        if self._database is not None:
            self._database.forget_parent()
            self._database = None

    def close(self) -> None:
        """See `Arbiter`."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._database is not None:
            self._database.close()
            self._database = None

    def _direct(self) -> Database:
        if self._database is None:
            self._database = self._open_database()
        return self._database

    def _has_relay(self) -> bool:
        """Whether the next request goes through a relay: one that has come meanwhile is taken, but not in a hold."""
        if self._socket is None and not self._holds_directly and time.monotonic() >= self._avoided_until:
            self._socket = _connected(self._directory)
            if self._socket is not None and self._database is not None:
                self._database.close()
                self._database = None
        return self._socket is not None

    def _asked(self, request: dict[str, Any], within: float | None = None) -> dict[str, Any]:
        """The relay's answer. Raises what it raised there, or _RelayLostError."""
        connection = self._socket
        assert connection is not None
        parts: list[bytes] = []
        try:
            connection.settimeout(RELAY_SECONDS if within is None else within + 1)
            connection.sendall(dumps(request))
            while not parts or not parts[-1].endswith(b"\n"):
                part = connection.recv(_CHUNK)
                if not part:
                    raise ConnectionResetError
                parts.append(part)
        except OSError as error:
            self._drop_relay()
            if isinstance(error, TimeoutError):
                self._avoided_until = time.monotonic() + _AVOID_SECONDS
            raise _RelayLostError from error
        except BaseException:
            self._drop_relay()  # interrupted in the middle of an exchange
            raise
        answer: dict[str, Any] = jsontext.loads(b"".join(parts))
        refused = error_of(answer)
        if refused is not None:
            raise refused
        return answer

    def _drop_relay(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _bytes(answer: dict[str, Any]) -> list[bytes]:
    return [line.encode() for line in answer["lines"]]


def _connected(directory: str) -> socket.socket | None:
    """A connection to this host's relay; None without one."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(_CONNECT_SECONDS)
        address = Address(directory)
        try:
            connection.connect(address.path)
        finally:
            address.close()
    except OSError:
        connection.close()
        return None
    return connection
