"""Verification that a person asks for: with a lease of its own, its output shown while it runs."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import Any

from kugetsu.redaction.funnel import Lines
from kugetsu.runtime.git import scratch
from kugetsu.runtime.process import lease as leases
from kugetsu.runtime.process import termination
from kugetsu.runtime.process.lease import Lease
from kugetsu.runtime.verification import clean_run
from kugetsu.runtime.verification.clean_run import Order, Place
from kugetsu.runtime.workspace import Workspace

Show = Callable[[list[bytes]], object]
"""Is given complete lines of output, redacted."""


def of_work(ws: Workspace, order: Order, commit: str, base: str | None, show: Show) -> dict[str, Any]:
    """What it says of a commit (`events.attempts.Verification`). Raises KeyboardInterrupt at SIGTERM and SIGHUP too."""
    with _place(ws, show) as place:
        found, _ = clean_run.of_work(ws, order, commit, base, place)
    return found | {"output": None}


@contextlib.contextmanager
def _place(ws: Workspace, show: Show) -> Iterator[Place]:
    lease = Lease.create(ws.paths.make(ws.paths.leases))
    folder = ws.paths.make(f"{ws.paths.scratch}/{lease.nonce}")
    before = [(number, signal.signal(number, signal.default_int_handler)) for number in (signal.SIGTERM, signal.SIGHUP)]
    try:
        yield Place(lease.nonce, folder, lease.fd, step=_Follower(show))
    finally:
        for number, handler in before:
            signal.signal(number, handler)
        lease.close()
        # What cleared its environment and left its session is known by the lease that it holds.
        termination.end_lost(ws.paths.leases, lease.nonce, ws.config.number("KILL_GRACE_SECONDS"))
        scratch.remove(ws.paths, lease.nonce)
        leases.forget(ws.paths.leases, lease.nonce)


class _Follower:
    """Shows what is new in an output."""

    def __init__(self, show: Show) -> None:
        self._show = show
        self._path = ""
        self._at = 0
        self._rest = b""
        self._secrets = Lines()

    def __call__(self, path: str) -> None:
        if path != self._path:
            self._path, self._at, self._rest = path, 0, b""
        try:
            with open(path, "rb") as file:
                file.seek(self._at)
                data = file.read()
        except OSError:
            return
        self._at += len(data)
        *lines, self._rest = (self._rest + data).replace(b"\0", b"").split(b"\n")
        if lines:
            self._show(self._secrets.redact_all(lines))
