"""The invariants after every transaction of a log, at the cost of what each transaction touched.

`domain.invariants` looks at the whole state; here only the records that the events of a transaction name, and those
that name the same attempt, are looked at again, by the very same functions. A test holds both against each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kugetsu.domain import invariants
from kugetsu.domain.events import Event
from kugetsu.domain.fold import fold
from kugetsu.domain.state import State
from kugetsu.model.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    #: A task, a session, or an issue on its forge: ("task", id), ("session", key), ("issue", issue).
    Record = tuple[str, str]

#: Kinds that change what is known of an issue on its forge.
_OF_ISSUE = ("intake.", "mark.", "feedback.", "reaction.", "task.queued")
#: Findings that are kept with their text, the first; more are counted.
KEPT = 100


@record
class Finding:
    """A sentence that did not hold from event ``seq`` on; ``mended``: the event after which it held again, 0 when it
    never did. ``about`` are the issue, tasks, attempts and sessions of the transaction that broke it."""

    seq: int
    at: str
    text: str
    about: frozenset[str]
    mended: int = 0


class Checks:
    """Folds a log from ``state`` on, which is changed, and checks it at the end of every transaction."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.transactions = 0
        self.broken: list[Finding] = []
        self.broken_seen = 0
        #: What machines refused, and claims beyond the cap that they recorded.
        self.refused: list[Finding] = []
        self.refused_seen = 0
        self._violations = state.violations_seen
        #: Which tasks and sessions name an attempt: what becomes of it concerns them.
        self._naming: dict[str, set[Record]] = {}
        self._named_by: dict[Record, str] = {}
        self._of_records: dict[Record, list[str]] = {}
        self._touched: set[Record] = set()
        self._attempts_touched = True
        self._of_attempts: list[str] = []
        self._about: set[str] = set()
        self._open: dict[str, Finding] = {}
        every = [("task", task_id) for task_id in state.tasks] + [("session", key) for key in state.sessions]
        every += [("issue", issue) for issue in {**state.loops, **state.marks, **state.intake}]
        for key in every:
            self._check(key)
        self._of_attempts = [*invariants.of_slots(state), *invariants.of_attempts(state)]
        for sentence in self.sentences():
            self._breaks(state.seq, state.at, sentence)

    def add(self, event: Event) -> None:
        """Fold the next event; at a transaction's end, check."""
        self._touch(event)
        state = self.state
        belied = _belied(state, event)
        fold(state, event)
        self._touch(event)
        if state.violations_seen != self._violations:
            self._refuse(event)
        if event["type"] == "attempt.claimed" and not _within_its_cap(event):
            self._note_refused(event, f"{event['attempt']} was claimed beyond the cap that it recorded")
        if belied is not None:
            self._note_refused(event, belied)
        if not event.get("more"):
            self._settle(event)

    # --- what a transaction touches ---------------------------------------------------------------------------

    def _touch(self, event: Event) -> None:
        """Before and after its fold: an attempt's record goes with its end, and comes with its claim."""
        kind = event["type"]
        attempt = event.get("attempt")
        task, session, issue = event.get("task"), event.get("session"), event.get("issue")
        touched = self._touched
        if task is not None:
            touched.add(("task", task))
            self._about.add(task)
        for key in (session, issue):
            if key is not None:
                touched.add(("session", key))
                self._about.add(key)
        if issue is not None and kind.startswith(_OF_ISSUE):
            touched.add(("issue", issue))
        if attempt is not None:
            self._about.add(attempt)
            live = self.state.attempts.get(attempt)
            if live is not None:
                touched.add(("task", live.task))
                touched.add(("session", live.session))
            touched |= self._naming.get(attempt, set())
        if task is not None and task in self.state.tasks:
            touched.add(("session", self.state.tasks[task].session))
        if attempt is not None or kind.startswith("task.") or kind == "queue.cleared":
            self._attempts_touched = True
        if kind == "queue.cleared":
            named = event["data"].get("tasks") if isinstance(event["data"], dict) else None
            touched |= {("task", one) for one in named if isinstance(one, str)} if isinstance(named, list) else set()

    def _settle(self, event: Event) -> None:
        self.transactions += 1
        before = bool(self._open)
        for key in self._touched:
            self._check(key)
        self._touched.clear()
        if self._of_records:
            self._forget_what_left()
        if self._attempts_touched:
            self._of_attempts = [*invariants.of_slots(self.state), *invariants.of_attempts(self.state)]
            self._attempts_touched = False
        if before or self._of_records or self._of_attempts:
            self._compare(event)
        self._about.clear()

    def _check(self, record: Record) -> None:
        kind, key = record
        state = self.state
        found: list[str] = []
        names: str | None = None
        if kind == "task":
            task = state.tasks.get(key)
            if task is not None:
                found, names = invariants.of_task(state, task), task.attempt
        elif kind == "issue":
            found = invariants.of_issue(state, key)
        else:
            session = state.sessions.get(key)
            if session is not None:
                found, names = invariants.of_session(state, session), session.attempt
        self._name(record, names)
        if found:
            self._of_records[record] = found
        else:
            self._of_records.pop(record, None)

    def _name(self, record: Record, attempt: str | None) -> None:
        was = self._named_by.get(record)
        if was == attempt:
            return
        if was is not None:
            self._naming[was].discard(record)
            if not self._naming[was]:
                del self._naming[was]
            del self._named_by[record]
        if attempt is not None:
            self._naming.setdefault(attempt, set()).add(record)
            self._named_by[record] = attempt

    def _forget_what_left(self) -> None:
        """Records that another's event took out of the state (old finished tasks) break nothing any more."""
        kept: dict[str, Any] = {"task": self.state.tasks, "session": self.state.sessions, "issue": ()}
        for key in [key for key in self._of_records if key[1] not in kept[key[0]]]:
            self._check(key)

    # --- findings ---------------------------------------------------------------------------------------------

    def sentences(self) -> Iterator[str]:
        """What does not hold now, as `invariants.broken` says it."""
        yield from self._of_attempts
        for found in self._of_records.values():
            yield from found

    def _compare(self, event: Event) -> None:
        now = set(self.sentences())
        for text in [text for text in self._open if text not in now]:
            self._open.pop(text).mended = event["seq"]
        for text in sorted(now - self._open.keys()):
            self._breaks(event["seq"], event["at"], text)

    def _breaks(self, seq: int, at: str, text: str) -> None:
        finding = self._open[text] = Finding(seq, at, text, frozenset(self._about))
        self.broken_seen += 1
        if len(self.broken) < KEPT:
            self.broken.append(finding)

    def _refuse(self, event: Event) -> None:
        state = self.state
        self.refused_seen += state.violations_seen - self._violations - 1
        self._violations = state.violations_seen
        last: dict[str, Any] = state.violations[-1] if state.violations else {"seq": 0, "text": ""}
        text = last["text"] if last["seq"] == event["seq"] else f"{event['type']} was refused"
        self._note_refused(event, text)

    def _note_refused(self, event: Event, text: str) -> None:
        self.refused_seen += 1
        if len(self.refused) < KEPT:
            about = frozenset(str(event[name]) for name in ("issue", "task", "attempt", "session") if event.get(name))
            self.refused.append(Finding(event["seq"], event["at"], text, about))


def _belied(state: State, event: Event) -> str | None:
    """How an attempt's end contradicts what its process did, as the same event tells; None when it does not.

    Who was told to stop, or was never seen running, may exit with 0 and has failed all the same.
    """
    kind, data = event["type"], event["data"]
    if kind not in ("attempt.succeeded", "attempt.failed") or not isinstance(data, dict):
        return None
    code, signal, outcome = data.get("exit"), data.get("signal"), data.get("outcome") or {}
    if kind == "attempt.succeeded" and (code or signal):
        return f"{event.get('attempt')} succeeded, but its process " + (
            f"exited with {code}" if code else f"was ended by signal {signal}"
        )
    attempt = state.attempts.get(event.get("attempt") or "")
    if kind == "attempt.failed" and code == 0 and attempt is not None and attempt.state == "running":
        by_itself = attempt.stop is None and outcome.get("reason") in (None, data.get("reason"))
        if by_itself and outcome.get("kind", "succeeded") == "succeeded":
            return f"{attempt.id} failed, but its process exited with 0, and nothing records a failure"
    return None


def _within_its_cap(event: Event) -> bool:
    facts = event.get("facts")
    try:
        return facts is None or invariants.cap_kept(event["data"], facts)
    except (KeyError, TypeError):
        return False
