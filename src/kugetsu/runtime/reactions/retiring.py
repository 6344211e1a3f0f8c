"""Retire the sessions whose work is merged, by the rules of `prune`: one that would lose something stays, and says why.

Only where the loop runs by itself: a session of which a person types every turn is theirs to end.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from kugetsu.domain.decide import reactions as decide
from kugetsu.domain.events import Event
from kugetsu.domain.state import Session, State
from kugetsu.model.errors import KugetsuError, LogDamaged, LogWriteFailed, NotFound
from kugetsu.runtime import destroy
from kugetsu.runtime.forges import one_line
from kugetsu.runtime.prune import sessions as pruning
from kugetsu.runtime.reviews import subjects
from kugetsu.runtime.workspace import Workspace

#: Seconds between two tries: a person may put away what keeps it.
TRY_AGAIN = 3600.0


@dataclass(slots=True)
class Retiring:
    """The sessions that are over, each tried once in a while."""

    ws: Workspace
    _tried: dict[str, float] = field(default_factory=dict)

    def due(self, state: State, now: str) -> list[Session]:
        """The sessions to retire now."""
        return [session for session in subjects.to_retire(self.ws, state, now) if self._left(session) <= 0]

    def wait(self, state: State, now: str) -> float:
        """Seconds until the next one is due."""
        over = subjects.to_retire(self.ws, state, now)
        return min((max(self._left(session), 0.0) for session in over), default=TRY_AGAIN)

    def _left(self, session: Session) -> float:
        tried = self._tried.get(session.key)
        return tried + TRY_AGAIN - time.monotonic() if tried is not None else 0.0

    def take(self, session: Session) -> list[Event]:
        """Retire a session, or record once what keeps it. Raises LogWriteFailed, LogDamaged."""
        key = session.key
        self._tried[key] = time.monotonic()
        try:
            known = destroy.look_up(self.ws, session)
            if known.seen is not None and known.seen.state == "unknown":
                return []  # the forge will tell
            against = pruning.why_kept(self.ws, session, known)
            if against is None:
                return [destroy.destroy(self.ws, key, force=False, reason="merged", strict=True, known=known)]
        except NotFound:
            return []  # somebody else ended it
        except (LogWriteFailed, LogDamaged):
            raise
        except (KugetsuError, OSError) as problem:
            if isinstance(problem, KugetsuError) and problem.refusal is not None:
                return []  # it has come into use since
            against = one_line(problem)
        values = {"why": against}
        try:
            return self.ws.log.transact(lambda state: decide.hold(state, key, "kept", values))
        except NotFound:
            return []
