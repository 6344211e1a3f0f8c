"""Events of reactions: what is new on a session's pull request, and what kept a turn from answering it."""

from __future__ import annotations

from kugetsu.domain.events.declaration import TypedDict, event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NotRequired


class Feedback(TypedDict):
    """One item of feedback. ``id`` names it for ever: a comment's or review's number, or a check with its commit and
    the signature of its error. ``kind`` is ``checks``, ``reviews``, ``comments``, ``conflicts`` or ``verification``.

    ``relation`` is the author's right in the repository (`forge.protocol.Right`), or ``listed`` (REACTION_AUTHORS).
    ``counts``: it may start a turn; else ``why_not`` is the code of the reason: ``not_run``, a check that ran no step,
    with its words. ``text`` is what was said, ``path``, ``line`` and ``hunk`` where; ``log`` the lines around the error
    of a check, None where the forge gives none. All texts are bounded (`runtime.reactions`).
    """

    id: str
    kind: str
    counts: bool
    why_not: NotRequired[str]
    author: NotRequired[str]
    relation: NotRequired[str]
    name: NotRequired[str]
    text: NotRequired[str]
    url: NotRequired[str]
    path: NotRequired[str]
    line: NotRequired[int]
    hunk: NotRequired[str]
    log: NotRequired[str | None]


@event("feedback.seen", exempt="url head gone", irrevocable="forge_answered")
class FeedbackSeen(TypedDict):
    """What is new on the pull request ``url`` (None: a verification before there is one) at the commit ``head``:
    ``items``, and the ids of those that are ``gone`` (a check that passes by now)."""

    url: str | None
    head: str | None
    items: list[Feedback]
    gone: list[str]


@event("reaction.held", exempt="code items over_at", irrevocable="brake_recorded")
class ReactionHeld(TypedDict):
    """The loop does not go on by itself; recorded once, until a person sends a message. ``code`` is a brake that keeps
    a turn from answering ``items``, ``most_reactions`` or ``no_change`` (`domain.loops`); or ``issue_closed`` or
    ``unlabelled``: the issue wants no work; or ``kept``: the work is merged, and its session could not be removed for
    the reason in ``values``. A person goes on from here. ``over_at`` is when the issue was closed, the forge's time."""

    code: str
    values: dict[str, Any]
    items: list[str]
    over_at: NotRequired[str]
