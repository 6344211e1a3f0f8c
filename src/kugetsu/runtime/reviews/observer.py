"""The observer: a process that looks at the pull requests and branches of sessions for as long as a daemon lives.

A forge or remote that hangs cannot slow down the daemon or a task. One observer lives per directory
(`named_lease.OBSERVER`); the daemon starts and restarts it. Every OBSERVE_INTERVAL_MINUTES it asks each repository for
its open pull requests (`lists`) and looks closely at those that changed; it queues the turns that answer feedback
(`reactions.turns`) and retires what is merged (`reactions.retiring`). It asks no forge before the time that it named,
and appends only what changed, so that a killed one leaves nothing half done. Of the hosts that share a log one does all
this (`shares`), and each opens and retires what is of its own sessions. Run as
``python -m kugetsu.runtime.reviews.observer``; it writes into the daemon's log.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from kugetsu.domain.events import Event
from kugetsu.domain.state import Session, State
from kugetsu.forge.failures import ForgeFailure
from kugetsu.forge.pauses import Pause
from kugetsu.model import clock
from kugetsu.model.errors import KugetsuError, LogDamaged, LogWriteFailed
from kugetsu.model.refs import parse_ref
from kugetsu.runtime import daemon_child, host_id, pull_opening
from kugetsu.runtime.daemon_child import DaemonChild, Trouble
from kugetsu.runtime.forges import one_line
from kugetsu.runtime.intake import places
from kugetsu.runtime.intake.watching import Watching as Intake
from kugetsu.runtime.process.named_lease import OBSERVER
from kugetsu.runtime.reactions.retiring import Retiring
from kugetsu.runtime.reactions.turns import Turns
from kugetsu.runtime.reviews import owed, shares, subjects
from kugetsu.runtime.reviews.lists import SELDOM, Lists, Repository
from kugetsu.runtime.reviews.shares import ALL
from kugetsu.runtime.reviews.survey import Reader, Survey, conflicts, record
from kugetsu.runtime.workspace import Workspace

#: Sessions looked at closely in one round; those that were not come first in the next.
MOST_IN_ROUND = 50
#: Troubles that are kept for `doctor`.
MOST_NOTES = 20
#: The longest sleep in seconds: times to try again are wall time, which may be set.
LONGEST_SLEEP = 300.0


class Observer(DaemonChild):
    """Does one thing at a time, so that it notices in between when it is no longer needed."""

    lease = OBSERVER

    def __init__(self, ws: Workspace, held: int) -> None:
        self._round: list[str] = []
        #: The repositories whose lists are still to be asked for in this round, with the sessions of each.
        self._places: dict[Repository, list[str]] = {}
        self._survey: Survey | None = None
        self._lists = Lists(ws)
        self._reader = Reader()
        self._turns = Turns(ws)
        self._retiring = Retiring(ws)
        #: When the latest round began, in monotonic seconds.
        self.began: float | None = None
        self._troubles: dict[str, Trouble] = {}
        self._notes: dict[str, str] = {}
        self._intake = Intake(ws, self._may_ask, self._tell, self.written)
        super().__init__(ws, held)

    def write(self, text: str) -> None:
        """Write a line into the daemon's log."""
        daemon_child.write_line(self._ws, "observer", text)

    def step(self) -> float:
        """Open what is owed, queue a turn, retire what is merged, or look at what comes next in the round; the seconds
        to sleep."""
        now = clock.now()
        state = self._ws.state()
        if not subjects.any_left(self._ws, state) and not places.any_left(self._ws, state):
            shares.give_up(self._ws, state)
            self._stopping = "there is nothing to look at"
            return 0.0
        part = shares.part(self._ws, state)
        if self._has_acted(state, now, part):
            return 0.0
        intake = self._intake.step(state) if part == ALL else LONGEST_SLEEP
        if not intake:
            return 0.0
        if part == ALL and shares.is_over(self._ws, state):
            shares.give_up(self._ws, state)
            return 0.0
        looked_at = [session for session in subjects.to_observe(state, now) if shares.includes(self._ws, part, session)]
        if not looked_at:
            self._places, self._round = {}, []
        if not self._places and not self._round:
            wait = self._begin(looked_at)
            if wait > 0:
                opening = owed.wait(state, now, host_id.own(self._ws))
                turns = self._turns.wait(state, now) if part == ALL else LONGEST_SLEEP
                return min(intake, wait, opening, turns, self._retiring.wait(state, now), LONGEST_SLEEP)
        if self._places:
            place = next(iter(self._places))
            self._list(place, [state.sessions[key] for key in self._places.pop(place) if key in state.sessions])
            if not self._places:
                del self._round[MOST_IN_ROUND:]
        elif self._round:
            known = state.sessions.get(self._round.pop(0))
            if known is not None and known.attempt is None and self._survey is not None:
                self._look(known, self._survey)
        return 0.0

    def _has_acted(self, state: State, now: str, part: str) -> bool:
        """Do the first thing that waits for nothing but its time; False if there is none."""
        before = state.seq
        for session in owed.due(state, now, host_id.own(self._ws)):
            # One at a time: a stop is heeded in between. What another process opens now is left to that.
            pull_opening.open_owed(self._ws, session)
            if self._ws.state().seq != before:
                return True
        for key in self._turns.due(state, now) if part == ALL else ():
            self._act(key, lambda key=key: self._turns.take(key))  # type: ignore[misc]
            return True
        for session in self._retiring.due(state, now):
            self._act(session.key, lambda session=session: self._retiring.take(session))  # type: ignore[misc]
            return True
        return False

    def _act(self, key: str, act: Callable[[], list[Event]]) -> None:
        host, subject = parse_ref(key).host, f"the next turn of {key}"
        try:
            events = act()
        except (LogWriteFailed, LogDamaged):
            raise
        except KugetsuError as problem:
            self._report(host, subject, problem)
            return
        self._settle(subject)
        self.written(key, events)

    def _begin(self, sessions: list[Session]) -> float:
        """Begin a round if it is time: first the lists of the repositories; the seconds until then."""
        interval = subjects.interval(self._ws)
        if not interval or not sessions:
            return LONGEST_SLEEP
        now = time.monotonic()
        if self.began is not None and now - self.began < interval:
            return self.began + interval - now
        self.began = now
        self._lists.forget({session.key for session in sessions})
        self._survey = Survey.of(self._ws, self._reader)
        for session in sessions:
            self._places.setdefault(self._lists.place_of(session), []).append(session.key)
        return 0.0

    def _list(self, place: Repository, mine: list[Session]) -> None:
        """Ask for the open pull requests of a repository, and put into the round which of its sessions to look at
        closely."""
        host = place[0]
        if not self._may_ask(host) or self._survey is None:
            return
        try:
            if mine and self._survey.forges.of(host) is not None:
                self._lists.refresh(place, self._survey.forges)
                self._settle(host)
        except KugetsuError as problem:
            self._report(host, "/".join(place), problem)
            return
        self._settle("/".join(place))
        self._round += [session.key for session in mine if self._is_due(session)]
        # Of all repositories: one with many that never settle must not keep the others waiting.
        self._round.sort(key=self._looked_at)

    def _looked_at(self, key: str) -> float:
        looked = self._lists.looked.get(key)
        return looked.at if looked is not None else 0.0

    def _is_due(self, session: Session) -> bool:
        """Whether a session is looked at in this round: a list may explain that there is nothing new."""
        interval = subjects.interval(self._ws)
        if self._lists.is_due(session, interval):
            return True
        looked = self._lists.looked[session.key]
        if session.review == "closed":
            return time.monotonic() - looked.at >= interval * SELDOM
        return not looked.found  # the base branch may have it by now

    def _look(self, session: Session, survey: Survey) -> None:
        host = parse_ref(session.key).host
        if not self._may_ask(host):
            return
        listed = self._lists.find(session)
        closely = self._lists.is_due(session, subjects.interval(self._ws)) or session.review == "closed"
        sight = survey.look(session, listed) if closely else survey.in_the_base(session)
        self._tell(host, session.key, sight.problem)
        self.written(session.key, record(self._ws, session, sight))
        self._tell_untold()
        state = self._ws.state()
        now = state.sessions.get(session.key)
        if closely and now is not None and sight.problem is None:
            waiting = bool(state.of_issue.get(session.key))
            self._act(session.key, lambda: self._turns.recheck(state, session.key))
            sure = conflicts(self._ws, session, sight.pull)
            self._lists.note(now, listed, sight.pull, waiting=waiting, conflicts=sure)

    def _tell_untold(self) -> None:
        """Say once where the token may not ask who may write: there only those who are listed count."""
        for repository in self._reader.rights.untold - self._notes.keys():
            text = f"{repository}: the token may not ask who may write; name reviewers in REACTION_AUTHORS"
            self.write(text)
            self._keep({**self._notes, repository: text})

    def _may_ask(self, host: str) -> bool:
        """Whether the time that a forge named to any process is over."""
        return Pause(self._ws.paths.pause(host)).until(clock.seconds()) is None

    def _tell(self, host: str, key: str, problem: KugetsuError | None) -> None:
        """Log a failure once, and once more when it is over, and keep it for `doctor`."""
        if problem is not None:
            self._report(host, key, problem)
            return
        self._settle(host)
        self._settle(key)

    def _report(self, host: str, subject: str, problem: KugetsuError) -> None:
        subject = host if isinstance(problem, ForgeFailure) and problem.passing else subject
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
