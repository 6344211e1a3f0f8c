"""Every reader of events can read every event that the declarations allow: a key that a reader asks for is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import event_samples
from event_samples import AT, ISSUE, LATER, samples
from kugetsu.domain import causes
from kugetsu.domain.audit.checks import Checks
from kugetsu.domain.audit.counters import carrying, recount
from kugetsu.domain.audit.races import Races
from kugetsu.domain.audit.retries import Retries
from kugetsu.domain.audit.waits import Waits
from kugetsu.domain.changes import Comparison
from kugetsu.domain.decide import undo
from kugetsu.domain.events import CATALOGUE, MALFORMED, Event, upcast, validation
from kugetsu.domain.events.declaration import keys
from kugetsu.domain.fold import fold, usage
from kugetsu.domain.machines import DEFINITIONS
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import Attempt, Session, State, Task, Usage
from kugetsu.domain.timeline import collect
from kugetsu.domain.traces import Traces
from kugetsu.model.errors import Conflict
from kugetsu.model.record import fields
from kugetsu.runtime.log_guard import guard
from kugetsu.runtime.notifications.notice import notice_of
from kugetsu.runtime.otlp import encoding
from kugetsu.views import gates, wording
from kugetsu.views.causes import event_lines
from kugetsu.views.history import Rows, Summary
from kugetsu.views.screen import Screen

SCREEN = Screen(width=100, now=LATER)


def states() -> Iterator[State]:
    """States in which the task, the attempt, the session and the daemon stand anywhere; and the empty one."""
    places = {kind: states for kind, (states, _) in DEFINITIONS.items()}
    for step in range(max(map(len, places.values()))):
        state = State(seq=80, at=AT, latest=AT, log_id="log")
        task = state.tasks["q1"] = Task("q1", "dev", ISSUE, "a title", attempt="q1.1", used=1, usage=Usage(attempts=1))
        attempt = state.attempts["q1.1"] = Attempt("q1.1", "q1", "dev", ISSUE, ISSUE, slot=1)
        session = state.sessions[ISSUE] = Session(ISSUE, "issue", attempt="q1.1", usage=Usage(attempts=1))
        for kind, record in (("task", task), ("attempt", attempt), ("session", session), ("daemon", state.daemon)):
            for name in fields(record):
                if name.endswith("_at"):
                    setattr(record, name, AT)
            record.state = places[kind][step % len(places[kind])]
        if task.state == "parked":
            task.parked_for = ("opencode:m", "progress")[step % 2]
        state.limits["opencode:m"] = {"until": LATER, "at": AT, "seq": 60, "task": "q1"}
        state.outbox["mail"] = {"upto": 5, "open": {}, "last": None}
        state.of_issue[ISSUE] = ["q1"]
        yield state
    yield State()


def story(event: Event) -> list[Event]:
    """The event in the middle of an attempt that began and ended, after all that a task goes through."""

    def of(kind: str, seq: int, full: bool = True) -> Event:
        data = event_samples.data(CATALOGUE[kind].shape, full=full, optional=full)
        return {**event_samples.event(kind, data), "seq": seq}

    before = ("log.created", "task.queued", "attempt.claimed", "attempt.starting", "session.preparing")
    before += ("session.prepared", "attempt.running", "attempt.stop_requested")
    return [*(of(kind, seq) for seq, kind in enumerate(before, 1)), event, of("attempt.failed", 95)]


def told(event: Event) -> None:
    assert wording.words(event)
    assert wording.who(event["by"]) and wording.verb(event["by"])


def folded(event: Event) -> None:
    for state in states():
        fold(state, event)
        unread = [one for one in state.violations if "does not say" in one["text"] or "cannot be read" in one["text"]]
        assert unread == [], state


def compared(event: Event) -> None:
    for state in states():
        comparison = Comparison(state)
        comparison.add(event)
        comparison.changes()


def undone(event: Event) -> None:
    for before in states():
        try:
            facts = undo.described(event, before, AT)
        except Conflict:
            continue
        for state in states():
            try:
                for new_event in undo.compensate(state, [facts]):
                    assert CATALOGUE[new_event.type]
            except Conflict:
                continue


def guarded(event: Event) -> None:
    made = guard([NewEvent(event["type"], event["data"])], {"cmd": "kugetsu"})
    assert made[0].data.keys() == event["data"].keys()


def traced(event: Event) -> None:
    traces = Traces(str, gates.reason)
    made = [trace for one in story(event) if (trace := traces.add(one)) is not None]
    assert made
    assert encoding.request(made, "log")


def audited(event: Event) -> None:
    for state in states():
        waits, retries, checks = Waits(state, AT, 3), Retries(state, AT), Checks(state)
        races = Races()
        for reader in (waits, retries, races, checks):
            reader.add(event)
        waits.end(LATER)
        retries.end(LATER)
    assert list(carrying([event])) in ([], [ISSUE])
    recount(lambda: story(event))


def placed_in_time(event: Event) -> None:
    for state in states():
        collect(state, [event], AT, LATER)


def shown(event: Event) -> None:
    summary = Summary()
    summary.add(event)
    assert Rows(SCREEN, subjects=True).lines(event)
    why: Any = {"event": event, "because": [event], "led_to": [event], "depths": [1], "more": 0, "holds": []}
    assert event_lines(why, SCREEN)


def caused(event: Event) -> None:
    events = {one["seq"]: one for one in story(event)}
    reader = causes.Reader(events.get, lambda _: events.values())
    assert causes.back(event, reader)
    causes.forward(event, reader)


READERS: list[Callable[[Event], Any]] = [
    told,
    folded,
    compared,
    undone,
    guarded,
    traced,
    audited,
    placed_in_time,
    shown,
    caused,
    notice_of,
    lambda event: usage.of_history(ISSUE, story(event)),
]


@pytest.mark.parametrize("kind", CATALOGUE)
def test_every_reader_can_read_what_the_declaration_allows(kind: str) -> None:
    for made in samples(kind):
        events = [made]
        assert validation.settle(events, deep=True) is None
        assert events[0]["type"] != MALFORMED, events[0]["data"]
        if made["v"] == CATALOGUE[kind].version:
            assert validation.settle([upcast(made)], deep=True) is None
        for read in READERS:
            read(made)


def test_every_older_version_is_among_the_samples() -> None:
    older = {(kind.name, version) for kind in CATALOGUE.values() for version in range(1, kind.version)}
    assert older == event_samples.OLDER.keys()


@pytest.mark.parametrize("kind", CATALOGUE)
def test_a_shape_is_filled_by_its_samples(kind: str) -> None:
    seen = {name for made in samples(kind) for name in made["data"]}
    assert seen >= set(keys(CATALOGUE[kind].shape))
