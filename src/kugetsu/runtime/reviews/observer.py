"""The observer: a process that looks at the pull requests and branches of sessions for as long as a daemon lives.

A forge or remote that hangs cannot slow down the daemon or a task. One observer lives per directory
(`named_lease.OBSERVER`); the daemon starts and restarts it. It looks at each session every OBSERVE_INTERVAL_MINUTES,
asks no forge before the time that it named, and appends only what changed, so that a killed one leaves nothing half
done. Run as ``python -m kugetsu.runtime.reviews.observer``; it writes into the daemon's log.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress

from kugetsu.domain.state import Session
from kugetsu.forge.failures import ForgeFailure
from kugetsu.model import clock
from kugetsu.model.errors import KugetsuError
from kugetsu.model.refs import parse_ref
from kugetsu.runtime import daemon_child, pull_opening
from kugetsu.runtime.daemon_child import DaemonChild, Trouble
from kugetsu.runtime.forges import one_line
from kugetsu.runtime.intake import places
from kugetsu.runtime.intake.watching import Watching as Intake
from kugetsu.runtime.process.named_lease import OBSERVER
from kugetsu.runtime.reviews import owed, subjects
from kugetsu.runtime.reviews.survey import Survey, record
from kugetsu.runtime.workspace import Workspace

#: Sessions looked at in one round; those that were not come first in the next.
MOST_IN_ROUND = 50
#: Of how many intervals there is one look at a closed pull request, which may be reopened.
CLOSED_INTERVALS = 12
#: Troubles that are kept for `doctor`.
MOST_NOTES = 20
#: The longest sleep in seconds: times to try again are wall time, which may be set.
LONGEST_SLEEP = 300.0


class Observer(DaemonChild):
    """Looks at one session at a time, so that it notices between two when it is no longer needed."""

    lease = OBSERVER

    def __init__(self, ws: Workspace, held: int) -> None:
        self._round: list[str] = []
        self._survey: Survey | None = None
        #: When the latest round began, in monotonic seconds.
        self.began: float | None = None
        self._looked: dict[str, float] = {}
        self._not_before: dict[str, str] = {}
        self._troubles: dict[str, Trouble] = {}
        self._notes: dict[str, str] = {}
        self._intake = Intake(ws, self._may_ask, self._tell, self.write)
        super().__init__(ws, held)

    def write(self, text: str) -> None:
        """Write a line into the daemon's log; it is lost when there is no space."""
        path = os.path.join(self._ws.paths.logs, "daemon.log")
        with suppress(OSError):
            fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                now = clock.now()
                os.write(fd, f"{now[:23]}Z INFO observer: {' '.join(text.split())}\n".encode("utf-8", "replace"))
            finally:
                os.close(fd)

    def step(self) -> float:
        """Open what is owed, or look at the next session of the round; the seconds to sleep."""
        now = clock.now()
        state = self._ws.state()
        if not subjects.any_left(self._ws, state) and not places.any_left(self._ws, state):
            self._stopping = "there is nothing to look at"
            return 0.0
        ready = owed.due(state, now)
        if ready:
            # One at a time: a stop is heeded in between, and another process that opens it now is waited for.
            pull_opening.open_owed(self._ws, ready[0])
            return 0.0
        wait = self._intake.step(state)
        if not wait:
            return 0.0
        if not self._round:
            wait = min(wait, self._begin(subjects.to_observe(state, now)))
            if wait > 0:
                return min(wait, owed.wait(state, now), LONGEST_SLEEP)
        known = state.sessions.get(self._round.pop(0))
        if known is not None and self._survey is not None:
            self._look(known, self._survey)
        return 0.0

    def _begin(self, sessions: list[Session]) -> float:
        """Begin a round if it is time, with those that were not looked at for the longest; the seconds until then."""
        interval = subjects.interval(self._ws)
        if not interval or not sessions:
            return LONGEST_SLEEP
        now = time.monotonic()
        if self.began is not None and now - self.began < interval:
            return self.began + interval - now
        self.began = now
        self._looked = {key: at for key, at in self._looked.items() if any(one.key == key for one in sessions)}
        due = [one for one in sessions if one.review != "closed" or self._is_due_when_closed(one.key, interval)]
        due.sort(key=lambda session: self._looked.get(session.key, 0.0))
        self._round = [session.key for session in due[:MOST_IN_ROUND]]
        self._survey = Survey.of(self._ws)
        return 0.0

    def _is_due_when_closed(self, key: str, interval: float) -> bool:
        at = self._looked.get(key)
        return at is None or time.monotonic() - at >= interval * CLOSED_INTERVALS

    def _look(self, session: Session, survey: Survey) -> None:
        self._looked[session.key] = time.monotonic()
        host = parse_ref(session.key).host
        if not self._may_ask(host):
            return
        sight = survey.look(session)
        self._tell(host, session.key, sight.problem)
        for event in record(self._ws, session, sight):
            self.write(f"{session.key}: {event['type']} (event {event['seq']})")

    def _may_ask(self, host: str) -> bool:
        """Whether the time that a forge named is over."""
        return self._not_before.get(host, "") <= clock.now()

    def _tell(self, host: str, key: str, problem: KugetsuError | None) -> None:
        """Log a failure once, and once more when it is over, and keep it for `doctor`; heed the time that a forge
        names."""
        if problem is None:
            self._not_before.pop(host, None)
            self._settle(host)
            self._settle(key)
            return
        if isinstance(problem, ForgeFailure) and problem.retry_at is not None:
            self._not_before[host] = problem.retry_at
        subject = host if isinstance(problem, ForgeFailure) and problem.passing else key
        self._troubles.setdefault(subject, Trouble(self.write))
        self._troubles[subject].report(f"{subject}: {one_line(problem)}", kind=problem.code)
        self._keep({**self._notes, subject: one_line(problem)})

    def _settle(self, subject: str) -> None:
        if subject in self._troubles:
            self._troubles.pop(subject).over(f"{subject}: can be looked at again")
            self._keep({name: text for name, text in self._notes.items() if name != subject})

    def _keep(self, notes: dict[str, str]) -> None:
        if notes != self._notes:
            self._notes = notes
            self.lease.sign(self._held, dict(list(notes.items())[:MOST_NOTES]))


def main() -> int:
    """Run the observer of the environment's KUGETSU_DIR unless one lives. Returns the exit status."""
    return daemon_child.run(Observer, "observer")


if __name__ == "__main__":
    sys.exit(main())
