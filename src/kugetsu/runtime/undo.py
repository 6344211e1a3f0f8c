"""Undo events: what to undo, what that appends, and doing it.

The state before an event is read from the log (`EventLog.state_at`) without the lock; whether it can still be undone is
decided under it. A setting's truth is its file: it is written first, then the event.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from kugetsu.domain.decide import undo
from kugetsu.domain.decide.undone import UNDO, Undone
from kugetsu.domain.events import Event
from kugetsu.domain.new_event import NewEvent
from kugetsu.host.config import Config, load
from kugetsu.host.config_file import set_value, unset_value
from kugetsu.log import transactions
from kugetsu.model.errors import BadInput, Conflict, LogUnreachable, NotFound
from kugetsu.model.settings import SETTINGS
from kugetsu.redaction.funnel import redact
from kugetsu.runtime import host_id
from kugetsu.runtime.query.points import LOOKS
from kugetsu.runtime.workspace import Workspace

SETTING = "setting.changed"


def find(ws: Workspace, seq: int, *, whole: bool) -> list[Event]:
    """The event of that seq; ``whole``: all events of its transaction, the latest first.

    Raises NotFound.
    """
    head = ws.log.head().seq
    found = next(iter(ws.log.read(after=seq - 1, until=seq)), None) if 0 < seq <= head else None
    if found is None:
        known = f"the log has events 1 to {head}" if head else "the log is empty"
        raise NotFound(f"no event {seq}: {known}", "kugetsu history --all" if head else "kugetsu init")
    if not whole:
        return [found]

    first, last = transactions.first_of(ws.log, seq), transactions.last_of(ws.log, seq)
    return sorted(ws.log.read(after=first - 1, until=last), key=lambda event: -event["seq"])


def possible(ws: Workspace, event: Event) -> bool:
    """Whether an event that was just appended is of those that can be undone."""
    try:
        undo.described(event, ws.log.state_at(seq=event["seq"] - 1), event["at"], ws.state().attempts)
    except Conflict:
        return False
    return True


def latest(ws: Workspace) -> list[Event]:
    """The events of the latest command of this user in this terminal that can be undone and was not, the latest first.

    Raises NotFound, which names such a command in another terminal.
    """
    head = ws.log.head().seq
    for size in LOOKS:
        after = max(0, head - size)
        standing = _standing(ws.log.read(after=after, until=head))
        standing = [event for event in standing if host_id.is_own(ws, _host_of(event))]
        here = [event for event in standing if _own(event, ws.by, here=True)]
        if here:
            return [event for event in find(ws, here[-1]["seq"], whole=True) if event in here]
        elsewhere = [event for event in standing if _own(event, ws.by, here=False)]
        if elsewhere or not after:
            raise _nothing_here(elsewhere)
    raise _nothing_here([])


def last(ws: Workspace) -> list[Event]:
    """What `@` means: the last event if this user's command in this terminal wrote it; what daemon, agents and others
    wrote after it does not count. Without such a command the last event of all."""
    found = find(ws, ws.log.head().seq, whole=False)
    if _own(found[0], ws.by, here=True):
        return found
    try:
        return latest(ws)
    except NotFound:
        return found


def _standing(events: Iterable[Event]) -> list[Event]:
    """Those that may be undone and have not been; an undo only if it undid an undo."""
    left: dict[int, Event] = {}
    undos: set[int] = set()
    for event in events:
        target = undo.undoes(event)
        if target is not None:
            left.pop(target, None)
            undos.add(event["seq"])
        if (event["type"] in undo.KINDS or event["type"] == SETTING) and (target is None or target in undos):
            left[event["seq"]] = event
    return list(left.values())


def _host_of(event: Event) -> str | None:
    """Whose file a setting is in, if hosts share the log."""
    return event["data"].get("host") if event["type"] == SETTING else None


def _own(event: Event, by: dict[str, Any], *, here: bool) -> bool:
    """Whether this user typed the command; ``here``: in this terminal."""
    wrote = event.get("by", {})
    if any(wrote.get(name) != by.get(name) for name in ("host", "user", "attempt")):
        return False
    command = str(wrote.get("cmd", ""))
    if not command.startswith("kugetsu ") or command.startswith("kugetsu queue-daemon"):
        return False  # runners have other names, and nobody types what a daemon does
    return not here or ("terminal" in wrote and bool(wrote["terminal"] == by.get("terminal")))


def _nothing_here(elsewhere: Sequence[Event]) -> NotFound:
    if not elsewhere:
        return NotFound("you have done nothing that can be undone", "kugetsu history --all")
    event = elsewhere[-1]
    text = f"nothing done in this terminal can be undone; event {event['seq']}, {event['type']}, is of another one"
    return NotFound(text, f"kugetsu undo {event['seq']}")


def done_by(ws: Workspace, event: Event) -> int | None:
    """The seq of the event that has undone this one; None if none has.

    Raises Conflict if that was undone too: the last of them is the one to undo.
    """
    chain: list[int] = [event["seq"]]
    for one in _later(ws, event):
        if undo.undoes(one) == chain[-1]:
            chain.append(one["seq"])
    if len(chain) % 2:
        if len(chain) > 1:
            by = " and that by event ".join(map(str, chain[1:]))
            raise Conflict(f"event {chain[0]} was undone by event {by}", f"kugetsu undo {chain[-1]}")
        return None
    return chain[-1]


def _later(ws: Workspace, event: Event) -> Iterable[Event]:
    """Later events that may concern the same thing."""
    key = event.get("task") or event.get("session")
    if key is None or event["type"] == "task.resumed":  # what undoes that is about the limit, not about the task
        return ws.log.read(after=event["seq"])
    return (one for one in ws.log.read_key(key) if one["seq"] > event["seq"])


class Undoing:
    """How some events are undone. Raises Conflict for one that can never be."""

    def __init__(self, ws: Workspace, events: Sequence[Event], now: str) -> None:
        self._ws = ws
        self._setting = events[0] if [event["type"] for event in events] == [SETTING] else None
        self._undone: list[Undone] = []
        if self._setting is not None:
            self._require_own(self._setting)
            return
        for event in events:
            before = ws.log.state_at(seq=event["seq"] - 1)
            self._undone.append(undo.described(event, before, now, ws.state().attempts))

    def planned(self) -> list[NewEvent]:
        """What would be appended now. Raises Conflict if the state has changed since the events."""
        if self._setting is not None:
            return [self._setting_draft(self._setting, self._old_value(self._setting))]
        return undo.compensate(self._ws.state(), self._undone)

    def carry_out(self) -> list[Event]:
        """Undo. Raises as `planned` does, and KugetsuError if the settings cannot be written."""
        if self._setting is None:
            return self._ws.log.transact(partial(undo.compensate, undone=self._undone))
        value = self._old_value(self._setting)
        draft = self._setting_draft(self._setting, value)
        self._write(self._setting["data"], value)
        try:
            return self._ws.log.append([draft])
        except LogUnreachable as problem:
            key = self._setting["data"]["key"]
            text = f"{key} has its old value again, but the log does not tell who did it: {problem.message}"
            raise LogUnreachable(text, problem.hint) from problem

    # -- settings ----------------------------------------------------------------------------------------------------

    def _require_own(self, event: Event) -> None:
        """Raise Conflict for the setting of another host: its file is there."""
        host = event["data"].get("host")
        if not host_id.is_own(self._ws, host):
            state, seq = self._ws.state(), event["seq"]
            whose = f"it changed {event['data']['key']} of {host_id.name_of(state, host)}"
            raise Conflict(
                f"event {seq} cannot be undone here: {whose}", host_id.line_there(state, host, f"kugetsu undo {seq}")
            )

    def _old_value(self, event: Event) -> str:
        key, of = event["data"]["key"], event["data"].get("repository")
        if key not in SETTINGS:
            message = f"event {event['seq']} cannot be undone: {key} is no longer a setting"
            raise Conflict(message, "kugetsu config list")
        try:
            current: str | None = redact(self._in_file(of).as_text(key))
        except BadInput:  # the decision reports an unreadable file
            current = None
        changes = self._ws.log.read(after=event["seq"])
        later = undo.standing(
            one
            for one in changes
            if one["type"] == SETTING
            and one["data"].get("key") == key
            and one["data"].get("repository") == of
            and host_id.is_own(self._ws, one["data"].get("host"))
        )
        return undo.setting(event, current, later)

    def _setting_draft(self, event: Event, value: str) -> NewEvent:
        data = {"key": event["data"]["key"], "old": event["data"]["new"], "new": value}
        if host := host_id.sharing(self._ws, self._ws.state()):
            data["host"] = host
        if of := event["data"].get("repository"):
            data |= {"repository": of, "inherited": not self._in_file(of).is_own(data["key"])}
            if event["data"].get("inherited"):
                data["new"] = self._in_file(None).as_text(data["key"])
        return NewEvent(SETTING, data, cause=event["seq"], facts={UNDO: event["seq"]})

    def _in_file(self, repository: str | None) -> Config:
        """The settings of the file alone. Raises BadInput."""
        return load(self._ws.paths.config, {}).of(repository)

    def _write(self, data: dict[str, Any], value: str) -> None:
        """Write the value; the default needs no line, so its line is removed, and so is one of a repository that had
        the general value."""
        path, key, of = self._ws.paths.config, data["key"], data.get("repository")
        names = self._ws.config.spellings(of) if of else ()
        if data.get("inherited") or (not of and value == load(os.devnull, {}).as_text(key)):
            unset_value(path, key, names)
        else:
            set_value(path, key, value, names)
