"""Pauses of the queue, as `queue list`, `status` and `queue pause` show them."""

from __future__ import annotations

from kugetsu.domain.state import EVERYTHING
from kugetsu.model.clock import pause_lasts
from kugetsu.views import times

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from kugetsu.domain.state import State


def data(state: State, now: str) -> list[dict[str, Any]]:
    """The pauses that last, as JSON values; the one of all repositories (``repository`` None) first."""
    found = []
    for key, entry in sorted(state.paused.items()):
        if entry["until"] is None or pause_lasts(entry["until"], entry["at"], now):
            repository = None if key == EVERYTHING else key
            pause = {"repository": repository, "until": entry["until"], "since": entry["at"], "event": entry["seq"]}
            found.append(pause)
    found.sort(key=lambda pause: pause["repository"] is not None)
    return found


def of(repository: str | None) -> str:
    """`` for host/owner/repo``; empty for all of them."""
    return "" if repository is None else f" for {repository}"


def sentence(repository: str | None, until: str | None, now: str) -> str:
    """``the queue is paused until 18:00, in 1h02m``."""
    ends = f" until {times.ahead(until, now)}" if until is not None else ""
    return f"the queue is paused{of(repository)}{ends}"


def command(repository: str | None) -> str:
    """The command that ends a pause."""
    return "kugetsu queue resume" + (f" {repository}" if repository is not None else "")


def lines(pauses: Iterable[dict[str, Any]], now: str) -> list[str]:
    """A line for each pause, with the command that ends it."""
    return [f"{sentence(pause['repository'], pause['until'], now)}: {command(pause['repository'])}" for pause in pauses]


#: What a pause without an end holds back: the tasks of a repository, or all of them.
_HOLDS = ("no waiting task of this repository starts", "no waiting task starts")


def attention(state: State, now: str) -> list[tuple[str, str, str, str]]:
    """Subject, state, text and command of each pause that lasts, for the attention list of `status`."""
    return [
        (
            pause["repository"] or "queue",
            "paused",
            f"until {times.ahead(pause['until'], now)}" if pause["until"] else _HOLDS[pause["repository"] is None],
            command(pause["repository"]),
        )
        for pause in data(state, now)
    ]
