"""Look at the labelled issues of a repository, and queue what is to be queued: one step for each issue.

Whoever looks, and however many at a time: the decision under the log's lock is the arbiter, and each label event gives
one task.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from kugetsu.domain import intake
from kugetsu.domain.decide import intake as decide
from kugetsu.domain.events import Event
from kugetsu.domain.fold import usage
from kugetsu.domain.new_event import NewEvent
from kugetsu.domain.state import State
from kugetsu.forge.failures import ForgeFailure, ForgeNotFound
from kugetsu.forge.protocol import Issue, Labelled, has_label
from kugetsu.model.errors import BadInput, KugetsuError
from kugetsu.model.refs import parse_ref
from kugetsu.redaction.funnel import redact
from kugetsu.runtime import host_id
from kugetsu.runtime.forges import Forges
from kugetsu.runtime.intake import places
from kugetsu.runtime.intake.reading import Details, Place, message_of
from kugetsu.runtime.workspace import Workspace

#: Characters of an issue's title that an event keeps.
TITLE_LENGTH = 300


class _StaleError(Exception):
    """What was read of the issue's history was overtaken before the decision."""


@dataclass(slots=True)
class Outcome:
    """What came of one step of a look. ``issue`` is None where the list could not be read; ``code`` is that of
    `intake.Finding`, or of `events.intake.IntakeGone` (``gone``), None with a ``problem``. ``events`` were appended."""

    repository: str
    issue: str | None = None
    title: str = ""
    code: str | None = None
    values: dict[str, Any] = field(default_factory=dict)
    gone: bool = False
    fresh: bool = False
    problem: KugetsuError | None = None
    events: list[Event] = field(default_factory=list)


def look(ws: Workspace, place: Place, forges: Forges, *, dry: bool = False) -> Iterator[Outcome]:
    """Look once; ``dry``: append nothing. A forge that does not answer ends the look; never raises for what a forge
    does."""
    lacking = places.why_not(ws, place.host)
    if lacking is not None:
        yield Outcome(place.repository, problem=lacking)
        return
    try:
        place.read_list(forges)
    except (ForgeFailure, BadInput) as problem:
        yield Outcome(place.repository, problem=problem)
        return
    labellers = _labellers(ws, place)
    for issue in list(place.issues.values()):
        key = str(place.ref(issue.number))
        try:
            details = place.examine(forges, issue, labellers)
        except (ForgeFailure, BadInput) as problem:
            yield Outcome(place.repository, key, issue.title, problem=problem)
            if isinstance(problem, ForgeFailure) and problem.passing:
                return
            continue
        yield (_judged if dry else _recorded)(ws, key, issue, details)
    for key in absent(ws.state(), place):
        yield _absent(ws, place, forges, key, dry=dry)


def absent(state: State, place: Place) -> list[str]:
    """The issues of the repository that asked for work and are no longer in its list."""
    listed = {str(place.ref(number)) for number in place.issues}
    return [key for key in state.intake if key.rpartition("#")[0] == place.repository and key not in listed]


def switched_off(ws: Workspace, repositories: Container[str]) -> Iterator[Outcome]:
    """Record, one by one, that issues of other repositories than these, which have an INTAKE_LABEL, ask for work no
    longer."""
    for key in [key for key in ws.state().intake if key.rpartition("#")[0] not in repositories]:
        yield gone(ws, key, "switched_off")


def gone(ws: Workspace, key: str, code: str, issue: Issue | None = None) -> Outcome:
    """Record that an issue, as it was read, asks for work no longer."""
    over_at = closed_at(issue)
    events = ws.log.transact(lambda state: decide.gone(state, key, code, over_at))
    return Outcome(key.rpartition("#")[0], key, code=code, gone=True, events=events)


def _absent(ws: Workspace, place: Place, forges: Forges, key: str, *, dry: bool) -> Outcome:
    """Why an issue is no longer in the list; it may have come back since."""
    try:
        issue = read_issue(forges, key)
    except (ForgeFailure, BadInput) as problem:
        return Outcome(place.repository, key, problem=problem)
    code = why_gone_of(ws, key, issue)
    if code is None:
        return Outcome(place.repository, key)
    return Outcome(place.repository, key, code=code, gone=True) if dry else gone(ws, key, code, issue)


