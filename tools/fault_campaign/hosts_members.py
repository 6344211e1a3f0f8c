"""What is promised of who takes part: a host that drains, has left or was lost, and people who are attached, by the
order of events alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fault_campaign.campaign import ENDS

_STATES = {"host.draining": "draining", "host.undrained": "joined", "host.left": "left", "host.lost": "lost"}


def broken(events: list[dict[str, Any]]) -> Iterator[str]:
    """What a host, or a person, did that the events before do not allow."""
    state: dict[str, str] = {}
    term: dict[str, int] = {}
    drained: set[str] = set()
    live: dict[str, tuple[str, str]] = {}
    people: dict[str, str] = {}
    for event in events:
        kind, data, about = event["type"], event["data"], f"event {event['seq']}"
        if kind == "host.joined":
            host = data["host"]
            state[host], term[host] = "draining" if host in drained else "joined", data["term"]
        elif kind in _STATES:
            host = data["host"]
            if kind == "host.left":
                yield from (f"{about}: {host:.8} leaves, and {one} works there" for one in _there(live, host))
                yield from (
                    f"{about}: {host:.8} leaves, and a person works on {one} there" for one in _of(people, host)
                )
            state[host] = _STATES[kind]
            if kind != "host.lost":
                (drained.add if kind == "host.draining" else drained.discard)(host)
        elif kind == "attempt.claimed":
            host = event["facts"]["host"]
            if state.get(host) != "joined" or event["facts"]["term"] != term[host]:
                now = f"{state.get(host)}, in term {term.get(host)}"
                yield f"{about}: {event['attempt']} starts on {host:.8}, which is {now}"
            if event["issue"] in people:
                yield f"{about}: {event['attempt']} starts on {event['issue']}, where a person works"
            live[event["attempt"]] = (host, event["issue"])
        elif kind in ENDS:
            live.pop(event["attempt"], None)
        elif kind == "person.attached":
            host = data["holder"]["host"]
            if state.get(host) not in ("joined", "draining"):
                yield f"{about}: a person works on {host:.8}, which is {state.get(host)}"
            if any(issue == event["issue"] for _, issue in live.values()) or event["issue"] in people:
                yield f"{about}: a person works on {event['issue']}, where somebody works"
            people[event["issue"]] = host
        elif kind == "person.left" and people.pop(event["issue"], None) is None:
            yield f"{about}: a person leaves {event['issue']}, and was not there"
    yield from (f"a person is still said to work on {issue}" for issue in people)


def _there(live: dict[str, tuple[str, str]], host: str) -> list[str]:
    return [attempt for attempt, (where, _) in live.items() if where == host]


def _of(people: dict[str, str], host: str) -> list[str]:
    return [issue for issue, where in people.items() if where == host]
