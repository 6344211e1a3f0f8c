"""What agents did when, as they wrote it down outside of kugetsu, and which faults excuse what."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass, field

#: Seconds that the machine may be late before a promise of a time says nothing.
LATE = 1.0


def uptime() -> float:
    """Seconds since the machine started: the clock of the journal, which no host's clock changes."""
    with open("/proc/uptime", encoding="ascii") as file:
        return float(file.read().split()[0])


@dataclass
class Run:
    """What an attempt's agent wrote down: when it was at work, and the commits that it made."""

    attempt: str
    issue: str
    moments: list[float] = field(default_factory=list)
    commits: list[str] = field(default_factory=list)


def read(path: str) -> list[Run]:
    """The runs, in the order in which they began."""
    runs: dict[str, Run] = {}
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            words = line.split()
            if len(words) < 4:
                continue  # a machine that was switched off in the middle
            run = runs.setdefault(words[2], Run(words[2], words[3]))
            run.moments.append(float(words[0]))
            if words[1] == "commits" and len(words) > 4:
                run.commits.append(words[4])
    return list(runs.values())


@dataclass
class Fault:
    """Something that was done to a host, or to an attempt's processes, ``since`` when, and ``until``."""

    what: str
    whom: str
    since: float
    until: float


class Faults:
    """All that were done, and when this machine was late."""

    def __init__(self) -> None:
        self.known: list[Fault] = []
        self._by: dict[str, list[Fault]] = defaultdict(list)

    def note(self, what: str, whom: str, since: float | None = None) -> None:
        """It happens now, or has ended now."""
        now = uptime()
        fault = Fault(what, whom, now if since is None else since, now)
        self.known.append(fault)
        self._by[whom].append(fault)

    def of(self, *whom: str) -> list[Fault]:
        """What was done to these."""
        return [fault for one in whom for fault in self._by[one]]

    def lagged(self, since: float, seconds: float) -> None:
        """The machine itself was late by so many seconds."""
        if seconds > LATE:
            self._by["machine"].append(Fault("late", "machine", since, since + seconds))