def why_gone(ws: Workspace, forges: Forges, key: str) -> str | None:
    """Why an issue does not ask for work just now (`events.intake.IntakeGone`); None if it does. Raises ForgeFailure,
    BadInput."""
    issue = read_issue(forges, key)
    return why_gone_of(ws, key, issue)


def read_issue(forges: Forges, key: str) -> Issue | None:
    """The issue as it is now; None if the forge has it no longer. Raises ForgeFailure, BadInput."""
    ref = parse_ref(key)
    try:
        return forges.ask(ref.host, lambda forge: forge.issue(ref.owner, ref.repo, ref.number))
    except ForgeNotFound:
        return None


def closed_at(issue: Issue | None) -> str | None:
    """When an issue was closed, as far as its forge tells; None for one that is open or gone."""
    return (issue.closed_at or None) if issue is not None else None


def why_gone_of(ws: Workspace, key: str, issue: Issue | None) -> str | None:
    """As `why_gone`, of an issue that was read."""
    if issue is None:
        return "missing"
    if issue.state == "closed":
        return "closed"
    label = ws.config_of(key).text("INTAKE_LABEL")
    if not label:
        return "switched_off"
    return None if has_label(issue.labels, label) else "unlabelled"


def look_at(ws: Workspace, forges: Forges, key: str, issue: Issue) -> Outcome | None:
    """Look at one issue that has the label, and record what follows; None where the forge does not tell who set it.
    Raises ForgeFailure, BadInput."""
    place = Place(key.rpartition("#")[0], ws.config_of(key).text("INTAKE_LABEL"))
    listed = Labelled(issue.number, issue.title, issue.body, issue.author, issue.labels, issue.url, "")
    details = place.examine(forges, listed, _labellers(ws, place))
    return _recorded(ws, key, listed, details) if details.is_known else None


def _labellers(ws: Workspace, place: Place) -> list[str]:
    return ws.config_of(place.repository).text("INTAKE_LABELLERS").split()


def _judged(ws: Workspace, key: str, issue: Labelled, details: Details) -> Outcome:
    """What would follow."""
    state = ws.state()
    history, _ = _past(ws, state, key)
    found = intake.judge(state, key, details.facts, history)
    return _outcome(key, issue, found)


def _outcome(key: str, issue: Labelled, found: intake.Finding) -> Outcome:
    return Outcome(key.rpartition("#")[0], key, issue.title, found.code, found.values, fresh=found.fresh)


def _past(ws: Workspace, state: State, key: str) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """What the log knows of the issue and the state does not: its label events and its merged pull request
    (`intake.history_of`), and the usage of its earlier sessions."""
    if not _needs_past(state, key):
        return None, None
    events = list(ws.log.read_key(key))
    return intake.history_of(events), usage.of_history(key, events) if key not in state.sessions else None


def _needs_past(state: State, key: str) -> bool:
    entry = state.intake.get(key)
    return key not in state.sessions or entry is None or entry["of"][-1] is None


def _recorded(ws: Workspace, key: str, issue: Labelled, details: Details) -> Outcome:
    """Record what follows, if that changed since it was recorded."""
    about = (redact(" ".join(issue.title.split()), limit=TITLE_LENGTH), issue.author, details.relation)
    message = message_of(issue)
    facts = details.facts
    if ws.state().hosts:
        facts = {**facts, "host": host_id.own(ws)}
    while True:
        state = ws.state()
        read_at, (history, carried) = state.seq, _past(ws, state, key)

        def decided(
            state: State,
            read_at: int = read_at,
            history: dict[str, Any] | None = history,
            carried: dict[str, Any] | None = carried,
        ) -> list[NewEvent]:
            if _needs_past(state, key) and max(state.last_destroyed, state.last_gone) > read_at:
                raise _StaleError
            fresh = intake.judge(state, key, details.facts, history).fresh
            said, had = (message, carried) if fresh else ("", None)
            return decide.look(state, key, *about, facts, message=said, history=history, carried=had)

        with suppress(_StaleError):
            found = intake.judge(state, key, details.facts, history)
            # Without the lock first: mostly nothing has changed.
            events = ws.log.transact(decided) if decided(state) else []
            outcome = _outcome(key, issue, found)
            outcome.events, outcome.fresh = events, any(event["type"] == "task.queued" for event in events)
            if events:  # under the lock it may have been another one
                outcome.code, outcome.values = events[0]["data"]["code"], events[0]["data"]["values"]
            return outcome
