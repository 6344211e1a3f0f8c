"""The words of the events of hosts that share a log."""

from __future__ import annotations

from kugetsu.domain.hosts import daemon_went_with
from kugetsu.model import host_words
from kugetsu.model.plural import counted
from kugetsu.model.result_words import folder_of, line_to_push
from kugetsu.views import times
from kugetsu.views.text import line

_ON_HOST = ("host.returned", "daemon.started", "daemon.draining", "daemon.stopped", "daemon.lost", "setting.changed")

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from kugetsu.domain.events import Event
    from kugetsu.domain.events.attempts import AttemptLate
    from kugetsu.domain.events.hosts import (
        HostDraining,
        HostJoined,
        HostLeft,
        HostLost,
        HostReturned,
        HostUndrained,
        LeftWork,
    )
    from kugetsu.domain.events.system import DaemonLost, SettingShared


def on_host(event: Event, text: str, names: Mapping[str, str]) -> str:
    """The words of an event with the name of its host, for events that are of one; ``names`` of those that share the
    log, by their ids. The log has the ids, since a name may change."""
    kind, data = event["type"], event["data"]
    process = data.get("claimer") or data.get("identity") or {}
    host = data.get("host") or process.get("host") or ""
    name = names.get(host)
    if name is None:
        return text
    if kind == "daemon.lost" and daemon_went_with(event, data):
        return f"{line(name)}: lost with its host"
    if kind in _ON_HOST:
        return f"{line(name)}: {text}"
    if kind.startswith("host."):
        return host_words.named(text, host, line(name))
    if kind == "attempt.claimed":
        slot, comma, rest = text.partition(", ")
        return f"{slot} on {line(name)}{comma}{rest}"
    return text


def joined(data: HostJoined) -> str:
    """Who joined, and what it offers."""
    offers = f", offers {', '.join(data['labels'])}" if data["labels"] else ""
    return f"{data['name']} ({host_words.short(data['host'])}), {counted(data['cap'], 'slot')}{offers}"


def lost(data: HostLost) -> str:
    """Since when nobody heard of it, or who knew."""
    since = data["silent_since"]
    silent = f"not heard of since {times.time_of_day(since)}" if since else "a person said that it is gone"
    return f"{host_words.by_id(data['host'])}: {silent}"


def draining(data: HostDraining) -> str:
    """Why it starts nothing new."""
    return f"{host_words.by_id(data['host'])} starts nothing new: {data['reason']}"


def undrained(data: HostUndrained) -> str:
    """Which one."""
    return f"{host_words.by_id(data['host'])} starts tasks again"


def left(data: HostLeft) -> str:
    """Why it shares the log no more."""
    return f"{host_words.by_id(data['host'])}: {data['reason']}"


def returned(data: HostReturned) -> str:
    """The commits that were only there, and where they are now."""
    kept = [one for one in data["worktrees"] if one["commits"]]
    told = [f"{counted(one['commits'], 'commit')} of {one['session']} {kept_on(one)}" for one in kept]
    return "; ".join(told) or "no unpushed commits were left there"


def kept_on(one: LeftWork) -> str:
    """Where the work is, and how to push what was not."""
    if one["rescue"] is None:
        return f"only in {one['worktree']}{': ' + one['problem'] if one.get('problem') else ''}"
    if one["pushed"]:
        return f"on {one['rescue']}, pushed to {one.get('remote') or 'its remote'}"
    why, push = one.get("not_pushed"), line_to_push(one)
    told = f"on {one['rescue']} in {folder_of(one)}, not pushed{': ' + why if why else ''}"
    return f"{told}; there: {push}" if push else told


def late(data: AttemptLate) -> str:
    """What came after the task was given away."""
    kept = f", its work is on {data['rescue']}" if data["rescue"] else ""
    return f"after its host was lost: {data['reason']}{kept}"


def shared(data: SettingShared) -> str:
    """A setting of all hosts."""
    return f"{data['key']} {data['old'] or 'unset'} → {data['new'] or 'unset'} on all hosts"


def daemon_lost(data: DaemonLost) -> str:
    """Which process it was."""
    pid = data["identity"]["pid"] if data["identity"] is not None else "?"
    return f"pid {pid} exited without recording a reason"
