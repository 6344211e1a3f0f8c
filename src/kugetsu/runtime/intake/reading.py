"""What a forge shows of the labelled issues of one repository: asked for conditionally, and in detail for those that
are new or changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, cast

from kugetsu.domain import intake
from kugetsu.domain.facts import Blocking, IntakeFacts
from kugetsu.forge.failures import ForgeFailure, ForgeForbidden
from kugetsu.forge.protocol import Blocker, Forge, Issue, Labelled, Right
from kugetsu.model.errors import BadInput
from kugetsu.model.plural import counted
from kugetsu.model.refs import IssueRef
from kugetsu.redaction.funnel import redact
from kugetsu.runtime.forges import Forges, one_line

T = TypeVar("T")

#: Bytes of an issue's text that its task's message keeps: the prompt quotes the issue beside it.
MESSAGE_MOST = 16_000


@dataclass(frozen=True, slots=True)
class Details:
    """What was asked about an issue as the list shows it."""

    issue: Labelled
    facts: IntakeFacts
    relation: str

    @property
    def is_known(self) -> bool:
        """Whether the forge told who set the label: it may tell later than it lists the issue."""
        return self.facts["labelled_at"] is not None

    @property
    def is_blocked(self) -> bool:
        """Whether it waits for other issues, which may be closed without a change of this one."""
        return any(one["open"] is not False for one in self.facts["blockers"])


@dataclass(slots=True)
class Place:
    """The labelled issues of a repository, as the forge showed them last.

    ``rights`` are what accounts may do, as far as they were asked for in this look.
    """

    repository: str
    label: str
    issues: dict[int, Labelled] = field(default_factory=dict)
    details: dict[int, Details] = field(default_factory=dict)
    rights: dict[str, Right | None] = field(default_factory=dict)
    etag: str | None = None

    @property
    def host(self) -> str:
        """The host of its forge."""
        return self.repository.partition("/")[0]

    @property
    def owner_and_name(self) -> tuple[str, str]:
        """Its owner and its name."""
        owner, _, name = self.repository.partition("/")[2].rpartition("/")
        return owner, name

    def ref(self, number: int) -> IssueRef:
        """The reference of one of its issues."""
        return IssueRef(self.host, *self.owner_and_name, number)

    def read_list(self, forges: Forges) -> None:
        """Ask for the labelled issues: one request, which says so where nothing changed. Raises ForgeFailure,
        BadInput."""
        owner, name = self.owner_and_name
        self.rights.clear()
        found = forges.ask(self.host, lambda forge: forge.labelled(owner, name, self.label, self.etag))
        if found.items is not None:
            self.issues = {issue.number: issue for issue in found.items}
            self.details = {number: known for number, known in self.details.items() if number in self.issues}
        self.etag = found.etag

    def examine(self, forges: Forges, issue: Labelled, labellers: list[str]) -> Details:
        """What decides about an issue; asked for if it is new or changed, waits for others, or was not told in whole.
        Raises ForgeFailure, BadInput."""
        known = self.details.get(issue.number)
        if known is None or known.issue != issue or not known.is_known:
            known = forges.ask(self.host, lambda forge: self._asked(forge, issue))
        elif known.is_blocked:
            blockers = forges.ask(self.host, lambda forge: self._blockers(forge, issue))
            known = Details(issue, {**known.facts, "blockers": blockers}, known.relation)
        self.details[issue.number] = known
        return Details(issue, {**known.facts, "labellers": labellers}, known.relation)

    def _asked(self, forge: Forge, issue: Labelled) -> Details:
        owner, name = self.owner_and_name
        label = _allowed(lambda: forge.label_event(owner, name, issue.number, self.label))
        edit = _allowed(lambda: forge.last_edit(owner, name, issue.number))
        if label is not None and edit is not None and edit.title_only and edit.account.lower() == label.account.lower():
            edit = None  # somebody else may have edited the body since: only its hash tells
        right = self._right(forge, label.account) if label is not None else None
        facts = {
            "label": self.label,
            "labels": list(issue.labels),
            "body": digest(issue),
            "labelled_by": label.account if label is not None else None,
            "labelled_at": label.at if label is not None else None,
            "right": right,
            "labellers": [],
            "edited_by": edit.account if edit is not None else None,
            "edited_at": edit.at if edit is not None else None,
            "blockers": self._blockers(forge, issue),
        }
        relation = issue.relation or intake.RELATIONS.get(self._right(forge, issue.author) or "", "unknown")
        return Details(issue, cast("IntakeFacts", facts), relation)

    def _right(self, forge: Forge, account: str) -> Right | None:
        if account not in self.rights:
            self.rights[account] = _allowed(lambda: forge.right(*self.owner_and_name, account))
        return self.rights[account]

    def _blockers(self, forge: Forge, issue: Labelled) -> list[Blocking]:
        """What the issue depends on: by the forge's own relation, else by its text."""
        own = _allowed(lambda: forge.blockers(*self.owner_and_name, issue.number)) or ()
        if own:
            return [self._related(one) for one in own[: intake.MOST_BLOCKERS]]
        here = "/".join(self.owner_and_name)
        named = [(place or here, number) for place, number in intake.blockers_in(issue.body)]
        return [
            self._blocker(forge, place, number) for place, number in named if (place, number) != (here, issue.number)
        ]

    def _related(self, one: Blocker) -> Blocking:
        if not one.repository or not one.number:
            return {"issue": self.host, "open": None, "problem": "the forge hides which issue that is"}
        return {"issue": f"{self.host}/{one.repository.lower()}#{one.number}", "open": one.open}

    def _blocker(self, forge: Forge, place: str, number: int) -> Blocking:
        owner, _, name = place.rpartition("/")
        text = f"{self.host}/{place}#{number}"
        if (owner, name) == self.owner_and_name and number in self.issues:
            return {"issue": text, "open": True}
        try:
            return {"issue": text, "open": forge.issue(owner, name, number).state == "open"}
        except (ForgeFailure, BadInput) as problem:
            if isinstance(problem, ForgeFailure) and problem.passing:
                raise
            return {"issue": text, "open": None, "problem": one_line(problem)}


def _allowed(question: Callable[[], T | None]) -> T | None:
    """The answer; None where the token may not ask."""
    try:
        return question()
    except ForgeForbidden:
        return None


def digest(issue: Labelled | Issue) -> str:
    """A hash of the title and the text that a label is set for."""
    return hashlib.sha256(f"{issue.title}\0{issue.body}".encode("utf-8", "replace")).hexdigest()


def message_of(issue: Labelled) -> str:
    """The issue's own text as a task's message, cut to `MESSAGE_MOST` bytes with a note.

    Nobody typed it for the agent, so it is kept as any text of a forge is: without what looks like a secret.
    """
    whole = f"{' '.join(issue.title.split())}\n\n{issue.body}".replace("\0", "").strip()
    # Twice the room: a secret that the cut would halve is found whole.
    clean = redact(whole[: 2 * MESSAGE_MOST]).encode("utf-8", "replace")
    cut = clean[:MESSAGE_MOST].decode("utf-8", "ignore")
    left = len(whole.encode("utf-8", "replace")) - MESSAGE_MOST
    return f"{cut}\n({counted(left, 'more byte')} left out here)" if left > 0 else cut
