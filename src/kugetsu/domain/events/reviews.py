"""Events of reviews: what the forge, git and the user say of the work of a session; opened pull requests; reports."""

from __future__ import annotations

from kugetsu.domain.events.declaration import ALL, TypedDict, event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NotRequired

    from kugetsu.domain.events.declaration import Safe, Time


@event("pull.observed", irrevocable="forge_answered")
class PullObserved(TypedDict):
    """The session's pull request on the forge, recorded when it differs from what was known. ``state`` is open, closed
    or merged; ``checks`` and ``review`` are the forge's verdicts together (`forge.protocol`), None if unknown;
    ``checks`` is ``not_started`` while a commit has none that may still come, ``none`` after that;
    ``mergeable`` is None while the forge does not say."""

    number: int
    url: str
    state: str
    head: str | None
    checks: str | None
    review: str | None
    mergeable: bool | None
    draft: bool


@event("branch.merged", exempt="branch base_branch", irrevocable="observed")
class BranchMerged(TypedDict):
    """The session's branch was found in its base branch; ``commit`` is its last one."""

    branch: str
    base_branch: str
    commit: str | None


@event("review.done", exempt=ALL, undoable=True, irrevocable="review_over")
class ReviewDone(TypedDict):
    """A user has reviewed the work at ``head``. ``was`` is the review's state before."""

    was: str
    head: str | None


@event("review.reopened", exempt=ALL, undoable=True, irrevocable="review_over")
class ReviewReopened(TypedDict):
    """`review.done` was undone: the review is in the state ``to`` again, with ``head`` reviewed before."""

    to: str
    head: str | None


@event("pull.opening", exempt="head branch base fork", irrevocable="pull_published")
class PullOpening(TypedDict):
    """Intent: open a pull request for ``branch`` at the commit ``head``; ``fork`` is the owner of the fork that has the
    branch, where the repository itself does not."""

    head: str
    branch: str
    base: str
    title: str
    draft: bool
    fork: NotRequired[str]


@event("pull.opened", exempt="head", irrevocable="pull_published")
class PullOpened(TypedDict):
    """Outcome: the pull request is open; ``found``: it was there already."""

    url: str
    number: int
    head: str
    found: bool


@event("pull.failed", irrevocable="forge_answered")
class PullFailed(TypedDict):
    """Outcome: it could not be opened, for the ``tries``-th time; tried again from ``not_before``, None: never."""

    reason: str
    tries: int
    not_before: Time | None
    remedy: NotRequired[str]


@event("report.acknowledged", exempt=ALL, undoable=True)
class ReportAcknowledged(TypedDict):
    """A user has seen the report up to the event ``upto``."""

    upto: Safe


@event("report.due", exempt=ALL, irrevocable="notification_sent")
class ReportDue(TypedDict):
    """The report of a ``day`` of the machine's calendar is due, of what came after the event ``after`` or, if that is
    None, after the time ``since`` (None too: from the beginning). Notifications do not deliver it if the time was not
    ``eventful``."""

    day: str
    after: Safe | None
    since: Time | None
    eventful: bool


class Reported(TypedDict):
    """An acknowledged report: up to which event, when, and the event that says so."""

    upto: Safe
    at: Time
    seq: Safe


@event("report.unacknowledged", exempt=ALL, undoable=True)
class ReportUnacknowledged(TypedDict):
    """`report.acknowledged` was undone: the report before, of which ``was`` tells, is the latest again."""

    was: Reported | None
