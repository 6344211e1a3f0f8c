"""Verification that a person asks for: with a lease of its own, its output shown while it runs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from kugetsu.redaction.funnel import Lines
from kugetsu.runtime import scratch_lease
from kugetsu.runtime.verification import clean_run
from kugetsu.runtime.verification.clean_run import Order, Place
from kugetsu.runtime.workspace import Workspace

Show = Callable[[list[bytes]], object]
"""Is given complete lines of output, redacted."""
Begin = Callable[[str], object]
"""Is given the commit of each run before it begins: the base commit may be verified too, and twice."""


def of_work(
    ws: Workspace, order: Order, commit: str, base: str | None, begin: Begin, show: Show
) -> tuple[dict[str, Any], str]:
    """What it says of a commit (`events.attempts.Verification`), and the end of its output. Raises KeyboardInterrupt at
    SIGTERM and SIGHUP too."""
    with _place(ws, begin, show) as place:
        return clean_run.of_work(ws, order, commit, base, place)


def of_base(ws: Workspace, order: Order, commit: str, begin: Begin, show: Show) -> dict[str, Any]:
    """What it says of a base commit, run again and remembered. Raises as `of_work`."""
    with _place(ws, begin, show) as place:
        return clean_run.of_base(ws, order, commit, place, again=True)


@contextlib.contextmanager
def _place(ws: Workspace, begin: Begin, show: Show) -> Iterator[Place]:
    with scratch_lease.typed(ws) as lease:
        folder = ws.paths.make(f"{ws.paths.scratch}/{lease.nonce}")
        follower = _Follower(begin, show)
        yield Place(lease.nonce, folder, step=follower.step, begin=follower.begin)


class _Follower:
    """Shows what is new in the output of each run."""

    def __init__(self, begin: Begin, show: Show) -> None:
        self._begin = begin
        self._show = show
        self._at = 0
        self._rest = b""
        self._secrets = Lines()

    def begin(self, commit: str) -> None:
        """Another run begins, maybe into the same file."""
        self._at, self._rest = 0, b""
        self._begin(commit)

    def step(self, path: str) -> None:
        """Show what is new."""
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
