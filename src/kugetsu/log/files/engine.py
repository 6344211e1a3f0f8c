"""The log in files: the embedded engine of the `EventLog` protocol."""

from __future__ import annotations

import os

from kugetsu.log.codec import encode, events_of
from kugetsu.log.files import snapshots
from kugetsu.log.files.block_reader import BlockReader, CollectionPaused
from kugetsu.log.files.segments import SEGMENT_BYTES, Cursor, Head
from kugetsu.model.lean import RLock, ref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from kugetsu.domain.events import Event
    from kugetsu.domain.new_event import NewEvent
    from kugetsu.log.codec import Block
    from kugetsu.log.files.append import Appender
    from kugetsu.log.files.tail_position import TailPosition
    from kugetsu.log.files.verify import Repair, Stats, Verification
    from kugetsu.log.files.watch import Watch
    from kugetsu.log.projection import Projection

LATEST_EVERY = 1000
"""Events after the latest snapshot until a new one is due: folding them takes about 2 ms."""

PERIODIC_EVERY = 20_000
"""Events between two periodic snapshots: folding these takes about 70 ms; those of a million events have some 3 MB."""

_BYTES_PER_EVENT = 1000
"""Bytes of a snapshot that cost as much to write (6 ns a byte) as the fold of one event."""

_writing: dict[int, ref[FileLog]] = {}


def _after_fork_in_child() -> None:
    for reference in list(_writing.values()):
        log = reference()
        if log is not None:
            log._forget_parent()


os.register_at_fork(after_in_child=_after_fork_in_child)


