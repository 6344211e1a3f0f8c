"""Look at the work of sessions: at their pull requests on the forge, else in git whether the base branch has it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from kugetsu.domain.decide import reactions as decide_reactions
from kugetsu.domain.decide import reviews as decide
from kugetsu.domain.events import Event
from kugetsu.domain.machines import OPEN_REVIEW
from kugetsu.domain.state import Session
from kugetsu.forge.choice import parse_pull_url
from kugetsu.forge.failures import ForgeFailure
from kugetsu.forge.protocol import Check, Forge, PullRequest, Review, is_verdict, verdict_of
from kugetsu.model import clock
from kugetsu.model.errors import BadInput, KugetsuError, NotFound
from kugetsu.model.refs import parse_ref
from kugetsu.runtime import pull_requests
from kugetsu.runtime.base_branches import BaseBranches, Merged
from kugetsu.runtime.forges import Forges
from kugetsu.runtime.reactions.feedback import Feedback, Outputs, Reading
from kugetsu.runtime.reactions.people import People, Rights
from kugetsu.runtime.reactions.runs import Runs
from kugetsu.runtime.reviews.subjects import is_looped
from kugetsu.runtime.workspace import Workspace


@dataclass(slots=True)
class Sight:
    """What was seen of a session's work.

    ``pull`` is its pull request as `events.reviews.PullObserved` has it, with its ``checks`` and ``reviews``, and what
    is new of its ``feedback`` where that was looked for; ``over_at`` is when it ended, where that ends what waits for
    it. ``merged`` is set if its base branch was found to have it. ``problem`` says why something could not be seen;
    ``asked`` is the host of the forge that was asked.
    """

    pull: dict[str, Any] | None = None
    checks: tuple[Check, ...] = ()
    reviews: tuple[Review, ...] = ()
    feedback: Feedback | None = None
    over_at: str | None = None
    merged: Merged | None = None
    problem: KugetsuError | None = None
    asked: str | None = None


@dataclass(slots=True)
class Reader:
    """Reads feedback: what it remembers from one round to the next."""

    rights: Rights = field(default_factory=Rights)
    outputs: Outputs = field(default_factory=Outputs)


@dataclass(slots=True)
class Survey:
    """One round: each pull request is asked for once, each base branch fetched once, and a forge that does not answer
    is not asked again. Without a ``reader`` no feedback is read. ``rights`` are those that the reader remembers."""

    ws: Workspace
    forges: Forges
    reader: Reader | None
    rights: Rights
    _bases: BaseBranches
    _pulls: dict[str, tuple[Sight, PullRequest]] = field(default_factory=dict)

    @classmethod
    def of(cls, ws: Workspace, reader: Reader | None = None) -> Survey:
        """A round that begins now."""
        return cls(ws, Forges(ws), reader, reader.rights if reader is not None else Rights(), BaseBranches(ws))

    def look(self, session: Session, listed: PullRequest | None = None) -> Sight:
        """What is to be seen of a session's work; ``listed`` is its open pull request as a list has it. Takes at most
        FORGE_TIMEOUT_SECONDS for each question to a forge, and the fetch of a base branch; never raises for what
        forges, remotes and repositories do."""
        sight = Sight()
        try:
            host = parse_ref(session.key).host
            if self.forges.of(host) is not None:
                sight = self._at_the_forge(session, host, listed)
            if sight.problem is None and (sight.pull is None or sight.pull["state"] == "closed"):
                sight.merged = self._bases.merged(session)
        except (KugetsuError, OSError) as problem:
            known = isinstance(problem, KugetsuError)
            sight.problem = problem if known else KugetsuError(str(problem))  # type: ignore[assignment]
        return sight

    def in_the_base(self, session: Session) -> Sight:
        """Only whether the base branch has a session's work; never raises, as `look`."""
        try:
            return Sight(merged=self._bases.merged(session))
        except KugetsuError as problem:
            return Sight(problem=problem)
        except OSError as problem:
            return Sight(problem=KugetsuError(str(problem)))

    def _at_the_forge(self, session: Session, host: str, listed: PullRequest | None) -> Sight:
        pull, url = listed, session.pr
        if pull is None:
            seen = pull_requests.inspect(self.ws, session, self.forges)
            if seen.pull is None or seen.url is None:
                return Sight(asked=host, problem=seen.problem)
            pull, url = seen.pull, seen.url
        elif url is None:
            ref = parse_ref(session.key)
            url = pull_requests.url_of(self.ws, ref.host, (ref.owner, ref.repo), pull)
        assert url is not None
        if url not in self._pulls:
            self._pulls[url] = self._examined(session, url, pull, host)
        known, pull = self._pulls[url]
        sight = replace(known)
        if sight.problem is not None or sight.pull is None:
            return sight
        sight.pull = {**sight.pull, "checks": checks_of(self.ws, session, sight.pull)}
        if pull.state != "open" and is_looped(self.ws, session.key):
            sight.over_at = pull_requests.over_at(pull)
        elif pull.state == "open" and self.reader is not None:
            self._read(self.reader, session, url, pull, sight)
        return sight

    def _examined(self, session: Session, url: str, pull: PullRequest, host: str) -> tuple[Sight, PullRequest]:
        """The pull request with its checks and reviews, which count while it is open; of the reviews, the verdicts of
        those who may write."""
        if pull.state != "open" or not pull.head_sha:
            return Sight(pull=pull_requests.as_data(url, pull), asked=host), pull
        try:
            where, owner, repo, number = parse_pull_url(url, self.ws.config.servers())

            def ask(forge: Forge) -> tuple[Sight, PullRequest]:
                full = pull
                if pull.mergeable is None and not pull.draft:  # lists do not tell on GitHub
                    full = forge.pull(owner, repo, number)
                sight = Sight(pull=pull_requests.as_data(url, full), asked=host)
                assert sight.pull is not None
                if full.state == "open":
                    checks = forge.checks(owner, repo, full.head_sha)
                    reviews = forge.reviews(owner, repo, number)
                    people = self._people(forge, session, owner, repo)
                    counted = [review for review in reviews if not is_verdict(review) or people.judges(review)]
                    sight.pull["checks"], sight.checks = checks.state, checks.items
                    sight.pull["review"], sight.reviews = verdict_of(counted, full.head_sha), reviews
                return sight, full

            return self.forges.ask(where, ask)
        except (ForgeFailure, BadInput) as problem:
            return Sight(asked=host, problem=problem), pull

    def _read(self, reader: Reader, session: Session, url: str, pull: PullRequest, sight: Sight) -> None:
        """Read what is new of the feedback that REACTIONS names; what was seen besides stays if that fails."""
        settings = self.ws.config_of(session.key)
        kinds = settings.text("REACTIONS").split()
        if not kinds or not pull.head_sha:
            return
        where, owner, repo, _ = parse_pull_url(url, self.ws.config.servers())
        known = decide_reactions.known_items(self.ws.state(), session.key, url)
        stays = conflicts(self.ws, session, sight.pull)

        def ask(forge: Forge) -> Feedback:
            people = self._people(forge, session, owner, repo)
            return Reading(people, reader.outputs, pull, known, sight.checks, sight.reviews, stays).of(kinds)

        try:
            sight.feedback = self.forges.ask(where, ask)
        except (ForgeFailure, BadInput) as problem:
            sight.problem = problem

    def _people(self, forge: Forge, session: Session, owner: str, repo: str) -> People:
        """Whose word counts on a pull request of the session."""
        settings = self.ws.config_of(session.key)
        listed, name = tuple(settings.text("REACTION_AUTHORS").split()), settings.text("REACTION_NAME")
        return People(forge, owner, repo, self.rights, listed, name, Runs(self.ws, session.key))


