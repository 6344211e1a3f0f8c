"""The daemon's part in later verifications: keep the verifier alive while one is owed."""

from __future__ import annotations

from kugetsu.domain.state import State
from kugetsu.model import clock
from kugetsu.runtime.child_supervisor import ChildSupervisor
from kugetsu.runtime.process.named_lease import VERIFIER
from kugetsu.runtime.verification import later


class VerifierSupervisor(ChildSupervisor):
    """Keeps one verifier alive while work is to be verified, or one that was killed left a verification open."""

    module = "kugetsu.runtime.verification.verifier"
    lease = VERIFIER
    name = "verifier"
    purpose = "verifies work whose run did not"

    def needed(self, state: State) -> bool:
        """Whether there is something to verify."""
        return bool(later.begun(self._ws, state)) or any(later.due(self._ws, state, clock.now()))

    def step(self, state: State) -> float | None:
        """As `ChildSupervisor.step`; a verification that waits for its time is looked at then."""
        pauses = super().step(state), later.wait(self._ws, state, clock.now())
        return min((pause for pause in pauses if pause is not None), default=None)
