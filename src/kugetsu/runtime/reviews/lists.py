"""The open pull requests of repositories, asked for once an interval each, and what was seen of them before.

A pull request is looked at closely again only if the list shows another one than before, or if what was seen of it was
not settled: a check that runs, a commit whose checks have yet to begin, a forge that has not said whether it can be
merged. Failing checks may be run again, which no list shows: they are looked at now and then; others may begin after
those that passed, so that there is one more look.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from kugetsu.domain.state import Session
from kugetsu.forge.choice import parse_pull_url
from kugetsu.forge.protocol import PullRequest
from kugetsu.model import clock
from kugetsu.model.errors import BadInput
from kugetsu.model.refs import parse_ref
from kugetsu.runtime.forges import Forges
from kugetsu.runtime.workspace import Workspace

#: Of how many intervals there is one look at what no list tells.
SELDOM = 12
#: Looks at a pull request of which the forge does not say whether it can be merged.
MOST_TRIES = 3
#: Seconds after a change in which a look does not settle it: forges tell whole seconds, so that a second change may
#: look like the first, and their clocks differ from ours.
JUST_CHANGED = 60.0
#: What checks come to when they will not change by themselves.
AT_REST = ("success", "none", "failure")

Repository = tuple[str, str, str]
"""Host, owner and name."""


@dataclass(slots=True)
class Looked:
    """The last close look at a session's work: what the list showed (None: nothing) in which ``state`` (for a session
    without a known pull request), whether a pull request was ``found``, what was ``recorded`` of the session then, for
    which kinds of feedback, whether it is ``settled``, whether it is to be repeated seldom, whether it found no checks
    (which may come late, so that there is one more look), and when, in monotonic seconds."""

    listed: PullRequest | None
    state: int
    found: bool
    recorded: Any
    kinds: tuple[str, ...]
    settled: bool
    seldom: bool
    late: bool
    at: float
    tries: int = 0


@dataclass(slots=True)
class Lists:
    """The lists of this round and of the one before, and the looks."""

    ws: Workspace
    looked: dict[str, Looked] = field(default_factory=dict)
    _etags: dict[Repository, str | None] = field(default_factory=dict)
    _pulls: dict[Repository, dict[int, PullRequest]] = field(default_factory=dict)
    _states: dict[Repository, int] = field(default_factory=dict)

    def refresh(self, place: Repository, forges: Forges) -> None:
        """Ask for the open pull requests of a repository: one request a page. Raises ForgeFailure, BadInput."""
        host, owner, repo = place
        etag = self._etags.get(place)
        listing = forges.ask(host, lambda forge: forge.open_pulls(owner, repo, etag))
        if listing.items is None:
            return
        before, self._etags[place] = self._pulls.get(place, {}), listing.etag
        now = self._pulls[place] = {pull.number: pull for pull in listing.items}
        self._states[place] = self._states.get(place, 0) + (now != before)
        bases = {pull.base_branch for number, pull in before.items() if number not in now}
        for looked in self.looked.values():
            pull = looked.listed
            if pull is not None and pull.mergeable is None and pull.base_branch in bases:
                looked.settled, looked.tries = False, 0  # one was merged into its base branch, perhaps

    def place_of(self, session: Session) -> Repository:
        """The repository whose list has the session's pull request."""
        tied = self._tied(session)
        if tied is not None:
            return tied[:3]
        ref = parse_ref(session.key)
        return ref.host, ref.owner, ref.repo

    def _tied(self, session: Session) -> tuple[str, str, str, int] | None:
        """Where the session's known pull request is; None for none, or if that is not on a forge."""
        if session.pr is None:
            return None
        with suppress(BadInput):
            return parse_pull_url(session.pr, self.ws.config.servers())
        return None

    def find(self, session: Session) -> PullRequest | None:
        """The session's open pull request, as far as the list and the session's record tell."""
        pulls = self._pulls.get(self.place_of(session), {})
        tied = self._tied(session)
        if tied is not None:
            return pulls.get(tied[3])
        mine = [pull for pull in pulls.values() if pull.head_branch == session.branch and pull.from_itself]
        return max(mine, key=lambda pull: pull.number, default=None)

    def is_due(self, session: Session, interval: float) -> bool:
        """Whether a session's work is to be looked at closely now."""
        looked = self.looked.get(session.key)
        if looked is None or looked.kinds != self.kinds_of(session):
            return True
        if looked.listed != self.find(session) or looked.recorded != _recorded(session):
            return True
        if not looked.settled or looked.state != self._state(session):
            return True
        return looked.seldom and time.monotonic() - looked.at >= interval * SELDOM

    def note(
        self,
        session: Session,
        listed: PullRequest | None,
        pull: dict[str, Any] | None,
        *,
        waiting: bool,
        conflicts: bool,
    ) -> None:
        """Remember a close look, with the session as it is recorded now and the pull request as it was seen;
        ``waiting``: a task waits for it, which the close of its issue would end; ``conflicts`` as in `Reading`."""
        before = self.looked.get(session.key)
        is_open = pull is not None and pull["state"] == "open"
        unknown = pull is not None and is_open and pull["mergeable"] is None and not pull["draft"]
        tries = before.tries + 1 if before is not None and before.listed == listed and unknown else 1
        settled = pull is None or not is_open or (pull["checks"] in AT_REST and (not unknown or tries >= MOST_TRIES))
        settled = settled and not (is_open and listed is not None and _just_changed(listed))
        settled = settled and (pull is None or not is_open or pull["mergeable"] is not False or conflicts)
        checks = pull["checks"] if pull is not None and is_open else None
        again = before is not None and before.settled and before.late and before.listed == listed
        late = checks in ("none", "success")
        seldom = waiting or pull is None or checks == "failure" or (late and not again)
        kinds, at = self.kinds_of(session), time.monotonic()
        state, known = self._state(session), _recorded(session)
        self.looked[session.key] = Looked(
            listed, state, pull is not None, known, kinds, settled, seldom, late, at, tries
        )

    def _state(self, session: Session) -> int:
        return self._states.get(self.place_of(session), 0) if session.pr is None else 0

    def kinds_of(self, session: Session) -> tuple[str, ...]:
        """The kinds of feedback that are looked for."""
        return tuple(self.ws.config_of(session.key).text("REACTIONS").split())

    def forget(self, keep: set[str]) -> None:
        """Forget the looks at other sessions than these."""
        self.looked = {key: looked for key, looked in self.looked.items() if key in keep}


def _just_changed(pull: PullRequest) -> bool:
    return abs(clock.seconds_between(pull.updated_at, clock.now())) < JUST_CHANGED


def _recorded(session: Session) -> Any:
    """What a run or a person may have changed of the session since a look."""
    return session.pr, session.branch, session.head, session.pull and session.pull.get("at"), session.review