def checks_of(ws: Workspace, session: Session, pull: dict[str, Any]) -> str | None:
    """What the checks of a pull request come to: a commit without any may only not have begun them, until
    CHECKS_SETTLE_MINUTES after it was seen first."""
    if pull["checks"] != "none":
        return pull["checks"]  # type: ignore[no-any-return]
    known = session.pull or {}
    if known.get("head") == pull["head"] and known.get("checks") == "none":
        return "none"
    settle = ws.config_of(session.key).number("CHECKS_SETTLE_MINUTES") * 60
    since = known.get("at") if known.get("head") == pull["head"] else None
    waited = clock.seconds_between(since, clock.now()) if since is not None else 0.0
    return "none" if waited >= settle else pull_requests.NOT_STARTED


def conflicts(ws: Workspace, session: Session, pull: dict[str, Any] | None) -> bool:
    """Whether a pull request cannot be merged, and could not at the same head REACTION_DELAY_MINUTES ago: Gitea says
    that it cannot also while it finds out, after each push to the branch or its base."""
    known = session.pull or {}
    if pull is None or pull["mergeable"] is not False or known.get("mergeable") is not False:
        return False
    if known.get("head") != pull["head"]:
        return False
    delay = ws.config_of(session.key).number("REACTION_DELAY_MINUTES") * 60
    return clock.seconds_between(known["at"], clock.now()) >= delay


def record(ws: Workspace, session: Session, sight: Sight) -> list[Event]:
    """Append what changed; [] for nothing new, or if the session is gone by now."""
    events: list[Event] = []
    key = session.key
    try:
        if sight.pull is not None:
            pull, over_at = sight.pull, sight.over_at
            events += ws.log.transact(lambda state: decide.observe(state, key, pull, over_at))
            if sight.feedback is not None:
                events += _record_feedback(ws, key, pull["url"], sight.feedback)
        if sight.merged is not None:
            found = sight.merged
            events += ws.log.transact(
                lambda state: decide.merged(state, key, found.branch, found.base_branch, found.commit)
            )
    except NotFound:
        return []
    return events


def _record_feedback(ws: Workspace, key: str, url: str, feedback: Feedback) -> list[Event]:
    state = ws.state()
    if key not in state.sessions or state.sessions[key].review not in OPEN_REVIEW:
        return []
    gone = feedback.gone(decide_reactions.known_items(state, key, url))
    if not feedback.items and not gone:
        return []
    return ws.log.transact(lambda state: decide_reactions.observe(state, key, url, feedback.head, feedback.items, gone))
