"""What an attempt of the simulation does: the recorded attempt of its number, unless a time limit or usage limit cuts
it short, or one that cut the recorded attempt no longer does.

A session resumes where it was stopped. So the next attempt does the rest of a stopped one, and an attempt that is not
stopped where the recorded one was continues with the work of the next recorded one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from kugetsu.domain.simulation.micros import SECOND
from kugetsu.domain.simulation.scenario import Limit, Past

#: A recorded run counts as stopped at a time limit if it ran at most so many seconds longer: stopping takes
#: KILL_GRACE_SECONDS, and then the remaining processes are ended.
STOPPING = 60 * SECOND
#: The end of a run that only a cancellation ends: later than any date.
EVER = 10**18


class Run:
    """One attempt of the simulation: when its agent runs (None: never), when and how it ends.

    ``verdict`` and ``how`` are those of an `Ending`. ``assumed`` names the assumptions made. ``past`` is the recorded
    attempt that its end is taken from.
    """

    __slots__ = ("assumed", "cost", "ends", "how", "past", "reason", "resets_at", "running", "tokens", "verdict")

    def __init__(self, past: Past, running: int | None, ends: int) -> None:
        self.past = past
        self.running = running
        self.ends = ends
        self.how = past.how
        self.verdict = past.verdict
        self.reason = past.reason
        self.resets_at = past.resets_at
        self.tokens = 0.0
        self.cost = 0.0
        self.assumed: list[str] = []


class World:
    """What applies to all attempts: usage limits in the order of their start, the time limit of runs (None: as
    recorded), the stand-in for an unknown attempt, and the end of the record."""

    def __init__(self, limits: Sequence[Limit], timeout: int | None, typical: Past, horizon: int) -> None:
        self.timeout = timeout
        self.typical = typical
        self.horizon = horizon
        self._limits: dict[str | None, list[Limit]] = {}
        for limit in sorted(limits, key=lambda one: one.since):
            self._limits.setdefault(limit.label, []).append(limit)
        self._longest = max((limit.until - limit.since for limit in limits), default=0)

    def limits_at(self, label: str | None, at: int) -> list[Limit]:
        """The limits that apply at a time."""
        return self._between(label, at, at)

    def hit(self, past: Past, label: str | None, running: int, until: int) -> tuple[int, Limit] | None:
        """When a run meets a limit before it ends at ``until``; None if none stops it.

        It passes the limits that the recorded attempt passed.
        """
        for limit in self._between(label, running, until):
            at = max(limit.since, running)
            if at >= until or _unharmed(past, limit):
                continue
            return at, limit
        return None

    def stopped_the_same(self, past: Past) -> bool:
        """Whether a recorded run was stopped at the time limit that applies now."""
        work = past.work if past.how == "time_out" else None
        return self.timeout is not None and work is not None and self.timeout <= work <= self.timeout + STOPPING

    def _between(self, label: str | None, since: int, until: int) -> list[Limit]:
        of_label = self._limits.get(label)
        if of_label is None:
            return []
        first = bisect_left(of_label, since - self._longest, key=lambda one: one.since)
        found = []
        for limit in of_label[first:]:
            if limit.since > until:
                break
            if limit.until > since:
                found.append(limit)
        return found


def _unharmed(past: Past, limit: Limit) -> bool:
    begun, ended = past.number > 0, past.ended
    return begun and past.claimed < limit.until and (ended is None or limit.since < ended)


class Work:
    """The work of a task: its recorded attempts one after the other, and where the latest one stopped."""

    __slots__ = ("_left", "_next", "_pasts")

    def __init__(self, pasts: Sequence[Past], done: int = 0) -> None:
        self._pasts = pasts
        self._next = done
        #: Microseconds left of the run of the next one; None for all of it.
        self._left: int | None = None

    def begin(self, at: int, label: str | None, world: World, *, cancel_comes: bool) -> Run:
        """The attempt claimed at a time; ``cancel_comes``: the task is cancelled later."""
        past, assumed = self._current(world)
        run = self._planned(past, at, label, world, cancel_comes)
        run.assumed[:0] = assumed
        if run.running is not None:
            self._live_through(run, label, world)
        return run

    def _current(self, world: World) -> tuple[Past, list[str]]:
        if not self._pasts:
            return world.typical, ["typical"]
        if self._next < len(self._pasts):
            return self._pasts[self._next], []
        return self._pasts[-1], ["repeated"]

    def _planned(self, past: Past, at: int, label: str | None, world: World, cancel_comes: bool) -> Run:
        """The attempt as recorded."""
        if past.ended is not None and past.running is None and not (past.cancelled and not cancel_comes):
            self._next += 1
            if past.verdict == "limited" and not past.cancelled and not world.limits_at(label, at + past.startup):
                return self._unlimited(at + past.startup, world)
            run = Run(past, None, EVER if past.cancelled else at + past.startup)
            run.tokens, run.cost = past.tokens, past.cost
            return run
        if past.ended is not None and not past.cancelled:
            return Run(past, at + past.startup, 0)
        # If it was cancelled, or ran when the record ended, its full duration is unknown.
        startup = past.startup
        if past.running is None:
            startup = max(world.typical.startup, (past.ended or world.horizon) + 1 - past.claimed)
        run = Run(past, at + startup, 0)
        if past.cancelled and cancel_comes:
            run.ends = EVER
        else:
            run.assumed.append("open")
        return run

    def _unlimited(self, at: int, world: World) -> Run:
        """An attempt that a limit ended before its agent ran, and that now meets none: it runs as the next one did."""
        following = self._pasts[self._next] if self._next < len(self._pasts) else None
        run = Run(following if following is not None and following.work is not None else world.typical, at, 0)
        run.assumed.append("unlimited")
        if run.past is world.typical:
            run.assumed.append("rest")
        return run

    def _live_through(self, run: Run, label: str | None, world: World) -> None:
        """Find when and why the run ends."""
        assert run.running is not None
        at = run.running
        cut = at + world.timeout if world.timeout is not None else EVER
        while True:
            whole = self._whole(run, world)
            left = whole if self._left is None else self._left
            until = min(at + left, EVER)
            stops = self._stopped(run, label, world, at, until, cut)
            if stops is not None:
                self._spend(run, stops - at, whole)
                self._left = left - (stops - at)
                run.ends = stops
                return
            self._spend(run, left, whole)
            self._next, self._left = min(self._next + 1, len(self._pasts)), None
            run.ends = at = until
            if not self._goes_on(run, label, world, cut):
                return

    def _whole(self, run: Run, world: World) -> int:
        """How long the run's recorded attempt works if nothing stops it."""
        past = run.past
        if run.ends == EVER:
            return EVER
        if past.work is None or past.cancelled:
            usual = world.typical.work or SECOND
            begun = past.running if past.running is not None else run.running or 0
            seen = (past.ended or world.horizon) - begun
            run.how, run.verdict, run.reason = "succeed", "done", "assumed"
            return max(seen + 1, usual)
        return past.work

    def _stopped(self, run: Run, label: str | None, world: World, at: int, until: int, cut: int) -> int | None:
        """When a limit stops the run before its recorded end, which then becomes the run's outcome; else None."""
        hit = world.hit(run.past, label, at, until)
        first = hit[0] if hit is not None else until
        if cut < first and not (self._left is None and world.stopped_the_same(run.past)):
            run.how, run.verdict, run.reason = "time_out", "retry", "time_limit"
            run.assumed.append("timed_out")
            return cut
        if hit is not None:
            run.how, run.verdict, run.reason = "fail", "limited", "usage_limit"
            run.resets_at = hit[1].resets_at
            run.assumed.append("limited")
            return first
        return None

    def _goes_on(self, run: Run, label: str | None, world: World, cut: int) -> bool:
        """Whether the run passes the limit that ended the recorded attempt, and continues with the next one's work."""
        past = run.past
        if past.cancelled:
            return False
        if past.verdict == "limited" and run.verdict == "limited":
            limits = world.limits_at(label, run.ends)
            if limits:
                if all(limit.since != past.ended for limit in limits):
                    run.resets_at = max(limits, key=lambda one: one.until).resets_at
                return False
            run.assumed.append("unlimited")
        elif past.how == "time_out" and world.timeout is not None and run.ends < cut:
            run.assumed.append("longer")
        else:
            return False
        following = self._pasts[self._next] if self._next < len(self._pasts) else None
        if following is None and past.how == "time_out":
            run.assumed.append("endless")
            run.ends = cut
            return False
        if following is None or following.work is None:
            run.assumed.append("rest")
            following = world.typical
        run.past = following
        run.how, run.verdict, run.reason = following.how, following.verdict, following.reason
        run.resets_at = following.resets_at
        return True

    def _spend(self, run: Run, micros: int, whole: int) -> None:
        """Count the tokens and the cost of a part of the recorded run."""
        share = micros / whole if whole else 1.0
        if share < 1.0:
            run.assumed.append("shares")
        run.tokens += run.past.tokens * share
        run.cost += run.past.cost * share
