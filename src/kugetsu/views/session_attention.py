"""What needs attention about sessions: their work, its verification, feedback nobody answers, and what is odd."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.domain.state import State

    #: The session, how it stands, why, and the command that helps.
    Row = tuple[str, str, str, str]


def to_do(state: State, most: int) -> list[Row]:
    """What somebody has to do something about, of each sort the latest ones, so many at most."""
    return [*_broken(state, most), *_unsaved(state, most), *_loops(state, most), *_unverified(state, most)]


def _broken(state: State, most: int) -> list[Row]:
    broken = [session for session in state.sessions.values() if session.state == "broken"]
    return [
        (session.key, "broken", session.reason or "", f"kugetsu history {session.key}") for session in broken[-most:]
    ]


def _unsaved(state: State, most: int) -> list[Row]:
    """Sessions whose latest failed attempt left work that no rescue branch has: the next attempt saves it first."""
    unsaved = [session for session in state.sessions.values() if session.unsaved]
    return [
        (
            session.key,
            "unsaved",
            f"work of {session.unsaved['attempt']} could not be saved: {session.unsaved['reason']}",
            f"git -C {session.worktree} status",
        )
        for session in unsaved[-most:]
        if session.unsaved is not None
    ]


def _loops(state: State, most: int) -> list[Row]:
    """Pull requests whose feedback no turn answers any more."""
    if not any(loop["held"] is not None for loop in state.loops.values()):
        return []
    from kugetsu.domain import loops
    from kugetsu.model import result_words

    held = [(key, brake) for key in state.loops if (brake := loops.held(state, key)) is not None]
    return [
        (key, "needs you", result_words.held(brake["code"], brake["values"]), f"kugetsu why {key}")
        for key, brake in held[-most:]
    ]


def _unverified(state: State, most: int) -> list[Row]:
    """Work of which nobody knows what it is worth before a person acts: its verification is not tried again."""
    if not any(session.verified is not None for session in state.sessions.values()):
        return []
    from kugetsu.domain import verification
    from kugetsu.model import result_words

    left = [session for session in state.sessions.values() if verification.is_for_a_person(session)]
    return [
        (
            session.key,
            "needs you",
            result_words.unverified(known, known["tries"]),
            result_words.next_verification(known["code"], session.key),
        )
        for session in left[-most:]
        if (known := session.verified) is not None
    ]


def noted(state: State, most: int) -> list[Row]:
    """What is odd about a session's latest attempt: a hook that failed, a server not reached, tool calls refused."""
    odd = [session for session in state.sessions.values() if session.notes]
    return [
        (session.key, "noted", "; ".join(session.notes), f"kugetsu history {session.key}") for session in odd[-most:]
    ]
