"""The daemon's part in reviews: keep the observer alive while there is something to look at."""

from __future__ import annotations

from kugetsu.domain.state import State
from kugetsu.runtime.child_supervisor import ChildSupervisor
from kugetsu.runtime.intake import places
from kugetsu.runtime.process.named_lease import OBSERVER
from kugetsu.runtime.reviews import subjects


class ObserverSupervisor(ChildSupervisor):
    """Keeps one observer alive while a review is open, a pull request has yet to be opened, or a repository has an
    intake."""

    module = "kugetsu.runtime.reviews.observer"
    lease = OBSERVER
    name = "observer"
    purpose = "looks at pull requests and labelled issues"

    def needed(self, state: State) -> bool:
        """Whether there is something to look at or to open."""
        return subjects.any_left(self._ws, state) or places.any_left(self._ws, state)
