"""Undoing the registration of a repository: the URL that is for all, or the folder of a host of a shared log."""

from __future__ import annotations

from kugetsu.domain import hosts
from kugetsu.domain.new_event import NewEvent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kugetsu.domain.events import Event
    from kugetsu.domain.state import State


def described(event: Event, before: State) -> dict[str, Any]:
    """What the event registered, and what had been until then."""
    repository = event["data"]["repository"]
    source = {name: event["data"][name] for name in ("path", "url", "host") if event["data"].get(name)}
    return {"repository": repository, "source": source, "was": hosts.registrations(before, repository)}


def holds(state: State, undone: dict[str, Any]) -> bool:
    """Whether what the event registered, or that nothing is, is still so, and was another thing before."""
    source, now = undone["source"], hosts.registrations(state, undone["repository"])
    if "path" in source or "url" in source:
        return source in now and source not in _was(undone)
    if _is_of_host(state, source):
        return not any(one.get("host") == source["host"] for one in now)
    return not now and bool(_was(undone))


def unregister(state: State, undone: dict[str, Any], cause: int) -> list[NewEvent]:
    """The events that register again what was registered before."""
    source, again = undone["source"], _was(undone)
    if _is_of_host(state, source):
        own = [one for one in again if one.get("host") == source["host"] and "path" in one]
        again = own or [{"host": source["host"]}]
    elif not again or ("url" not in again[0] and "host" in again[0]):
        again = [{}, *again]  # folders of hosts do not take the place of a URL: it goes first
    return [
        NewEvent("repository.registered", {"repository": undone["repository"], **one}, cause=cause) for one in again
    ]


def _is_of_host(state: State, source: dict[str, str]) -> bool:
    return source.get("host") in state.hosts and "url" not in source


def _was(undone: dict[str, Any]) -> list[dict[str, str]]:
    was = undone["was"]
    if isinstance(was, dict):  # as older versions recorded it
        return [was] if was else []
    known: list[dict[str, str]] = was
    return known
