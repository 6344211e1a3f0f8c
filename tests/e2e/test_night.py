"""One night, and what `kugetsu report` says in the morning: twelve tasks on three repositories. The real opencode works
on those where its own ways count, what it says, asks and fails with; a shell on those where only the work does."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.rig import git, script
from forge.scripted import ScriptedForge
from kugetsu.runtime.workspace import open_workspace

pytestmark = pytest.mark.e2e

TOKEN = "tok-77aa01be2f"
PATIENCE = 300.0
"""Seconds without any change of a task until what must happen counts as not happening."""
COMMIT = "run git add -A && git commit -qm work"
PUSH = "run git push -q -u origin HEAD"
API = (
    'run curl -sS --fail-with-body -H "Authorization: token $GITEA_TOKEN" -H "Content-Type: application/json" '
    """-d '{}' "$KUGETSU_API/{}" """
)
LIMIT = 'status 429 forever retry-after=30000 {"error":{"message":"usage limit reached","type":"rate_limit"}}'


class Branches(dict[str, str]):
    """The branches of a repository as its git side has them."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def get(self, name: str, default: Any = None) -> Any:  # type: ignore[override]
        command = ["git", "-C", str(self._folder), "rev-parse", "-q", "--verify", f"refs/heads/{name}"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or default


class Night:
    """kugetsu with a repository on a forge (`acme/web`) and two that are folders with a remote: `local/demo/todo`, and
    `local/demo/tool`, on which a shell works."""

    def __init__(self, root: Path, environment: dict[str, str], program: str, forge: ScriptedForge) -> None:
        self.root = root
        self.web, self.todo, self.tool = root / "web", root / "demo" / "todo", root / "demo" / "tool"
        self.environment = environment | {
            "KUGETSU_DIR": str(root / "kugetsu"),
            "KUGETSU_OPENCODE": program,
            "KUGETSU_TEMP_DIR": str(root / "temp"),
            "MIN_FREE_MEMORY_MB": "0",
            "MIN_FREE_DISK_MB": "0",
            "KILL_GRACE_SECONDS": "1",
            "RETRY_BACKOFF_SECONDS": "0.2",
            "MAX_ATTEMPTS": "1",
            "MAX_CONCURRENT_AGENTS": "3",
            "COLUMNS": "80",
        }
        url = f"{forge.url}/acme/web.git"
        for bare, clone, remote in (
            (root / "web.git", self.web, url),
            (root / "srv" / "demo" / "todo.git", self.todo, ""),
            (root / "srv" / "demo" / "tool.git", self.tool, ""),
        ):
            bare.mkdir(parents=True)
            git(bare, "init", "-q", "--bare", "-b", "main")
            clone.mkdir(parents=True)
            git(clone, "init", "-q", "-b", "main")
            (clone / "README.md").write_text("sample\n")
            git(clone, "add", ".")
            git(clone, "commit", "-q", "-m", "Begin")
            git(clone, "remote", "add", "origin", remote or str(bare))
            if remote:
                git(clone, "config", f"url.{bare}.insteadOf", remote)
            git(clone, "push", "-q", "origin", "main")
        forge.repository("acme/web").branches = Branches(root / "web.git")
        self.forge = forge

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """A command, to its end."""
        return subprocess.run(
            [sys.executable, "-m", "kugetsu", *arguments],
            env=self.environment | environment,
            cwd=self.root,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def ok(self, *arguments: str, **environment: str) -> str:
        """A command that must succeed; what it prints."""
        done = self.run(*arguments, **environment)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def until(self, **tasks: str) -> None:
        """Wait until each task named (`q3="error"`) is in its state."""
        before: dict[str, str] = {}
        changed = time.monotonic()
        ws = open_workspace(self.environment, "test")
        try:
            while True:
                now = {task: known.state for task, known in ws.state().tasks.items()}
                if all(now.get(task) == state for task, state in tasks.items()):
                    return
                if now != before:
                    before, changed = now, time.monotonic()
                assert time.monotonic() < changed + PATIENCE, f"wanted {tasks}, have {now}"
                time.sleep(0.2)
        finally:
            ws.close()


def web(number: int) -> str:
    """An issue of the repository on the forge."""
    return f"{{host}}/acme/web#{number}"


TODO, TOOL = "local/demo/todo#{}", "local/demo/tool#{}"

SHELL = """
case "$KUGETSU_NUMBER" in
3) echo c > c.txt; git add -A; git commit -qm work; git push -q -u origin HEAD;;
4) echo "There is nothing to do.";;
5) echo d > d.txt; echo e > e.txt;;
12) sleep 600;;
esac
"""
"""The agent of `local/demo/tool`."""

#: name → the issue, what its agent does, further options: in the order in which they are queued.
TASKS: dict[str, tuple[str, str, list[str]]] = {
    "opened by the agent": (
        web(1),
        script(
            "write a.txt",
            "| a",
            COMMIT,
            PUSH,
            API.format('{"title": "Parse empty input", "head": "fix/issue-1", "base": "main"}', "pulls"),
            "say I opened a pull request.",
        ),
        [],
    ),
    "opened by kugetsu": (
        web(2),
        script("write b.txt", "| b", "| bb", COMMIT, PUSH, "say Sorted by date, as asked."),
        [],
    ),
    "pushed": (TOOL.format(3), "Write and push it.", []),
    "no commit": (TOOL.format(4), "Look whether there is something to do.", []),
    "dirty": (TOOL.format(5), "Write two files.", []),
    "question": (TODO.format(6), script("run ls", "say I read it all. Shall the cache live in memory or on disk?"), []),
    "research": (
        web(7),
        script("run ls", API.format('{"body": "It is the parser."}', "issues/7/comments"), "say I wrote what I found."),
        [],
    ),
    "failing": (TODO.format(8), script("status 400 forever", "say Never."), []),
    "cancelled": (TOOL.format(12), "Take your time.", []),
    "hanging": (TODO.format(9), script("hang forever"), []),
    "depends": (TODO.format(11), script("say Later."), ["--after", "q8"]),
    "limited": (TODO.format(10), script(LIMIT), []),
}


@pytest.fixture(scope="module")
def forge() -> Iterator[ScriptedForge]:
    """The forge with its three issues."""
    with ScriptedForge(token=TOKEN) as server:
        server.issue("acme/web", 1, title="Parse empty input", body="It fails.")
        server.issue("acme/web", 2, title="Sort by date", body="Newest first.")
        server.issue("acme/web", 7, title="Why is it slow?", body="Find out.")
        yield server


@pytest.fixture(scope="module")
def night(
    tmp_path_factory: pytest.TempPathFactory,
    opencode_home: dict[str, str],
    opencode_program_path: str,
    forge: ScriptedForge,
) -> Iterator[Night]:
    """The morning: every task has ended but those that hang or wait."""
    made = Night(tmp_path_factory.mktemp("night"), opencode_home, opencode_program_path, forge)
    made.ok("init", "--repo", str(made.web))
    made.ok("init", "--repo", str(made.todo))
    made.ok("init", "--repo", str(made.tool))
    (made.root / "shell.sh").write_text(SHELL)
    for key, value in (("KUGETSU_AGENT", "command"), ("KUGETSU_AGENT_COMMAND", f"sh -e {made.root}/shell.sh")):
        made.ok("config", "set", "--repo", "local/demo/tool", key, value)
    made.ok("server", "add", forge.host, forge.url)
    (made.root / "kugetsu" / "env" / "default.env").write_text(f"GITEA_TOKEN={TOKEN}\n")
    try:
        for name, (ref, message, options) in TASKS.items():
            if name == "limited":
                # A usage limit holds back every task of the model: it comes when the others are done.
                made.until(**dict.fromkeys(("q1", "q2", "q3", "q4", "q5", "q6", "q7"), "completed"), q8="error")
            made.ok("queue", "enqueue", *options, ref.format(host=forge.host), message)
            if name == "opened by the agent":
                made.ok("queue-daemon", "start")
        made.until(q9="notified")
        made.ok("queue", "cancel", "q9")
        made.until(q9="cancelled", q10="notified", q12="parked")
        yield made
    finally:
        made.run("queue", "clear", "--all", "--yes")
        made.run("queue", "cancel", "q10")
        made.run("queue-daemon", "stop", "--drain")
    made.ok("log", "verify")
    made.ok("replay", "--verify", "--all")


def rows(night: Night) -> dict[str, dict[str, Any]]:
    """What the report says of each task, by the name of the task."""
    report = json.loads(night.ok("report", "--json"))
    found = {row["task"]: row for row in report["items"]}
    assert sum(report["counts"].values()) == report["tasks"] == len(TASKS)
    return {name: found[f"q{number}"] for number, name in enumerate(TASKS, 1)}


def test_every_row_is_right(night: Night) -> None:
    told = {
        name: (row["group"], (row["result"] or {}).get("kind") if row["state"] == "completed" else row["state"])
        for name, row in rows(night).items()
    }
    assert told == {
        "opened by the agent": ("review", "pull_request"),
        "opened by kugetsu": ("review", "pull_request"),
        "pushed": ("review", "pushed"),
        "no commit": ("done", "nothing"),
        "dirty": ("review", "uncommitted"),
        "question": ("asks", "question"),
        "research": ("review", "answered"),
        "failing": ("failed", "error"),
        "cancelled": ("done", "cancelled"),
        "hanging": ("running", "notified"),
        "depends": ("waiting", "pending"),
        "limited": ("waiting", "parked"),
    }


def test_results_say_what_is_there(night: Night) -> None:
    found = {name: row["result"] or {} for name, row in rows(night).items()}
    assert found["dirty"]["uncommitted"] == 2
    assert found["question"]["said"] == "Shall the cache live in memory or on disk?"
    assert (found["opened by kugetsu"]["files"], found["opened by kugetsu"]["added"]) == (1, 2)


def test_the_screen_of_the_morning(night: Night) -> None:
    lines = night.ok("report").splitlines()
    assert len(lines) <= 50 and max(map(len, lines)) <= 80, "\n".join(lines)
    assert "12 tasks" in "\n".join(lines[:2])
    narrow = night.ok("report", COLUMNS="40").splitlines()
    assert max(map(len, narrow)) <= 40, "\n".join(narrow)
    for name in ("acme/web#1", "acme/web#2", "demo/tool#3", "demo/tool#5", "demo/todo#6", "demo/todo#8"):
        assert any(name in line for line in lines) and any(name in line for line in narrow), name


def test_exactly_one_pull_request_was_opened_for_each_branch(night: Night) -> None:
    pulls = night.forge.pulls("acme/web")
    assert sorted(pull.branch for pull in pulls) == ["fix/issue-1", "fix/issue-2"]
    by_kugetsu = next(pull for pull in pulls if pull.branch == "fix/issue-2")
    assert by_kugetsu.title == "Sort by date" and "Closes #2" in by_kugetsu.body
    assert "> Sorted by date, as asked." in by_kugetsu.body


def test_every_next_command_works_as_it_is_written(night: Night) -> None:
    """Last but one: some of them change things."""
    for name, row in rows(night).items():
        command = row["next"]
        if command is None:
            continue
        words = [word.replace("MESSAGE", "In memory.") for word in shlex.split(command)]
        assert words[0] == "kugetsu", command
        if words[1] == "continue":  # it would start an agent, and the model's limit is met: a look at it must do
            words[1:] = ["history", words[2]]
        if words[-1] == "-f":
            words.pop()
        done = night.run(*words[1:])
        assert done.returncode == 0, f"{name}: {command}: {done.stdout}{done.stderr}"


def test_an_acknowledged_report_is_not_told_again(night: Night) -> None:
    night.ok("report", "--ack")
    report = json.loads(night.ok("report", "--json"))
    assert {row["task"] for row in report["items"]} & {"q3", "q4"} == set()
    night.ok("undo", "@", "--yes")
    assert "12 tasks" in night.ok("report")
