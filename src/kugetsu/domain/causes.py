"""The causes and effects of an event: the chain of causes over the events of a log.

Pure: the caller provides access to the events. A cause is recorded in the event (`cause`); an agent that ran a command
(``by.attempt``) is a cause too, so the chain continues into the work of that agent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kugetsu.domain.state import ENDS
from kugetsu.model.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.domain.events import Event

    #: The event of a seq, or None if unavailable; the events of an issue, task or session.
    Find = Callable[[int], Event | None]
    Keyed = Callable[[str], Iterable[Event]]

#: The most events of a chain back; those nearest to its event are kept.
LONGEST_CHAIN = 30
#: The depth and size limits of a tree of effects.
DEEPEST = 8
MOST_EFFECTS = 40
#: The most keys (tasks, issues, sessions) whose events are read in the search for effects.
MOST_KEYS = 12

_KEYS = ("task", "issue", "session")


class Reader:
    """Finds events for chains; reads all events of a key at once, because chains mostly stay within a task.

    ``find`` reads one event, ``keyed`` the events of a key: it must cost their number, not the log's.
    """

    def __init__(self, find: Find, keyed: Keyed) -> None:
        self._find = find
        self._keyed = keyed
        self._known: dict[int, Event] = {}
        self._read: set[str] = set()

    def event(self, seq: int) -> Event | None:
        """The event of that seq, or None if unavailable."""
        if seq not in self._known:
            found = self._find(seq)
            if found is None:
                return None
            self._known[seq] = found
        return self._known[seq]

    def around(self, event: Event) -> None:
        """Load the events of the same task (else of the same session or issue)."""
        self._known[event["seq"]] = event
        key = event.get("task") or event.get("session") or event.get("issue")
        if key is not None:
            self.of_key(key)

    def of_key(self, key: str) -> list[Event]:
        """The events of a key, in order."""
        if key not in self._read:
            self._read.add(key)
            self._known.update((event["seq"], event) for event in self._keyed(key))
        return [self._known[seq] for seq in sorted(self._known) if key in _keys_of(self._known[seq])]


def _keys_of(event: Event) -> list[str]:
    return [event[name] for name in _KEYS if event.get(name)]


# --- back -------------------------------------------------------------------------------------------------------


def back(event: Event, reader: Reader) -> list[Event]:
    """The event and its causes, oldest first, back to the command that a user typed.

    Between the claim and the end of an attempt is the start of its agent; if an agent ran the command, that agent's
    attempt and its causes come first.
    """
    chain = [event]
    seen = {event["seq"]}
    while len(chain) < LONGEST_CHAIN:
        now = chain[-1]
        reader.around(now)
        before = _cause_of(now, reader)
        if before is None or before["seq"] in seen:
            break
        between = _ran_between(before, now, reader)
        chain += [between, before] if between is not None else [before]
        seen.add(before["seq"])
    return chain[::-1]


def _cause_of(event: Event, reader: Reader) -> Event | None:
    cause = event.get("cause")
    if isinstance(cause, int) and 0 < cause < event["seq"]:
        return reader.event(cause)
    return _typed_in(event, reader)


def _typed_in(event: Event, reader: Reader) -> Event | None:
    """The start of the attempt whose agent ran the command that made ``event``."""
    attempt = event["by"].get("attempt") if isinstance(event.get("by"), dict) else None
    if not isinstance(attempt, str):
        return None
    wanted = ("attempt.running", "attempt.claimed")
    steps = [one for one in reader.of_key(attempt.partition(".")[0]) if one.get("attempt") == attempt]
    found = [one for one in steps if one["type"] in wanted and one["seq"] < event["seq"]]
    return found[-1] if found else None


def _ran_between(claimed: Event, ended: Event, reader: Reader) -> Event | None:
    """The start of an attempt's agent, for an end whose recorded cause is the claim or the request to stop it."""
    if ended["type"] not in ENDS or not ended.get("task"):
        return None
    for event in reader.of_key(ended["task"]):
        if event["type"] == "attempt.running" and event.get("attempt") == ended.get("attempt"):
            return event if event["seq"] > claimed["seq"] else None
    return None


# --- forward ----------------------------------------------------------------------------------------------------


@record
class Effects:
    """The effects of an event: ``found`` as (depth, event), each after its cause; ``more`` were found and omitted."""

    found: list[tuple[int, Event]]
    more: int


def forward(event: Event, reader: Reader, coming: Iterable[Event] = ()) -> Effects:
    """The effects of ``event`` as a tree: the events whose chain of causes contains it.

    Searches the events of the same task, session and issue, those of the effects found, and ``coming``, the next events
    in the log on any subject. As in `back`, the end of an attempt is an effect of its run.
    """
    effects: dict[int, list[Event]] = {}
    taken: set[int] = set()
    ran: dict[str, tuple[int, int]] = {}

    def take(events: Iterable[Event]) -> None:
        for one in events:
            cause = one.get("cause")
            if not isinstance(cause, int) or one["seq"] in taken or one["seq"] < event["seq"]:
                continue
            taken.add(one["seq"])
            if one["type"] == "attempt.running":
                ran[one["attempt"]] = cause, one["seq"]
            claimed, running = ran.get(one.get("attempt") or "", (0, 0))
            cause = running if one["type"] in ENDS and cause == claimed else cause
            if one is not event and one["seq"] > event["seq"]:
                effects.setdefault(cause, []).append(one)

    take([event])

    take(coming)
    keys: list[str] = []
    waiting = [event]
    reached = {event["seq"]}
    while waiting:  # each new key may have more effects of earlier finds
        for key in [key for one in waiting for key in _keys_of(one) if key not in keys]:
            if len(keys) < MOST_KEYS:
                keys.append(key)
                take(reader.of_key(key))
        waiting = []
        for seq in list(reached):
            for one in effects.get(seq, ()):
                if one["seq"] not in reached:
                    reached.add(one["seq"])
                    waiting.append(one)
    return _tree(event["seq"], effects)


def _tree(root: int, effects: dict[int, list[Event]]) -> Effects:
    found: list[tuple[int, Event]] = []
    more = 0
    ways = [(1, one) for one in sorted(effects.get(root, ()), key=lambda one: -one["seq"])]
    while ways:
        depth, now = ways.pop()
        if len(found) < MOST_EFFECTS and depth <= DEEPEST:
            found.append((depth, now))
        else:
            more += 1
        ways += [(depth + 1, one) for one in sorted(effects.get(now["seq"], ()), key=lambda one: -one["seq"])]
    return Effects(found, more)
