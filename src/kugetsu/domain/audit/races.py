"""Who lost which race to whom, and by how much.

A lost claim has an event of its own (`claim.lost`): a process saw all gates open and found one closed under the lock.
A daemon that another took over from is recorded by `daemon.lost` in the transaction that starts the new one. Not
recorded, on purpose: a claim that found a gate closed from the start (a refusal, not a race), an attempt's end that
another process recorded first (the second appends nothing), and a daemon refused because one is already running.
"""

from __future__ import annotations

from typing import Any, TypedDict

from kugetsu.domain.events import Event
from kugetsu.domain.intervals import MICRO
from kugetsu.model.clock import parse


class Race(TypedDict):
    """One lost race. ``events`` and ``seconds`` lie between what the winner appended and the loser's decision, None
    if unknown; ``looked`` is the latest seq that the loser had seen."""

    seq: int
    at: str
    kind: str
    subject: str
    by: str
    gate: str | None
    reason: str
    values: dict[str, Any] | None
    to: str | None
    behind: int
    events: int | None
    seconds: float | None
    looked: int | None


#: The latest lost races are kept; all are counted.
KEPT = 1000
#: Events whose times are kept, to know by how much a race was lost.
_REMEMBERED = 8192


class Races:
    """The lost races of a log, or ``only`` those that this issue, task or session won or lost."""

    def __init__(self, only: str | None = None) -> None:
        self.found: list[Race] = []
        self.seen = 0
        self._only = only
        #: The tasks of ``only``: of a winner, only the task is known.
        self._mine: set[str] = set()
        self._times: list[tuple[int, str]] = [(0, "")] * _REMEMBERED
        self._lost_daemon: Event | None = None

    def add(self, event: Event) -> None:
        """Take the next event in."""
        kind, seq = event["type"], event["seq"]
        self._times[seq % _REMEMBERED] = (seq, event["at"])
        if self._only is not None and event.get("task") and self._only in (event.get("issue"), event.get("session")):
            self._mine.add(event["task"])
        if kind == "claim.lost":
            self._keep(self._claim(event), event)
        elif kind == "daemon.lost":
            self._lost_daemon = event
        elif kind == "daemon.started" and self._lost_daemon is not None:
            if self._lost_daemon["seq"] == seq - 1 and self._lost_daemon.get("more"):
                self._keep(self._taken_over(self._lost_daemon, event), event)
            self._lost_daemon = None

    def _keep(self, race: Race, event: Event) -> None:
        winner = (race["to"] or "").partition(".")[0]
        if self._only not in (None, event.get("issue"), event.get("task"), winner) and winner not in self._mine:
            return
        self.seen += 1
        self.found.append(race)
        if len(self.found) > 2 * KEPT:
            del self.found[:KEPT]

    def latest(self) -> list[Race]:
        """The latest ones, oldest first."""
        return self.found[-KEPT:]

    def _claim(self, event: Event) -> Race:
        data = event["data"]
        behind = data["behind_seq"]
        remembered, at = self._times[behind % _REMEMBERED]
        known = behind > 0 and remembered == behind
        return {
            "seq": event["seq"],
            "at": event["at"],
            "kind": "claim",
            "subject": event.get("task") or event.get("issue") or "",
            "by": str(event.get("by", {}).get("cmd", "")),
            "gate": data["gate"],
            "reason": data["reason"],
            "values": data.get("values"),
            "to": data["to"],
            "behind": behind,
            "events": event["seq"] - behind if behind else None,
            "seconds": (parse(event["at"]) - parse(at)) / MICRO if known else None,
            "looked": event.get("facts", {}).get("planned"),
        }

    def _taken_over(self, lost: Event, started: Event) -> Race:
        was = (lost["data"]["identity"] or {}).get("pid")
        return {
            "seq": started["seq"],
            "at": started["at"],
            "kind": "daemon",
            "subject": "",
            "by": str(started.get("by", {}).get("cmd", "")),
            "gate": None,
            "reason": "daemon_lost",
            "values": {"was": was, "pid": started["data"]["identity"].get("pid")},
            "to": None,
            "behind": started["seq"],
            "events": None,
            "seconds": None,
            "looked": None,
        }
