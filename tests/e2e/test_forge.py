"""An issue of a forge from its first run to prune, with the real opencode: read, pushed, reviewed, merged, gone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.rig import git, script
from forge.scripted import ScriptedForge
from kugetsu.log import open_log

pytestmark = pytest.mark.e2e

TOKEN = "tok-9d1c77e0ab"
PATIENCE = 300.0


class House:
    """kugetsu in a clone of the forge's `acme/web`, whose git side is a bare repository on this machine."""

    def __init__(self, root: Path, environment: dict[str, str], program: str, forge: ScriptedForge) -> None:
        self.root = root
        self.main = root / "web"
        self.environment = environment | {
            "KUGETSU_DIR": str(root / "kugetsu"),
            "KUGETSU_OPENCODE": program,
            "KUGETSU_TEMP_DIR": str(root / "temp"),
            "KILL_GRACE_SECONDS": "1",
        }
        srv, url = root / "srv.git", f"{forge.url}/acme/web.git"
        srv.mkdir()
        git(srv, "init", "-q", "--bare", "-b", "main")
        self.main.mkdir()
        git(self.main, "init", "-q", "-b", "main")
        (self.main / "README.md").write_text("sample\n")
        git(self.main, "add", ".")
        git(self.main, "commit", "-q", "-m", "Begin")
        git(self.main, "remote", "add", "origin", url)
        git(self.main, "config", f"url.{srv}.insteadOf", url)
        git(self.main, "push", "-q", "origin", "main")
        self.ref = f"{forge.host}/acme/web#14"

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command, to its end."""
        return subprocess.run(
            [sys.executable, "-m", "kugetsu", *arguments],
            env=self.environment,
            cwd=self.main,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def ok(self, *arguments: str) -> str:
        """A command that must succeed; what it prints."""
        done = self.run(*arguments)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def last(self, kind: str) -> dict[str, Any]:
        """The data of the last event of a kind."""
        log = open_log(f"{self.environment['KUGETSU_DIR']}/log", by={}, now=lambda: "")
        found = [event for event in log.read() if event["type"] == kind]
        log.close()
        data: dict[str, Any] = found[-1]["data"]
        return data

    def prompt(self, attempt: str) -> str:
        """What the agent was told."""
        return (self.root / "kugetsu" / "runs" / attempt / "prompt.md").read_text()


@pytest.fixture
def forge() -> Iterator[ScriptedForge]:
    """The forge, with one issue."""
    with ScriptedForge(token=TOKEN) as server:
        server.issue("acme/web", 14, title="Login is slow", body="It takes 9 s.", comments=["me too"])
        yield server


@pytest.fixture
def house(tmp_path: Path, forge: ScriptedForge, opencode_home: dict[str, str], opencode_program_path: str) -> House:
    """kugetsu set up, the server named, the token in its env file."""
    made = House(tmp_path, opencode_home, opencode_program_path, forge)
    made.ok("init", "--repo", str(made.main))
    made.ok("server", "add", forge.host, forge.url)
    env = tmp_path / "kugetsu" / "env" / "default.env"
    env.write_text(f"GITEA_TOKEN={TOKEN}\n")
    return made


def work(name: str, *more: str) -> str:
    """A script that writes, commits and pushes a file."""
    push = f"run git add -A && git commit -qm {name} && git push -q -u origin HEAD"
    return script(f"write {name}.txt", f"| {name}", push, *more, "say Done.")


@pytest.mark.thorough
def test_an_issue_is_read_worked_on_reviewed_merged_and_cleaned_up(house: House, forge: ScriptedForge) -> None:
    comment = (
        'run curl -sS --fail-with-body -H "Authorization: token $GITEA_TOKEN" -H "Content-Type: application/json" '
        '-d \'{"body": "opened a pull request"}\' "$KUGETSU_API/issues/$KUGETSU_NUMBER/comments"'
    )
    forge.pull("acme/web", 20, branch="fix/issue-14", mergeable=False)
    house.ok("start", house.ref, work("one", comment), "--wait")

    assert "Title: Login is slow" in house.prompt("q1.1") and "> me too" in house.prompt("q1.1")
    assert house.last("issue.read")["comments"] == 1
    assert forge.posted("acme/web", 14) == ["opened a pull request"]
    evidence = house.last("attempt.succeeded")["evidence"]
    assert evidence["pushed"] and evidence["comments"] == 2
    assert (evidence["pull"]["number"], evidence["pull"]["state"], evidence["pull"]["mergeable"]) == (20, "open", False)
    refused = house.run("destroy", "-y", house.ref)
    assert refused.returncode == 5 and "pulls/20" in refused.stderr
    assert "pull request #20 is open" in house.ok("prune", "--force")

    forge.review("acme/web", 20, "changes_requested", body="shorter names please")
    house.ok("continue", house.ref, work("two"), "--wait")
    told = house.prompt("q2.1")
    assert "> shorter names please" in told and "Mergeable: no: rebase it" in told
    context = house.ok("context", house.ref)
    assert context.count("\n  Done.\n") == 2 and TOKEN not in context and "▸ bash" in context

    worktree = Path(json.loads(house.ok("list", "--json"))["sessions"][0]["worktree"])
    head = git(worktree, "rev-parse", "HEAD")
    # Squashed, and the branch deleted: no ref of the remote reaches the commits any more.
    forge.change_pull("acme/web", 20, state="merged", sha=head, branch_deleted=True)
    git(worktree, "push", "-q", "origin", ":fix/issue-14")
    git(worktree, "fetch", "-q", "--prune", "origin")
    done = json.loads(house.ok("prune", "--force", "--json"))
    assert [one["reason"] for one in done["removed"]] == ["its pull request #20 is merged"]
    assert not worktree.exists() and git(house.main, "rev-parse", "fix/issue-14") == head
    house.ok("log", "verify")
    assert TOKEN not in "".join(path.read_text() for path in (house.root / "kugetsu" / "log").glob("*.jsonl"))
