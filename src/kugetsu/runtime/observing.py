"""The seam for a server that a forge tells of something: look at once, as the observer does in its time.

Nothing of what was told is believed: the forge is asked.
"""

from __future__ import annotations

from kugetsu.domain.events import Event
from kugetsu.model import clock
from kugetsu.model.errors import BadInput
from kugetsu.runtime.forges import Forges
from kugetsu.runtime.intake import looking, places
from kugetsu.runtime.intake.reading import Place
from kugetsu.runtime.reviews import subjects
from kugetsu.runtime.reviews.survey import Reader, Survey, record
from kugetsu.runtime.workspace import Workspace

#: What can be looked at: the labelled issues of a repository; the pull requests of its sessions, with their feedback,
#: which the observer answers with a turn.
WHAT = ("issues", "pulls")


def observe(ws: Workspace, repository: str, what: str) -> list[Event]:
    """Look at a repository (`host/owner/repo`) now; the events that were appended. A repository or a kind of thing that
    kugetsu does not watch changes nothing; neither does a forge that cannot be asked. Raises BadInput for a ``what``
    that is none of `WHAT`."""
    if what == "issues":
        return _issues(ws, repository)
    if what == "pulls":
        return _pulls(ws, repository)
    raise BadInput(f"{what[:40]!r} cannot be looked at", f"one of: {', '.join(WHAT)}")


def _issues(ws: Workspace, repository: str) -> list[Event]:
    label = places.labels(ws, ws.state()).get(repository)
    if label is None or places.why_not(ws, repository.partition("/")[0]) is not None:
        return []
    found = looking.look(ws, Place(repository, label), Forges(ws))
    return [event for outcome in found for event in outcome.events]


def _pulls(ws: Workspace, repository: str) -> list[Event]:
    survey, events = Survey.of(ws, Reader()), []
    for session in subjects.to_observe(ws.state(), clock.now()):
        if session.key.rpartition("#")[0] == repository:
            events += record(ws, session, survey.look(session))
    return events
