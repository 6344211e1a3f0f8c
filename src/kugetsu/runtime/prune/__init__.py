"""`kugetsu prune`: what nobody needs any more goes, and everything else stays, with the reason.

First a plan is made, for which forges are asked and worktrees are looked at; then each removal is decided once more
under the lock that keeps others away, because the world may have moved since. Nothing dirty, unpushed or with an open
pull request ever goes, nothing outside of KUGETSU_DIR, and no link is followed. A removal that was killed is finished
by the next run.
"""

from __future__ import annotations

from kugetsu.runtime.prune.execute import Outcome, carry_out
from kugetsu.runtime.prune.model import Item, Kept, Plan
from kugetsu.runtime.prune.plan import plan

__all__ = ["Item", "Kept", "Outcome", "Plan", "carry_out", "plan"]
