"""Events of the intake: what was seen of labelled issues, and the labels that show their state on the forge."""

from __future__ import annotations

from kugetsu.domain.events.declaration import ALL, TypedDict, event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NotRequired

    from kugetsu.domain.events.declaration import Time


class Before(TypedDict):
    """What the log knows of a label event of an issue that was gone meanwhile: the hash of the text that it had when it
    was first seen, the task that the intake queued, how that ended (completed, error, cancelled)."""

    first: str
    task: str | None
    ended: str | None


@event("intake.seen", exempt="label code body author labelled_by before", irrevocable="forge_answered")
class IntakeSeen(TypedDict):
    """An open issue has the ``label`` of INTAKE_LABEL; recorded when what follows from it changes.

    ``code`` says what: ``queued`` (a task follows in this transaction), or why not (`domain.intake`), with its
    ``values``. ``body`` is a hash of the issue's title and text; ``labelled_by`` the account that set the label last,
    at ``labelled_at`` (the forge's time), None if the forge does not tell. ``relation`` is what the ``author`` of the
    issue is to the repository (owner, member, contributor, none, unknown).
    """

    label: str
    title: str
    code: str
    values: NotRequired[dict[str, Any]]
    body: str
    labelled_by: str | None
    labelled_at: str | None
    author: str
    relation: str
    before: NotRequired[Before]


@event("intake.gone", exempt=ALL, irrevocable="forge_answered")
class IntakeGone(TypedDict):
    """The issue no longer asks for work: it is ``unlabelled``, ``closed``, or its repository has no INTAKE_LABEL any
    more (``switched_off``), or the forge has it no longer (``missing``). Its waiting task that the intake queued is
    cancelled in this transaction. ``over_at`` is when it was closed, the forge's time."""

    code: str
    over_at: NotRequired[str]


@event("mark.setting", exempt=ALL, irrevocable="forge_changed")
class MarkSetting(TypedDict):
    """Intent: show the state of the issue on the forge, by adding and removing labels."""

    add: list[str]
    remove: list[str]


@event("mark.set", exempt=ALL, irrevocable="forge_changed")
class MarkSet(TypedDict):
    """Outcome: the forge shows the label (None: none of them)."""

    label: str | None


@event("mark.failed", irrevocable="forge_answered")
class MarkFailed(TypedDict):
    """Outcome: the labels could not be changed, for the ``tries``-th time; tried again from ``not_before``, None:
    never."""

    reason: str
    tries: int
    not_before: Time | None
    remedy: NotRequired[str]
