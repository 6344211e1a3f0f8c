"""State directories of the bash tool to test with: its files as it wrote them, real clones and real worktrees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from runtime.repos import commit, run

HOST = "git.example.com"
REPOSITORY = f"{HOST}/shoko/kugetsu"
TOKEN = "ghp_0123456789abcdefghijklmnopqrstuvwxyz"


def file_name(ref: str) -> str:
    """The name that the bash tool gave to what belongs to an issue: `/` and `#` both became `-`."""
    return ref.replace("/", "-").replace("#", "-")


class OldDirectory:
    """One directory, filled by the test; `index` is written at each change."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True)
        self.index: dict[str, Any] = {"base": "ses_base0000", "pm_agent": "ses_pm000000", "issues": {}}
        for name, type in (("base", "base"), ("pm-agent", "pm_agent")):
            agent_session = self.index[type]
            value = {"type": type, "opencode_session_id": agent_session, "created_at": "2026-10-01T08:00:00Z"}
            self.write(f"sessions/{name}.json", value)
        self._write_index()

    def write(self, name: str, value: Any) -> Path:
        """A file of it: bytes and texts as they are, all else as JSON."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(value, bytes):
            path.write_bytes(value)
        else:
            path.write_text(value if isinstance(value, str) else json.dumps(value, indent=2) + "\n")
        return path

    def clone(self, repository: str = REPOSITORY, remote: str | None = None) -> Path:
        """A clone in repositories/, whose remote is that repository's URL."""
        folder = self.root / "repositories" / repository.split("/")[-1]
        if not folder.exists():
            folder.mkdir(parents=True)
            run(folder, "init", "-q", "-b", "main")
            run(folder, "config", "user.name", "Shoko")
            run(folder, "config", "user.email", "shoko@example.org")
            commit(folder, "README", "sample\n", "first")
            run(folder, "remote", "add", "origin", remote or f"https://{repository}.git")
            run(folder, "update-ref", "refs/remotes/origin/main", "HEAD")
            run(folder, "remote", "set-head", "origin", "main")
        return folder

    def worktree(self, ref: str, branch: str | None = None, clone: Path | None = None) -> Path:
        """A worktree as `git worktree add` made it."""
        path = self.root / "worktrees" / file_name(ref)
        path.parent.mkdir(exist_ok=True)
        source = clone or self.clone(ref.rpartition("#")[0])
        run(source, "worktree", "add", "-q", "-b", branch or f"fix/issue-{ref.rpartition('#')[2]}", str(path), "main")
        (path / ".kugetsu-msg.txt").write_text("an old message\n")
        return path

    def session(self, ref: str, *, worktree: Path | str | None = None, index: bool = True, **more: Any) -> Path:
        """An issue's session with its worktree; ``more`` overrides fields (None leaves one out)."""
        number = ref.rpartition("#")[2]
        path = worktree if worktree is not None else self.worktree(ref)
        value = {
            "type": "forked",
            "issue_ref": ref,
            "opencode_session_id": f"ses_{number}abcDEF",
            "worktree_path": str(path),
            "branch_name": f"fix/issue-{number}",
            "created_at": "2026-10-02T08:00:00Z",
            "state": "active",
            **more,
        }
        name = f"{file_name(ref)}.json"
        if index:
            self.index["issues"][ref] = name
            self._write_index()
        return self.write(f"sessions/{name}", {key: one for key, one in value.items() if one is not None})

    def item(self, id: str, ref: str, message: str, state: str = "pending", **more: Any) -> Path:
        """A task of the queue."""
        value = {
            "id": id,
            "issue_ref": ref,
            "message": message,
            "state": state,
            "pending_since": f"2026-10-03T08:00:{int(id[-2:]):02d}Z",
            **more,
        }
        return self.write(f"queue/items/{id}.json", value)

    def _write_index(self) -> None:
        self.write("index.json", self.index)


def realistic(root: Path) -> OldDirectory:
    """A directory after some weeks of use, with one of everything that is taken over without a doubt."""
    old = OldDirectory(root)
    old.write(
        "config",
        "# settings\nMAX_CONCURRENT_AGENTS=5\nexport TASK_TIMEOUT_HOURS=2\n"
        f'declare -A GIT_SERVERS\nGIT_SERVERS["{HOST}"]="https://{HOST}"\nDEFAULT_GIT_SERVER={HOST}\nMY_OWN=7\n',
    )
    old.write("env/default.env", f"GITEA_TOKEN={TOKEN}\n")
    old.write("pm-agent.md", "# My own PM\n")
    old.write("repos.json", {f"{REPOSITORY}#14": f"https://{REPOSITORY}.git"})
    old.session(f"{REPOSITORY}#14", pr_url=f"https://{REPOSITORY}/pulls/15", retries=2)
    old.session(f"{REPOSITORY}#16")
    old.item("q_1700000002", f"{REPOSITORY}#14", "answer the review")
    old.item("q_1700000001", "shoko/kugetsu#17", "implement feature X\n\nwith tests")
    old.item("q_1700000000", f"{REPOSITORY}#3", "an old one", "completed", completed_at="2026-10-02T09:00:00Z")
    old.write(
        "queue.json",
        {
            "dev_followups": [{"issue_ref": f"{REPOSITORY}#14", "message": "rebase", "note": "old"}],
            "user_interrupts": [],
            "background": [{"issue_ref": f"{REPOSITORY}#18", "message": "tidy up"}],
        },
    )
    said = {"issue_ref": f"{REPOSITORY}#14", "gitea_url": f"https://{HOST}", "time": "2026-10-03T09:00:00Z"}
    old.write(
        "notifications.json",
        [
            {"type": "task_completed", "message": "done", "read": True, **said},
            {"type": "task_blocked", "message": "needs an answer", "read": False, **said},
            {"type": "task_completed", "message": "done", "read": True, **said},
        ],
    )
    conversation = [{"role": "user", "content": "hello " * 10, "timestamp": "2026-10-03T09:00:00Z"}]
    context = {"issue_ref": f"{REPOSITORY}#14", "current_branch": "fix/issue-14", "conversation_history": conversation}
    old.write(f"context/{file_name(REPOSITORY)}-14.json", context)
    context = {"issue_ref": f"{REPOSITORY}#16", "conversation_history": conversation * 400}
    old.write(f"context/{file_name(REPOSITORY)}-16.json", context)
    old.write("logs/delegate-1700000000.log", "some text\n")
    old.write(f"locks/{file_name(REPOSITORY)}-14.lock", "999999999:ses_14abcDEF:1700000000\n")
    return old
