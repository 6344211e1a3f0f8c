"""The prompt of an attempt: the standing workflow, what an earlier attempt ran into, and the message.

The message always comes whole and last; it adds to the workflow and has priority over it, and never replaces it.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.domain.state import Session, Task
    from kugetsu.runtime.workspace import Workspace


def compose(ws: Workspace, task: Task, session: Session, message: str) -> str:
    """The text that the agent reads on its standard input."""
    parts = [workflow(ws, task, session)] if task.kind == "dev" else []
    if task.used > 1 or task.parks:
        parts.append(_earlier(task, session))
    parts.append(f"Delegator's message:\n\n{message}" if parts else message)
    return "\n".join(parts)


def workflow(ws: Workspace, task: Task, session: Session) -> str:
    """The standing instructions for work on an issue: `workflow.md` in KUGETSU_DIR, else the package's."""
    own = os.path.join(ws.paths.root, "workflow.md")
    source = own if os.path.exists(own) else os.path.join(os.path.dirname(__file__), "prompts", "workflow.md")
    with open(source, encoding="utf-8") as file:
        text = file.read()
    values = {
        "issue": task.issue or "",
        "worktree": session.worktree or "",
        "repository": session.repository or "",
        "branch": session.branch or "",
        "base": f"{session.base_branch} at {(session.base_commit or '')[:12]}",
        "pr": f" ({session.pr})" if session.pr else "",
        "temp": ws.config.text("KUGETSU_TEMP_DIR"),
    }
    for name, value in values.items():
        text = text.replace("{" + name + "}", value)
    return text


def _earlier(task: Task, session: Session) -> str:
    reason = task.reason or "it ended before it was done"
    return (
        f"An earlier attempt at this did not finish: {reason}. What it left is in this folder ({session.worktree}); "
        "look at it (git status, git log) and go on from there.\n"
    )
