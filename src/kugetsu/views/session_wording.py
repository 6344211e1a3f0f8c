"""The words of the events of sessions: their worktrees and branches, and their pull requests."""

from __future__ import annotations

from kugetsu.model.plural import counted
from kugetsu.views import times

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kugetsu.domain.events.reviews import PullFailed, PullObserved, PullOpened, PullOpening
    from kugetsu.domain.events.sessions import (
        SessionDestroyed,
        SessionDestroying,
        SessionPr,
        SessionPrepared,
        SessionPreparing,
        SessionRescued,
    )


def short(session: str | None) -> str:
    """An agent's session id, cut to fit a row."""
    if not session:
        return ""
    return session if len(session) <= 14 else session[:12] + "…"


def preparing(data: SessionPreparing) -> str:
    """What is to be made."""
    branch = f", branch {data['branch']}" if data["branch"] else ""
    return f"worktree and {data['agent']} session{branch}"


def prepared(data: SessionPrepared) -> str:
    """What was made or found, and where its branch comes from."""
    made = "made" if data["created"] else "found"
    branch = f", branch {data['branch']}" if data["branch"] else ""
    base = f" from {data['base_branch']}" if data["base_branch"] else ""
    notes = "".join(f"; {note}" for note in data.get("notes") or [])
    follows = data.get("follows")
    if follows:
        notes += f"; a fresh branch, because {follows['branch']} is merged"
    return f"{made} {short(data['agent_session'])}{branch}{base}{notes}"


def rescued(data: SessionRescued) -> str:
    """Where the work of a failed attempt is."""
    return f"work of {data['of']} {'kept on ' + data['branch'] if data['branch'] else 'no longer exists'}"


def destroying(data: SessionDestroying) -> str:
    """Why it is removed."""
    return f"{data['reason']}{', forced' if data['force'] else ''}"


def destroyed(data: SessionDestroyed) -> str:
    """What was removed, and what was kept."""
    parts = ["removed worktree" if data["worktree"] else "no worktree to remove"]
    if data["rescue"]:
        parts.append(f"work kept on {data['rescue']}")
    parts += [f"kept {what}" for what in data["kept"]]
    if ignored := data.get("ignored"):
        parts.append(f"deleted ignored files: {', '.join(ignored)}")
    return ", ".join(parts)


def pull_request(data: SessionPr) -> str:
    """Which pull request is its."""
    return data["url"] or "no pull request"


def observed(data: PullObserved) -> str:
    """What the forge shows of its pull request."""
    checks = (data["checks"] or "").replace("_", " ")
    parts = [
        data["state"],
        "draft" if data["draft"] else "",
        "no checks" if checks == "none" else f"checks {checks}" if checks else "",
        (data["review"] or "").replace("_", " ") + (" review" if data["review"] == "outdated" else ""),
        "conflicts" if data["mergeable"] is False else "",
    ]
    return f"#{data['number']} {', '.join(part for part in parts if part)}"


def opening(data: PullOpening) -> str:
    """What is to be opened."""
    return f"{'draft ' if data['draft'] else ''}{data['branch']} into {data['base']}: {data['title']}"


def opened(data: PullOpened) -> str:
    """What was opened, or was open."""
    return f"#{data['number']} {'was open already' if data['found'] else 'opened'}, {data['url']}"


def not_opened(data: PullFailed) -> str:
    """Why not, and whether it is tried again."""
    if data["not_before"] is None:
        over = "not tried again" if data["tries"] == 1 else f"given up after {counted(data['tries'], 'try')}"
        return "; ".join((data["reason"], over, *((data["remedy"],) if data.get("remedy") else ())))
    return f"{data['reason']}; again at {times.time_of_day(data['not_before'])}"
