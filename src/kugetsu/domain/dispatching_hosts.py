"""Which hosts dispatch, and how many slots there are, event by event: of a log that several share a daemon runs while
one of any host does, and the slots are those of all hosts that take part."""

from __future__ import annotations

from kugetsu.domain import hosts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from kugetsu.domain.events import Event
    from kugetsu.domain.state import Daemon, State

_ALONE = ""


class DispatchingHosts:
    """Goes on from ``state``. A log that is not shared has one host, whatever its events call it."""

    def __init__(self, state: State) -> None:
        self.shared = bool(state.hosts)
        daemons = state.daemons.items() if self.shared else [(_ALONE, state.daemon)]
        self._running = {host for host, daemon in daemons if daemon.state == "running"}
        #: The slots of each host that takes part, and the name of each that ever did.
        self.caps = {host.id: host.cap for host in state.hosts.values() if host.takes_part}
        self.names = {host.id: host.name for host in state.hosts.values()}
        self._most = hosts.global_cap(state)

    @property
    def any_runs(self) -> bool:
        """Whether a daemon of any host dispatches."""
        return bool(self._running)

    @property
    def cap(self) -> int:
        """The slots of all hosts together."""
        total = sum(self.caps.values())
        return total if self._most is None else min(total, self._most)

    def first(self, state: State) -> Daemon | None:
        """The daemon of ``state`` that has run for the longest, else one that drains; None if none runs."""
        daemons = [daemon for daemon in state.daemons.values() if daemon.runs] if self.shared else [state.daemon]
        known = [daemon for daemon in daemons if daemon.runs]
        return min(known, key=lambda daemon: (daemon.state != "running", daemon.changed), default=None)

    def cap_by(self, facts: Mapping[str, Any]) -> int:
        """The slots, after a decision with these facts."""
        if not self.shared or "host" not in facts:
            return int(facts["cap"])
        if facts["host"] in self.caps:
            self.caps[facts["host"]] = facts["cap"]
        return self.cap

    def started(self, event: Event) -> bool:
        """A daemon starts; whether one of another host runs."""
        host = self._of(event["data"]["identity"].get("host"))
        others = bool(self._running - {host})
        self._running.add(host)
        return others

    def ended(self, event: Event) -> bool:
        """A daemon no longer dispatches; whether one of another host does."""
        self._running.discard(self._of(event["data"].get("host")))
        return self.shared and self.any_runs

    def changed(self, event: Event) -> None:
        """A host joined, left or was lost, or a setting of all was set."""
        data = event["data"]
        if event["type"] == "setting.shared":
            if data["key"] == hosts.GLOBAL_CAP:
                self._most = int(data["new"]) if (data["new"] or "").isdecimal() else None
        elif event["type"] != "host.joined":
            self.caps.pop(data["host"], None)
        else:
            if not self.shared:  # what ran until now is of the first host that shares the log
                self._running = {data["host"] for _ in self._running}
                self.shared = True
            self.caps[data["host"]] = data["cap"]
            self.names[data["host"]] = data["name"]

    def _of(self, host: str | None) -> str:
        return host or _ALONE if self.shared else _ALONE
