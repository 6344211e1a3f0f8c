"""Look at the work of sessions: at their pull requests on the forge, else in git whether the base branch has it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from kugetsu.domain.decide import reviews as decide
from kugetsu.domain.events import Event
from kugetsu.domain.state import Session
from kugetsu.forge.choice import parse_pull_url
from kugetsu.forge.failures import ForgeFailure
from kugetsu.forge.protocol import Check, Forge, PullRequest, Review, verdict_of
from kugetsu.model.errors import BadInput, KugetsuError, NotFound
from kugetsu.model.refs import parse_ref
from kugetsu.runtime import pull_requests
from kugetsu.runtime.base_branches import BaseBranches, Merged
from kugetsu.runtime.forges import Forges
from kugetsu.runtime.workspace import Workspace


@dataclass(slots=True)
class Sight:
    """What was seen of a session's work.

    ``pull`` is its pull request as `events.reviews.PullObserved` has it, with its ``checks`` and ``reviews``;
    ``merged`` is set if its base branch was found to have it. ``problem`` says why something could not be seen;
    ``asked`` is the host of the forge that was asked.
    """

    pull: dict[str, Any] | None = None
    checks: tuple[Check, ...] = ()
    reviews: tuple[Review, ...] = ()
    merged: Merged | None = None
    problem: KugetsuError | None = None
    asked: str | None = None


@dataclass(slots=True)
class Survey:
    """One round: each pull request is asked for once, each base branch fetched once, and a forge that does not answer
    is not asked again."""

    ws: Workspace
    forges: Forges
    _bases: BaseBranches
    _pulls: dict[str, Sight] = field(default_factory=dict)

    @classmethod
    def of(cls, ws: Workspace) -> Survey:
        """A round that begins now."""
        return cls(ws, Forges(ws), BaseBranches(ws))

    def look(self, session: Session) -> Sight:
        """What is to be seen of a session's work. Takes at most FORGE_TIMEOUT_SECONDS for each question to a forge, and
        the fetch of a base branch; never raises for what forges, remotes and repositories do."""
        sight = Sight()
        try:
            host = parse_ref(session.key).host
            if self.forges.of(host) is not None:
                sight = self._at_the_forge(session, host)
            if sight.problem is None and (sight.pull is None or sight.pull["state"] == "closed"):
                sight.merged = self._bases.merged(session)
        except (KugetsuError, OSError) as problem:
            known = isinstance(problem, KugetsuError)
            sight.problem = problem if known else KugetsuError(str(problem))  # type: ignore[assignment]
        return sight

    def _at_the_forge(self, session: Session, host: str) -> Sight:
        seen = pull_requests.inspect(self.ws, session, self.forges)
        sight = Sight(asked=host, problem=seen.problem)
        if seen.pull is None or seen.url is None:
            return sight
        if seen.url not in self._pulls:
            self._pulls[seen.url] = self._examined(seen.url, seen.pull, host)
        return replace(self._pulls[seen.url])

    def _examined(self, url: str, pull: PullRequest, host: str) -> Sight:
        """The pull request with its checks and reviews, which count while it is open."""
        sight = Sight(pull=pull_requests.as_data(url, pull), asked=host)
        if pull.state != "open" or not pull.head_sha:
            return sight
        try:
            where, owner, repo, number = parse_pull_url(url, self.ws.config.servers())

            def ask(forge: Forge) -> None:
                checks = forge.checks(owner, repo, pull.head_sha)
                reviews = forge.reviews(owner, repo, number)
                assert sight.pull is not None
                sight.pull["checks"], sight.checks = checks.state, checks.items
                sight.pull["review"], sight.reviews = verdict_of(reviews, pull.head_sha), reviews

            self.forges.ask(where, ask)
        except (ForgeFailure, BadInput) as problem:
            return Sight(asked=host, problem=problem)
        return sight


def record(ws: Workspace, session: Session, sight: Sight) -> list[Event]:
    """Append what changed; [] for nothing new, or if the session is gone by now."""
    events: list[Event] = []
    key = session.key
    try:
        if sight.pull is not None:
            pull = sight.pull
            events += ws.log.transact(lambda state: decide.observe(state, key, pull))
        if sight.merged is not None:
            found = sight.merged
            events += ws.log.transact(
                lambda state: decide.merged(state, key, found.branch, found.base_branch, found.commit)
            )
    except NotFound:
        return []
    return events
