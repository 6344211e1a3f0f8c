"""Events of people who work in a session themselves (`kugetsu attach`)."""

from __future__ import annotations

from kugetsu.domain.events.declaration import ALL, Identity, TypedDict, event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.domain.events.attempts import Evidence, Result


@event("person.attached", exempt=ALL, irrevocable="person_attached")
class PersonAttached(TypedDict):
    """A person claims the session: this append is the claim, and no agent starts in it until `person.left`.

    ``lease`` is held for as long as the person works there, by the process ``holder``; ``user`` and ``host`` are names.
    """

    lease: str
    holder: Identity
    user: str
    host: str


@event("person.left", irrevocable="recorded")
class PersonLeft(TypedDict):
    """The session is given back. ``how``: ``ended`` (the program ended), ``failed`` (it could not be started, or
    failed), ``stopped`` (from outside, or its terminal was closed) or ``lost`` (its process was killed).

    ``evidence`` and ``result`` are as those of an attempt that succeeded; ``result`` is None if the work is as it
    was."""

    how: str
    reason: str
    evidence: Evidence
    result: Result | None
    exit: int | None
    signal: int | None
