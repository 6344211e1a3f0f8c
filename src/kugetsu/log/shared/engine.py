"""The log that several hosts share: an engine of the `EventLog` protocol.

Reads are those of the mirror, by the code of the log in files. An append is decided on the mirror's state, sent to the
arbiter with the event that it follows, and written to the mirror after the arbiter took it.
"""

from __future__ import annotations

from kugetsu.log.codec import encode, events_of, stated
from kugetsu.log.files.engine import LATEST_EVERY, PERIODIC_EVERY, FileLog
from kugetsu.log.files.segments import SEGMENT_BYTES, Head
from kugetsu.model.lean import RLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from kugetsu.domain.events import Event
    from kugetsu.domain.new_event import NewEvent
    from kugetsu.log.files.verify import Repair, Verification
    from kugetsu.log.projection import Projection
    from kugetsu.log.shared.arbiter import Fence
    from kugetsu.log.shared.keeper import Keeper
    from kugetsu.log.shared.link import Link
    from kugetsu.log.shared.mirror import Mirror
    from kugetsu.log.shared.postgres import Database


class SharedLog(FileLog):
    """One host's opened shared log. ``directory`` is the mirror; ``database`` opens the arbiter of appends, at the
    first one. ``decide`` of `transact` may run several times, each time on a newer state.

    Reading shows what the mirror has: `pull` brings it up to date, or whoever keeps it.
    """

    def __init__(
        self,
        directory: str,
        projection: Projection[Any],
        by: dict[str, Any],
        now: Callable[[], str],
        database: Callable[[], Database],
        *,
        guard: Callable[[Sequence[NewEvent]], Sequence[NewEvent]] | None = None,
        segment_bytes: int = SEGMENT_BYTES,
        latest_every: int = LATEST_EVERY,
        periodic_every: int = PERIODIC_EVERY,
    ) -> None:
        super().__init__(
            directory,
            projection,
            by,
            now,
            guard=guard,
            segment_bytes=segment_bytes,
            latest_every=latest_every,
            periodic_every=periodic_every,
        )
        self._open_database = database
        self._arbiter: Link | None = None
        self._mirror_: Mirror | None = None
        self._keeper: Keeper | None = None

    # -- appending ---------------------------------------------------------------------------------------------

    def transact(self, decide: Callable[[Any], Sequence[NewEvent]]) -> list[Event]:
        """Append what ``decide`` returns for the newest state, all or nothing; the events, durable in the database.

        A decision that refuses or appends nothing was made on the newest state, too. Raises LogUnreachable,
        LogDiverged, LogDamaged, LogWriteFailed.
        """
        return self._transact(decide, None)

    def _transact(self, decide: Callable[[Any], Sequence[NewEvent]], fence: Fence | None) -> list[Event]:
        with self._mutex:
            if self._deciding:
                raise RuntimeError("transact was called from inside a decision")
            lines = self._commit(self._folded, lambda: decide(self._state), fence)
            if lines:
                self._refresh()
            self._keep_latest()
            return events_of(lines)

    def transact_fencing(
        self, decide: Callable[[Any], Sequence[NewEvent]], host: str, term: int, *, sure: bool
    ) -> list[Event]:
        """As `transact`, and with what is appended the end of another host's term: from then on it renews nothing.

        ``sure``: a person says that it is gone. Raises Conflict, and appends nothing, while it is heard of.
        """
        from kugetsu.log.shared.arbiter import Fence

        return self._transact(decide, Fence(host, term, sure))

    def append(self, new_events: Sequence[NewEvent]) -> list[Event]:
        """Append events without a decision; nothing is folded. Raises as `transact`."""
        if not new_events:
            return []
        with self._mutex:
            if self._deciding:
                raise RuntimeError("append was called from inside a decision")
            return events_of(self._commit(self._mirror().head, lambda: new_events))

    def _commit(
        self, place: Callable[[], Head], make: Callable[[], Sequence[NewEvent]], fence: Fence | None = None
    ) -> list[bytes]:
        """Append what ``make`` returns at ``place``, as often as it takes; the lines.

        First compare and append in one exchange. After a conflict the head is held for the decision, for as long as
        others keep appending: with many writers comparing alone starves some.
        """
        if self._guard is not None:
            self._guard(())
        arbiter = self._ask()
        held = False
        try:
            at = place()
            while True:
                if self._contended and not held:
                    at, held = self._hold(place), True
                new_events = self._decided(make, at, held)
                if new_events is not None:
                    if not new_events:
                        return []
                    if self._guard is not None:
                        new_events = self._guard(new_events)
                    lines, _ = encode(new_events, at.seq + 1, at.sha.encode(), self._now(), self._by)
                    was_held, held = held, False  # whatever happens in it
                    missing = arbiter.append(at, lines, held=was_held, fence=fence, within=self.within)
                    if missing is None:
                        self._keep_own(at, lines)
                        return lines
                    self._contended = True
                    self._take_over(at, missing)
                at = place()
        finally:
            if held:
                arbiter.release()

    def _keep_own(self, at: Head, lines: list[bytes]) -> None:
        """Write to the mirror what the database has taken."""
        from kugetsu.model.errors import LogWriteFailed

        try:
            self._mirror().extend(at, lines)
        except LogWriteFailed as error:
            raise LogWriteFailed(
                f"the event is in the shared log, but not in this host's mirror: {error.message}", error.hint
            ) from error

    def _decided(self, make: Callable[[], Sequence[NewEvent]], at: Head, held: bool) -> Sequence[NewEvent] | None:
        """What a decision appends; None if it appends nothing or refuses, and was not made on the newest state."""
        self._deciding = True
        try:
            new_events = make()
        except Exception:
            self._deciding = False
            if held or self._is_newest(at):
                raise
            return None
        finally:
            self._deciding = False
        return new_events if new_events or held or self._is_newest(at) else None

    def _is_newest(self, at: Head) -> bool:
        """Whether nothing follows ``at``; else the mirror has more of it now."""
        from kugetsu.log.shared.mirror import pull_page

        return not pull_page(self._mirror(), self._ask(), at)

    def _hold(self, place: Callable[[], Head]) -> Head:
        """Hold the arbiter's head, with the mirror at it."""
        arbiter = self._ask()
        while True:
            at = place()
            missing = arbiter.hold(at)
            if missing is None:
                self.pull()
                continue
            try:
                self._contended = bool(missing)
                self._take_over(at, missing)
                return place() if missing else at
            except BaseException:
                arbiter.release()
                raise

    def _folded(self) -> Head:
        cursor = self._refresh().cursor
        return Head(cursor.seq, cursor.sha.decode())

    # -- the mirror --------------------------------------------------------------------------------------------

    def pull(self) -> Head:
        """Read what the database has and the mirror has not; the head that both have then.

        Raises LogUnreachable, LogDiverged, LogDamaged, LogWriteFailed.
        """
        from kugetsu.log.shared.mirror import pull

        with self._mutex:
            return pull(self._mirror(), self._ask())

    def _take_over(self, at: Head, lines: list[bytes]) -> None:
        """Extend the mirror by what an append or a hold found behind ``at``."""
        if lines:
            from kugetsu.log.shared.mirror import verified

            self._mirror().extend(at, verified(at, lines))

    def _mirror(self) -> Mirror:
        if self._mirror_ is None:
            from kugetsu.log.shared.mirror import Mirror

            self._mirror_ = Mirror(self.directory, self._segment_bytes)
        return self._mirror_

    @property
    def went_directly(self) -> bool:
        """Whether it has connected to the database itself, without the relay of a daemon: that takes longer."""
        return self._arbiter is not None and self._arbiter.is_direct

    @property
    def only_read(self) -> bool:
        """Whether nothing but the mirror was asked: what it lacks was not seen."""
        return self._arbiter is None and self._keeper is None

    def _ask(self) -> Link:
        if self._arbiter is None:
            from kugetsu.log.shared.link import Link

            self._register()
            self._arbiter = Link(self.directory, self._open_database)
        return self._arbiter

    # -- waiting -----------------------------------------------------------------------------------------------

    def follow(self, after: int) -> Iterator[Event | None]:
        """As `FileLog.follow`, of what any host appends."""
        self.keep()
        return super().follow(after)

    def wait(self, after: int, timeout: float) -> bool:
        """As `FileLog.wait`, for what any host appends; without a timeout only what the mirror has counts."""
        if timeout > 0:
            self.keep()
        return super().wait(after, timeout)

    def keep(self) -> None:
        """Have the mirror kept up to date by a thread of this process while no other process does.

        `follow` and `wait` call it. `watch` does not: who watches is a daemon or belongs to one, whose relay keeps the
        mirror, and a process that forks runners has better no threads.
        """
        with self._mutex:
            if self._keeper is None:
                from kugetsu.log.shared.keeper import Keeper

                self._register()
                self._keeper = Keeper(self.directory, self._open_database, self._segment_bytes)

    # -- checking ----------------------------------------------------------------------------------------------

    def verify(self, expected_head: Head | None = None) -> Verification:
        """Check every line of the mirror, then that the database has the same event at its end."""
        from kugetsu.log.files.segments import name
        from kugetsu.log.files.verify import Problem
        from kugetsu.model.errors import LogUnreachable

        found = super().verify(expected_head)
        try:
            tail = self._ask().tail(found.head, 1)
        except LogUnreachable as error:
            found.unreached = error.message
            return found
        if tail.lines:
            same = stated(tail.lines[0]) is not None and _follows(found.head, tail.lines[0])
        else:
            same = tail.head == found.head
        if not same:
            text = f"the database has another log: its head is {tail.head}, the mirror's {found.head}"
            found.problems.append(Problem(found.head.seq, name(1), 0, "shared", text))
        return found

    def repair(self) -> Repair:
        """Cut the mirror at its first line that does not verify, and read it again from the database.

        What was cut is lost only if the database does not have it: then LogDiverged is raised before anything is cut.
        """
        from kugetsu.log.files.verify import Repair
        from kugetsu.log.shared.mirror import diverged
        from kugetsu.log.shared.repair import good_end

        with self._mutex:
            before = super().verify()
            if before.ok and before.torn is None:
                return Repair(repaired=False, event=None, problems=[])
            end = good_end(self.directory)
            at = Head(end.seq, end.sha.decode())
            tail = self._ask().tail(at, 1)
            if tail.head.seq < at.seq or (tail.lines and not _follows(at, tail.lines[0])):
                raise diverged(at.seq)
            self._drop_tail()
            self._mirror().drop_from(end)
            self._half_folded = True
            self.pull()
            return Repair(repaired=True, event=None, problems=super().verify().problems, reread=True)

    # -- the end -----------------------------------------------------------------------------------------------

    def _forget_parent(self) -> None:
        super()._forget_parent()
        self._mutex = RLock()
        if self._mirror_ is not None:
            self._mirror_.close()
            self._mirror_ = None
        if self._arbiter is not None:
            self._arbiter.forget_parent()
            self._arbiter = None
        if self._keeper is not None:
            self._keeper.forget()
            self._keeper = None

    def close(self) -> None:
        """Close every descriptor and the connection. Further use of the log opens them again."""
        with self._mutex:
            if self._keeper is not None:
                self._keeper.stop()
                self._keeper = None
            if self._arbiter is not None:
                self._arbiter.close()
                self._arbiter = None
            if self._mirror_ is not None:
                self._mirror_.close()
                self._mirror_ = None
            super().close()


def _follows(at: Head, line: bytes) -> bool:
    from kugetsu.log.codec import verified as verified_line

    return verified_line(at.sha.encode(), line) is not None
