"""Two hundred sessions with an open pull request each, forty in each of five repositories of a scripted forge."""

from __future__ import annotations

from forge.scripted import ScriptedForge
from kugetsu.domain.decide import reviews, sessions
from kugetsu.runtime.workspace import Workspace


def make(ws: Workspace, forge: ScriptedForge, kind: str) -> None:
    """Forty sessions with an open pull request in each of five repositories, whose checks have passed."""
    for repository in (f"acme/repo{number}" for number in range(5)):
        for number in range(1, 41):
            forge.pull(repository, number, branch=f"fix/issue-{1000 + number}")
            forge.check(repository, forge.head_of(repository, number), "build", "success")
            key = f"{forge.host}/{repository}#{1000 + number}"
            url = f"{forge.url}/{repository}/{'pull' if kind == 'github' else 'pulls'}/{number}"
            _session(ws, key, url, number, forge.head_of(repository, number))


def _session(ws: Workspace, key: str, url: str, number: int, head: str) -> None:
    """A session whose pull request was open at its last run."""
    branch, repository = f"fix/issue-{1000 + number}", key.partition("#")[0]
    intent = {"repository": repository, "source": "/nowhere", "branch": branch, "agent": "command"}
    made = {"agent": "command", "agent_session": "s", "worktree": "/nowhere/w", "source": "/nowhere", "branch": branch}
    made |= {"base_branch": "main", "base_commit": "b" * 40, "base_session": "b", "created": True, "fetched": "yes"}
    pull = {"number": number, "url": url, "state": "open", "head": head, "checks": "pending", "review": None}
    pull |= {"mergeable": True, "draft": False}
    transact = ws.log.transact
    transact(lambda state: sessions.request(state, key, "issue", repository))
    transact(lambda state: sessions.preparing(state, key, intent))
    transact(lambda state: sessions.prepared(state, key, made))
    transact(lambda state: sessions.set_pr(state, key, url, "branch"))
    transact(lambda state: reviews.observe(state, key, pull))