class FileLog:
    """One opened log. Usable from several threads; a forked child continues with its own descriptors.

    ``projection`` folds events into the state that decisions read. ``by`` is written to every event, ``now`` returns
    the time of an append, ``guard`` what of the new_events may be written; it is called without events before the lock
    is first taken. Nothing is created on disk before the first append; without ``upkeep`` reading never writes a
    snapshot. ``trusted``: the lines were checked when they were unpacked (`log.foreign`); no digest is verified again,
    and events may be missing.
    """

    within: float | None = None  # of the protocol: nothing here is waited for

    def __init__(
        self,
        directory: str,
        projection: Projection[Any],
        by: dict[str, Any],
        now: Callable[[], str],
        *,
        guard: Callable[[Sequence[NewEvent]], Sequence[NewEvent]] | None = None,
        segment_bytes: int = SEGMENT_BYTES,
        latest_every: int = LATEST_EVERY,
        periodic_every: int = PERIODIC_EVERY,
        upkeep: bool = True,
        trusted: bool = False,
    ) -> None:
        self.directory = directory
        self._upkeep = upkeep
        self._trusted = trusted
        self._projection = projection
        self._by = by
        self._now = now
        self._guard = guard
        self._segment_bytes = segment_bytes
        self._latest_every = latest_every
        self._periodic_every = periodic_every
        self._mutex = RLock()
        self._tail: BlockReader | None = None
        self._state: Any = None
        self._half_folded = False
        self._deciding = False
        self._appender: Appender | None = None
        self._latest = 0
        self._due = latest_every
        self._unmarked = False
        self._own_seq = 0
        self._contended = False
        self._end: TailPosition | None = None

    # -- the state ---------------------------------------------------------------------------------------------

    def state(self) -> Any:
        """The fold of everything committed now. Takes no lock. The object is the log's own: read it, never change it.

        Raises LogDamaged if an event that was not folded yet does not verify.
        """
        with self._mutex:
            self._refresh()
            self._keep_latest()
            return self._state

    def state_at(self, seq: int | None = None, at: str | None = None) -> Any:
        """The state after event ``seq``, or before the first event later than ``at``; see `EventLog.state_at`."""
        return snapshots.state_at(
            self.directory, self._projection, seq, at, self._periodic_every, trusted=self._trusted
        )

    def head(self) -> Head:
        """The last committed event's seq and digest."""
        with self._mutex:
            cursor = self._refresh().cursor
            return Head(cursor.seq, cursor.sha.decode())

    def _refresh(self, locked: bool = False) -> BlockReader:
        tail = self._tail
        if tail is None or self._half_folded:
            tail = self._start()
        block = tail.next_block(locked)
        if block is None:
            return tail
        with CollectionPaused():
            while block is not None:
                self._fold(tail, block)
                del block  # free its events before those of the next are made
                block = tail.next_block(locked)
        return tail

    def _fold(self, tail: BlockReader, block: Block) -> None:
        # If interrupted in here, the state is neither before nor after, and is rebuilt.
        self._half_folded = True
        state = self._state
        fold = self._projection.fold
        try:
            for event in block.events:
                fold(state, event)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise tail.refused(block) or error from error
        tail.advance(block)
        self._half_folded = False

    def _start(self) -> BlockReader:
        """Start at the latest valid snapshot, else at the log's start."""
        self._drop_tail()
        found = snapshots.load(self.directory, self._projection.VERSION)
        cursor = Cursor()
        if found is None:
            self._state = self._projection.empty()
            self._latest = 0
            self._due = self._latest_every
            # An invalid one stays for `verify`: it may be the only evidence of a lost tail.
            self._unmarked = not os.path.exists(os.path.join(self.directory, snapshots.LATEST))
        else:
            self._state = self._projection.load(found.state)
            cursor = found.cursor
            self._latest = cursor.seq
            self._due = max(self._latest_every, found.size // _BYTES_PER_EVENT)
        self._tail = BlockReader(self.directory, cursor, settle=False, trusted=self._trusted)
        self._half_folded = False
        return self._tail

    def _drop_tail(self) -> None:
        if self._tail is not None:
            self._tail.close()
            self._tail = None

    def _keep_latest(self) -> None:
        """Write the latest snapshot (and extend the index) if enough events were folded after the last one."""
        tail = self._tail
        if tail is None or not tail.cursor.offset or not self._upkeep:
            return
        if tail.cursor.seq - self._latest < self._due:
            if self._unmarked:
                snapshots.mark_start(self.directory, self._projection)
                self._unmarked = False
            return
        self._unmarked = False
        seq, size = snapshots.refresh(
            self.directory, self._projection, tail.cursor, self._state, self._due, self._periodic_every
        )
        self._latest = seq
        self._due = max(self._latest_every, size // _BYTES_PER_EVENT)

    # -- appending ---------------------------------------------------------------------------------------------

    def transact(self, decide: Callable[[Any], Sequence[NewEvent]]) -> list[Event]:
        """Append what ``decide`` returns for the present state, all or nothing; the events, durable.

        ``decide`` runs under the log's lock: it must be short and without effects. Its exceptions are passed on and
        leave the log untouched. Raises LogDamaged, LogWriteFailed.
        """
        with self._mutex:
            if self._deciding:
                raise RuntimeError("transact was called from inside a decision")
            appender = self._appender or self._open_appender()
            self._acquire(appender)
            try:
                self._deciding = True
                lines, end = self._append(appender, decide)
            finally:
                self._deciding = False
                appender.release()
            events: list[Event] = []
            if end is not None:
                appender.sync()  # after the unlock: one sync then serves everyone who wrote meanwhile
                events = self._fold_own(lines, end)
            self._keep_latest()
            return events

    def _acquire(self, appender: Appender) -> None:
        """Take the lock, after folding most of the tail, so that others wait less."""
        if not self._contended:
            tail = self._tail
            if tail is None or self._half_folded or tail.has_grown():
                self._refresh()
            appender.acquire()
            return
        appender.queue_up()
        try:
            self._refresh()
            appender.acquire()
        finally:
            appender.leave_queue()

    def _append(
        self, appender: Appender, decide: Callable[[Any], Sequence[NewEvent]]
    ) -> tuple[list[bytes], Cursor | None]:
        tail = self._refresh_locked(appender)
        self._contended = 0 < self._own_seq < tail.cursor.seq
        new_events = decide(self._state)
        if not new_events:
            return [], None
        return self._write(appender, new_events, tail.cursor.copy(), tail.inode)

    def _write(
        self, appender: Appender, new_events: Sequence[NewEvent], cursor: Cursor, inode: int
    ) -> tuple[list[bytes], Cursor]:
        """Write the new_events at ``cursor``; returns their lines and the cursor after them."""
        if self._guard is not None:
            new_events = self._guard(new_events)
        lines, sha = encode(new_events, cursor.seq + 1, cursor.sha, self._now(), self._by)
        data = b"\n".join([*lines, b""])
        appender.write(cursor, inode, data)
        cursor.offset += len(data)
        cursor.seq += len(lines)
        cursor.sha = sha
        return lines, cursor

    def append(self, new_events: Sequence[NewEvent]) -> list[Event]:
        """Append events without a decision (outcomes, observations): the tail is not folded for them.

        Many writers together are then several times faster, because none folds what the others write. Only the last
        line is verified, against the digest stated before it. Durable on return; all or nothing.
        Raises LogDamaged, LogWriteFailed.
        """
        if not new_events:
            return []
        with self._mutex:
            if self._deciding:
                raise RuntimeError("append was called from inside a decision")
            appender = self._appender or self._open_appender()
            end = self._end or self._open_end()
            appender.acquire()
            try:
                cursor = end.find()
                if cursor is not None:
                    lines, cursor = self._write(appender, new_events, cursor, end.inode)
                    end.moved(cursor)
            finally:
                appender.release()
            if cursor is None:  # an empty log, a torn tail, or damage: reading it shows which
                return self.transact(lambda _: new_events)
            appender.sync()
            return events_of(lines)

    def _open_end(self) -> TailPosition:
        from kugetsu.log.files.tail_position import TailPosition

        self._end = TailPosition(self.directory)
        return self._end

    def _refresh_locked(self, appender: Appender) -> BlockReader:
        tail = self._refresh(locked=True)
        if tail.rest:
            from kugetsu.log.files.repair import repair

            repair(tail, appender, self._now(), self._by)
            tail = self._refresh(locked=True)
        return tail

    def _fold_own(self, lines: list[bytes], end: Cursor) -> list[Event]:
        tail = self._tail
        assert tail is not None
        events = events_of(lines)
        self._half_folded = True
        for event in events:
            self._projection.fold(self._state, event)
        tail.cursor = end
        self._own_seq = end.seq
        self._half_folded = False
        return events

    def _open_appender(self) -> Appender:
        from kugetsu.log.files.append import Appender

        if self._guard is not None:
            self._guard(())  # load now what it needs at its first use, before others wait for the lock
        self._register()
        self._appender = Appender(self.directory, self._segment_bytes)
        return self._appender

    def _register(self) -> None:
        """Let a forked child forget what only its parent may use."""
        key = id(self)
        _writing[key] = ref(self, lambda _: _writing.pop(key, None))

    # -- reading -----------------------------------------------------------------------------------------------

    def read(self, after: int = 0, until: int | None = None) -> Iterator[Event]:
        """The committed events with ``after`` < seq <= ``until``, in order, chain verified. Takes no lock."""
        from kugetsu.log.files.reader import read

        return read(self.directory, after, until, trusted=self._trusted)

    def read_lines(self, after: int = 0, until: int | None = None) -> Iterator[tuple[Event, bytes]]:
        """As `read`, each with its line as it was written, without the newline."""
        from kugetsu.log.files.reader import read_lines

        return read_lines(self.directory, after, until, trusted=self._trusted)

    def read_key(self, key: str) -> Iterator[Event]:
        """The events whose issue, task or session is ``key``, in order."""
        from kugetsu.log.files.index import read_key

        return read_key(self.directory, key)

    def follow(self, after: int) -> Iterator[Event | None]:
        """Events as they arrive, from ``after`` on; None at least every second if there are none. Never ends."""
        from kugetsu.log.files.reader import follow

        return follow(self.directory, after)

    def wait(self, after: int, timeout: float) -> bool:
        """True as soon as the head is past ``after``; False if that takes longer than ``timeout`` seconds."""
        from kugetsu.log.files.reader import wait

        return wait(self.directory, after, timeout)

    def watch(self) -> Watch:
        """An object to select on together with other descriptors: readable if the log may have grown."""
        from kugetsu.log.files.watch import Watch

        return Watch(self.directory)

    # -- checking ----------------------------------------------------------------------------------------------

    def verify(self, expected_head: Head | None = None) -> Verification:
        """Read every line and report every problem; with ``expected_head`` also whether that event still exists."""
        from kugetsu.log.files.verify import verify

        return verify(self.directory, self._projection, expected_head)

    def repair(self) -> Repair:
        """Repair a torn tail now. Damage elsewhere is reported, never repaired by guessing."""
        from kugetsu.log.files.verify import Repair

        before = self.verify()
        if before.problems or before.torn is None:
            return Repair(repaired=False, event=None, problems=before.problems)
        with self._mutex:
            self.transact(lambda _: [])
            if self._appender is not None:
                self._appender.sync()
        notes = (event for event in self.read(after=before.head.seq) if event["type"] == "log.repaired")
        return Repair(repaired=True, event=next(notes, None), problems=[])

    def stats(self) -> Stats:
        """Events, bytes, segments, events by type, first and last time."""
        from kugetsu.log.files.verify import stats

        return stats(self.directory, trusted=self._trusted)

    # -- the end -----------------------------------------------------------------------------------------------

    def _forget_parent(self) -> None:
        self._mutex = RLock()
        self._deciding = False
        if self._appender is not None:
            self._appender.close()
            self._appender = None

    def close(self) -> None:
        """Close every descriptor. Further use of the log opens them again."""
        with self._mutex:
            self._drop_tail()
            if self._end is not None:
                self._end.close()
            if self._appender is not None:
                self._appender.close()
                self._appender = None
            _writing.pop(id(self), None)
