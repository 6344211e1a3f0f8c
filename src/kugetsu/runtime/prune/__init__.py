"""`kugetsu prune`: remove what nobody needs any more; everything else stays, with the reason.

First a plan is made, for which forges are asked and worktrees examined; then each removal is decided again under the
lock, because the world may have changed. Nothing dirty, unpushed or with an open pull request goes, nothing outside of
KUGETSU_DIR, and no link is followed. A killed removal is finished by the next run.
"""

from __future__ import annotations

from kugetsu.runtime.prune.execute import Outcome, carry_out
from kugetsu.runtime.prune.model import Item, Kept, Plan
from kugetsu.runtime.prune.plan import plan

__all__ = ["Item", "Kept", "Outcome", "Plan", "carry_out", "plan"]
