"""A log in a file of another place, as an engine of the `EventLog` protocol that only reads.

The file is read once, when it is opened: what is no event is left out and counted, what is not in its order is sorted,
and every digest is held against its line. Redaction changes lines, so that the chain of a bundle cannot be verified.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from kugetsu.domain.new_event import NewEvent
from kugetsu.log import transactions
from kugetsu.log.codec import GENESIS, event_of, stated, verified
from kugetsu.log.files.block_reader import CollectionPaused
from kugetsu.log.files.index import carries
from kugetsu.log.files.segments import Head
from kugetsu.log.files.verify import Problem, Repair, Stats, Verification
from kugetsu.log.foreign.bundle_reader import Contents, read
from kugetsu.log.foreign.temp_store import TempStore, checked, in_order
from kugetsu.log.opening import DomainProjection
from kugetsu.log.projection import Projection
from kugetsu.log.protocol import Waker
from kugetsu.model import jsontext
from kugetsu.model.errors import BadInput, KugetsuError
from kugetsu.model.record import field, record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.domain.events import Event
LANDMARK_EVERY = 20_000
"""Events between two states that are kept: folding these takes about 70 ms."""
_LANDMARKS = 100
"""So many are kept; of more, every second one."""
_MOST_NOTHING = 3_000_000
"""Lines that hold no event, of a file that may still be a log: a packed one of 2 MB can have 2 GB of them."""
_TOLD = 20
"""Lines of each sort that are told one by one."""


@record
class _Seen:
    """What was seen of the lines while they were read; numbers of lines count from 1."""

    lines: int = 0
    bytes: int = 0
    garbage: list[int] = field(factory=list)
    garbage_seen: int = 0
    #: Lines that hold no event, the empty ones among them.
    nothing: int = 0
    repeated: int = 0
    disorder: bool = False
    #: First and last seq of what is missing between two events.
    holes: list[tuple[int, int]] = field(factory=list)
    #: Events whose digest does not fit their line and the digest before it.
    unsealed: list[int] = field(factory=list)
    unsealed_seen: int = 0
    #: Those that follow one that is not there, and those that say that something was taken out.
    unchecked: int = 0
    redacted: int = 0
    types: dict[str, int] = field(factory=dict)
    first_at: str | None = None
    last_at: str | None = None


class ArchivedLog:
    """The log in ``path``; everything is read when it is made.

    Raises NotFound, BadInput for a file that holds no log (or too much), KugetsuError when it cannot be read.
    """

    def __init__(self, path: str, projection: Projection[Any], *, every: int = LANDMARK_EVERY) -> None:
        self.path = os.path.abspath(path)
        self._projection = projection
        self._every = every
        self._spool = TempStore()
        self._state: Any = projection.empty()
        self._landmarks: list[tuple[int, str, bytes]] = []
        self._seen = _Seen()
        self._sha = GENESIS
        #: The last event that is folded, where the file ends in a transaction.
        self._whole: int | None = None
        try:
            with CollectionPaused():
                self.contents: Contents = read(path, self._take)
                self._settle()
                self._leave_out_unfinished()
        except BaseException:
            self._spool.close()
            raise
        if not self._spool.count:
            self._spool.close()
            said = self._told()
            hint = f"where it was made: {said}" if said else "is it a bundle, a log export, a log folder or a segment?"
            raise BadInput(f"no event is in {path}", hint)

    # -- reading the file --------------------------------------------------------------------------------------

    def _take(self, line: bytes) -> None:
        """Look at one line of the file."""
        seen = self._seen
        seen.lines += 1
        seen.bytes += len(line) + 1
        event = event_of(line) if line.strip() else None
        if event is None:
            seen.nothing += 1
            if seen.nothing > _MOST_NOTHING:
                said = f"more than {_MOST_NOTHING:,} lines of {self.path} are no events"
                raise BadInput(said, "is it a bundle, a log export, a log folder or a segment?")
            if not line.strip():
                return
            seen.garbage_seen += 1
            if len(seen.garbage) < _TOLD:
                seen.garbage.append(seen.lines)
            return
        seq = event["seq"]
        last = self._spool.last
        if seq == last:
            seen.repeated += 1
            return
        self._check(event, line, last)
        seen.disorder = seen.disorder or seq < last
        self._spool.add(seq, line)
        if not seen.disorder:
            self._add(event, last)

    def _check(self, event: Event, line: bytes, last: int) -> None:
        """Hold the digest against the line, where that can be done: the event before it is there, and `log export`
        took nothing out of it."""
        seen, seq = self._seen, event["seq"]
        sha = verified(self._sha, line)
        if event.get("redacted") is True:
            seen.redacted += 1
        elif sha is None and seq != last + 1 and stated(line) is not None:
            seen.unchecked += 1
        elif sha is None:
            seen.unsealed_seen += 1
            if len(seen.unsealed) < _TOLD:
                seen.unsealed.append(seq)
        self._sha = sha or str(event.get("sha") or "").encode()

    def _add(self, event: Event, last: int) -> None:
        """Fold the next event, in order."""
        seen, seq = self._seen, event["seq"]
        if last and seq != last + 1 and len(seen.holes) < _TOLD:
            seen.holes.append((last + 1, seq - 1))
        if last and last // self._every != seq // self._every:
            self._keep(last)
        kind = event["type"]
        seen.types[kind] = seen.types.get(kind, 0) + 1
        seen.first_at = seen.first_at or event["at"]
        seen.last_at = event["at"]
        self._projection.fold(self._state, event)

    def _keep(self, seq: int) -> None:
        kept = jsontext.dumps(self._projection.dump(self._state))
        self._landmarks.append((seq, self._projection.latest(self._state), kept))
        if len(self._landmarks) > _LANDMARKS:
            del self._landmarks[::2]
            self._every *= 2

    def _settle(self) -> None:
        """Begin again in the right order, when the lines were in another."""
        if not self._seen.disorder:
            return
        sorted_spool, left_out = in_order(self._spool)
        self._spool.close()
        self._spool = sorted_spool
        seen = self._seen
        seen.repeated += left_out
        seen.types, seen.first_at, seen.holes, seen.unsealed = {}, None, [], []
        seen.unsealed_seen = seen.unchecked = seen.redacted = 0
        self._state, self._landmarks, self._sha = self._projection.empty(), [], GENESIS
        last = 0
        for line in self._spool.lines():
            event = checked(line)
            self._check(event, line, last)
            self._add(event, last)
            last = event["seq"]

    def _leave_out_unfinished(self) -> None:
        """Where the file ends in a transaction, the state is that before it, as in a log whose end is torn. (Of events
        that were picked out nobody knows which belong together.)"""
        last = self._spool.last
        first = transactions.first_of(self, last)
        if not self._seen.holes and self._spool.first < first and transactions.last_of(self, last) > last:
            self._whole = first - 1
            self._state = self.state_at()

    def _told(self) -> str | None:
        """What of its log the one who made a bundle could not read."""
        try:
            manifest = jsontext.loads(self.contents.extras.get("manifest.json", b"{}"))
        except jsontext.JSONError:
            return None
        log = manifest.get("log") if isinstance(manifest, dict) else None
        said = log.get("problem") if isinstance(log, dict) else None
        return said if isinstance(said, str) and said else None

    @property
    def part(self) -> bool:
        """Whether the log's beginning is missing: what its events mean cannot be told then."""
        return self._spool.first > 1

    @property
    def lines(self) -> int:
        """How many lines were there, with those that are no events."""
        return self._seen.lines

    def notes(self) -> list[str]:
        """What to know of the file before one believes what it shows, a line each."""
        seen, spool = self._seen, self._spool
        found = list(self.contents.problems)
        told = self._told()
        if told is not None:
            found.append(f"where it was made: {told}")
        if spool.first > 1:
            found.append(
                f"it is a part of a log, events {spool.first} to {spool.last}: what was before them is not known"
            )
        for first, last in seen.holes[:3]:
            found.append(f"event {first} is missing" if first == last else f"events {first} to {last} are missing")
        if len(seen.holes) > 3:
            found.append(f"more events are missing behind event {seen.holes[3][0]}")
        if seen.garbage:
            lines = "line that is no event was" if seen.garbage_seen == 1 else "lines that are no events were"
            found.append(f"{seen.garbage_seen} {lines} left out, the first is line {seen.garbage[0]}")
        if seen.repeated:
            found.append(f"{seen.repeated} more of an event that was there already: the first one counts")
        if seen.unsealed_seen and not self.redacted:
            are = "event is not what was written, it is" if seen.unsealed_seen == 1 else "events are not, the first is"
            found.append(
                f"{seen.unsealed_seen} {are} event {seen.unsealed[0]}: kugetsu log verify --from FILE tells more"
            )
        if seen.disorder:
            found.append("its events were not in their order: they were sorted")
        if self._whole is not None:
            found.append(f"it ends in the middle of a transaction: the state is that after event {self._whole}")
        return found

    @property
    def damaged(self) -> bool:
        """Whether it is a log folder of which not all can be read, or in which something was changed."""
        return self.contents.kind == "folder" and bool(self.verify().problems)

    @property
    def redacted(self) -> bool:
        """Whether its lines were changed all through, so that no digest can be checked."""
        seen = self._seen
        checkable = self._spool.count - seen.unchecked - seen.redacted
        return self.contents.kind == "bundle" or (checkable > 1 and seen.unsealed_seen == checkable)

    # -- the protocol ------------------------------------------------------------------------------------------

    def state(self) -> Any:
        """The fold of all its events. The object is the log's own: never change it."""
        return self._state

    def state_at(self, seq: int | None = None, at: str | None = None) -> Any:
        """The state after event ``seq``, or before the first event later than ``at``; a state of its own."""
        if self._whole is not None:
            seq = self._whole if seq is None else min(seq, self._whole)
        state, after = self._projection.empty(), 0
        for landmark, latest, kept in reversed(self._landmarks):
            if (seq is None or landmark <= seq) and (at is None or latest <= at):
                state, after = self._projection.load(jsontext.loads(kept)), landmark
                break
        with CollectionPaused():
            for event in self._spool.events(after, seq):
                if at is not None and event["at"] > at:
                    break
                self._projection.fold(state, event)
        return state

    def read(self, after: int = 0, until: int | None = None) -> Iterator[Event]:
        """The events with ``after`` < seq <= ``until``, in order."""
        return self._spool.events(after, until)

    def read_lines(self, after: int = 0, until: int | None = None) -> Iterator[tuple[Event, bytes]]:
        """As `read`, each with its line as it stands in the file."""
        return self._spool.with_lines(after, until)

    def read_key(self, key: str) -> Iterator[Event]:
        """The events whose issue, task or session is ``key``, in order."""
        wanted = jsontext.dumps(key)
        for line in self._spool.lines():
            # What is written with escapes is not found as bytes.
            if wanted in line or b"\\" in line:
                event = checked(line)
                if carries(event, key):
                    yield event

    def head(self) -> Head:
        """The last event's seq and the digest that it states."""
        last = next(iter(self._spool.events(self._spool.last - 1)), None)
        return Head(self._spool.last, str((last or {}).get("sha") or GENESIS.decode()))

    def verify(self, expected_head: Head | None = None) -> Verification:
        """What can be said of its chain: all of it when no line was changed, nothing when it was redacted."""
        found = Verification(count=self._spool.count, segments=self.contents.sources, head=self.head())
        name = os.path.basename(self.path)
        seen = self._seen
        if self.redacted:
            found.note = (
                "nothing can be verified: it was redacted, its events do not have the bytes that their digests are of"
            )
        else:
            found.count -= seen.unsealed_seen + seen.redacted
            found.note = self._not_checked()
            text = "the line's digest does not fit: it was changed, or lines before it are missing or swapped"
            found.problems += [Problem(seq, name, 0, "digest", text) for seq in seen.unsealed]
        if self.contents.kind == "folder":
            found.problems += [Problem(0, name, 0, "json", f"line {line} is no event") for line in seen.garbage]
            for first, last in seen.holes:
                found.problems.append(Problem(first, name, 0, "missing", f"events {first} to {last} are missing"))
        self._check_head(found, expected_head)
        return found

    def _not_checked(self) -> str | None:
        """Why not all of its events could be checked; None when they could (but for the first one of a part)."""
        seen = self._seen
        said = []
        if seen.redacted:
            said.append(f"something was taken out of {_counted(seen.redacted)}")
        if seen.holes:
            said.append(f"events are missing before {_counted(seen.unchecked)} of it")
        return f"not all can be verified: {', '.join(said)}" if said else None

    def _check_head(self, found: Verification, expected: Head | None) -> None:
        if expected is None or not expected.seq:
            return
        event = next(iter(self._spool.events(expected.seq - 1, expected.seq)), None)
        if event is None:
            text = f"event {expected.seq} was sealed, the events here are {self._spool.first} to {self._spool.last}"
            found.problems.append(Problem(expected.seq, "", 0, "missing", text))
        elif event.get("sha") != expected.sha:
            text = f"event {expected.seq} was sealed, it has another digest"
            found.problems.append(Problem(expected.seq, "", 0, "head", text))

    def stats(self) -> Stats:
        """Counts and sizes."""
        seen = self._seen
        return Stats(
            self._spool.count, seen.bytes, self.contents.sources, dict(seen.types), seen.first_at, seen.last_at
        )

    # -- what it cannot ----------------------------------------------------------------------------------------

    def _refuse(self) -> KugetsuError:
        said = f"{self.path} is a file of another place: it is only read"
        return KugetsuError(said, "leave out --from to act on the log that is here")

    def transact(self, decide: Callable[[Any], Sequence[NewEvent]]) -> list[Event]:  # noqa: ARG002
        """Raises KugetsuError: nothing is appended."""
        raise self._refuse()

    def append(self, new_events: Sequence[NewEvent]) -> list[Event]:  # noqa: ARG002
        """Raises KugetsuError: nothing is appended."""
        raise self._refuse()

    def repair(self) -> Repair:
        """Raises KugetsuError: nothing is mended."""
        raise self._refuse()

    def _over(self) -> BadInput:
        return BadInput("nothing comes after the end of a file of another place", "leave out -f, --follow or --watch")

    def follow(self, after: int) -> Iterator[Event | None]:  # noqa: ARG002
        """Raises BadInput: nothing more comes."""
        raise self._over()

    def wait(self, after: int, timeout: float) -> bool:  # noqa: ARG002
        """Raises BadInput: nothing more comes."""
        raise self._over()

    def watch(self) -> Waker:
        """Raises BadInput: nothing more comes."""
        raise self._over()

    def close(self) -> None:
        """Give the temporary file back."""
        self._spool.close()


def _counted(events: int) -> str:
    """``1 event``, ``2 events``."""
    return "1 event" if events == 1 else f"{events} events"


def open_archive(path: str) -> ArchivedLog:
    """The log in a file of another place, folded into the domain's state. Raises as `ArchivedLog`."""
    return ArchivedLog(path, DomainProjection())
