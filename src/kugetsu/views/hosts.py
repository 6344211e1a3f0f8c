"""The hosts that share the log, on the screens of one of them: what each runs, and how much of that is of now."""

from __future__ import annotations

from kugetsu.model.host_words import short
from kugetsu.model.plural import counted
from kugetsu.views import times
from kugetsu.views.tables import Column, table
from kugetsu.views.text import columns, line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from kugetsu.domain.state import Host, State
    from kugetsu.runtime.query.contact import Contact
    from kugetsu.views.screen import Screen
    from kugetsu.views.status_data import HostData

SILENT_SECONDS = 40
"""From here on it is news that a host is silent: each is heard of every 20 seconds."""
_LOST_SECONDS = 86_400
_MOST = 8


def collect(state: State, own: str | None, contact: Contact | None) -> list[HostData]:
    """Each host, this one first and the others in the order of their names."""
    silent = contact.silent if contact is not None else {}
    known = sorted(state.hosts.values(), key=lambda host: (host.id != own, host.name, host.id))
    return [_data(state, host, own, silent.get(host.id)) for host in known]


def _data(state: State, host: Host, own: str | None, silent: float | None) -> HostData:
    return {
        "host": host.id,
        "name": host.name,
        "state": host.state,
        "since": host.changed_at,
        "here": host.id == own,
        "live": len(state.live_on(host.id, "dev")),
        "cap": host.cap,
        "daemon": state.daemon_of(host.id).state,
        "silent_seconds": silent if host.takes_part else None,
    }


def lines(hosts: list[HostData], screen: Screen, now: str) -> list[str]:
    """The hosts on the status screen: none while this one is alone. Those that left are not shown, those that were lost
    for a day; of many only those that run something or need a word."""
    shown = [host for host in hosts if _is_shown(host, now)]
    if len(shown) < 2:
        return []
    said = {host["host"]: _said(host, now) for host in shown}
    names = _names(shown)
    idle: list[HostData] = []
    if len(shown) > _MOST:
        idle = [host for host in shown if not host["live"] and not said[host["host"]]]
        shown = [host for host in shown if host not in idle]
    width = min(max((columns(names[host["host"]]) for host in shown), default=0), 24)
    found = []
    for host in shown:
        name = names[host["host"]]
        text = f"{name}{' ' * (width - columns(name))}  {host['live']} of {host['cap']}"
        words = screen.wrapped(f"{text}  {said[host['host']]}".rstrip(), len("hosts   "))
        found += [words[0], *(f"  {more.strip()}" for more in words[1:])]
    if idle:
        found.append(f"and {counted(len(idle), 'idle host')}")
    return [f"{'hosts' if not at else '':8}{text}" for at, text in enumerate(found)]


def _is_shown(host: HostData, now: str) -> bool:
    if host["state"] == "lost":
        return times.since(host["since"], now) < _LOST_SECONDS
    return host["state"] != "left"


def _said(host: HostData, now: str) -> str:
    """What is out of the ordinary."""
    if host["state"] == "lost":
        return f"lost for {times.duration(times.since(host['since'], now))}, its tasks were given to others"
    words = ["this host"] if host["here"] else []
    if host["state"] == "draining":
        words.append("draining")
    if host["daemon"] in ("stopped", "lost") and not host["here"]:
        words.append("no daemon runs")
    silent = host["silent_seconds"]
    if silent is not None and silent > SILENT_SECONDS and not host["here"]:
        words.append(f"not heard of for {times.duration(silent)}")
    return ", ".join(words)


def lack(contact: Contact, now: str) -> tuple[str, str, str, str] | None:
    """Subject, state, text and command of what keeps the screen from being of now; None if nothing does."""
    if contact.lack is None:
        return None
    if contact.lack == "refused":
        return "log", "read-only", str(contact.trouble), "kugetsu doctor"
    as_of = "as of an unknown time"
    if contact.as_of is not None:
        ago = times.duration(times.since(contact.as_of, now))
        as_of = f"as of {times.moment(contact.as_of, now)}, {ago} ago"
    if contact.lack == "away":
        return "log", "away", f"what other hosts did is shown {as_of}: {contact.trouble}", "kugetsu doctor"
    if contact.lack == "relay":
        text = f"what other hosts did is shown {as_of}: the daemon's relay is not running"
        return "log", "behind", text, "kugetsu queue-daemon logs"
    if contact.lack == "left":
        text = f"what other hosts did is shown {as_of}: this host has left the shared log"
        return "log", "behind", text, "kugetsu host join"
    text = f"what other hosts did is shown {as_of}: no daemon keeps this host's mirror up to date"
    return "log", "behind", text, "kugetsu queue-daemon start"


def rows(state: State, own: str | None, contact: Contact) -> list[dict[str, Any]]:
    """The hosts of `kugetsu host list`, in the order in which they first joined."""
    from kugetsu.domain.hosts import only_there, rests

    return [
        {
            "host": host.id,
            "name": host.name,
            "here": host.id == own,
            "state": host.state,
            "rests": rests(state, host),
            "term": host.term,
            "cap": host.cap,
            "used": len(state.live_on(host.id, "dev")),
            "labels": host.labels,
            "live": [attempt.id for attempt in state.live_on(host.id)],
            "daemon": state.daemon_of(host.id).state,
            "heard_seconds": contact.silent.get(host.id) if host.takes_part else None,
            "only_there": only_there(state, host),
        }
        for host in state.hosts.values()
    ]


def listed(screen: Screen, rows: list[dict[str, Any]]) -> list[str]:
    """A line for each host, and what may be only there."""
    heads = [
        Column("HOST", whole=True),
        Column("STATE"),
        Column("AGENTS"),
        Column("HEARD"),
        Column("LABELS", gives=True),
    ]
    names = _names(rows)
    shown = [
        [
            names[row["host"]],
            _state(row) + (", here" if row["here"] else ""),
            f"{row['used']} of {row['cap']}",
            f"{times.duration(row['heard_seconds'])} ago" if row["heard_seconds"] is not None else "-",
            " ".join(row["labels"]),
        ]
        for row in rows
    ]
    left = [f"only on {names[row['host']]}: {work_left(one)}" for row in rows for one in row["only_there"]]
    return [*table(screen, heads, shown), *screen.folded(left, words=True)]


def _names(hosts: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What each is called; of several with one name also by the first digits of its id, which commands take as well."""
    known = [host["name"] for host in hosts]
    return {
        host["host"]: line(host["name"]) + (f" ({short(host['host'])})" if known.count(host["name"]) > 1 else "")
        for host in hosts
    }


def _state(row: dict[str, Any]) -> str:
    return "stopped" if row["rests"] and row["state"] == "joined" else str(row["state"])


def work_left(one: dict[str, Any]) -> str:
    """Work that may be on a lost host alone."""
    at = f", last known at {one['head'][:10]}" if one["head"] else ""
    return line(f"{one['session']}, {one['branch'] or 'no branch'}{at}, in {one['worktree']}")
