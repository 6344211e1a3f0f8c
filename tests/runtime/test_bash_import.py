"""What becomes of each record of a bash tool's directory, and that a kill in the middle loses and doubles nothing."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import kugetsu
from kugetsu.domain.events import missing_keys
from kugetsu.domain.replay.checker import ReplayChecker
from kugetsu.model.errors import KugetsuError
from kugetsu.runtime.bash_import import execute, make_plan, observed, reading
from kugetsu.runtime.bash_import.model import Item, Plan
from kugetsu.runtime.workspace import Workspace, open_workspace
from runtime.old_directory import HOST, REPOSITORY, OldDirectory, file_name, realistic
from runtime.repos import commit, run

REF = f"{REPOSITORY}#14"
OTHER = f"{REPOSITORY}#15"


class Importer:
    """A bash tool's directory, a KUGETSU_DIR, and imports of the one into the other."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.old = OldDirectory(root / "old")
        self.environment = {"KUGETSU_DIR": str(root / "new"), "HOME": str(root), "KUGETSU_AGENT": "command"}
        self._opened: list[Workspace] = []

    def workspace(self) -> Workspace:
        ws = open_workspace(self.environment, "kugetsu import")
        self._opened.append(ws)
        return ws

    def plan(self) -> Plan:
        return make_plan.plan(self.workspace(), str(self.old.root))

    def take(self) -> Plan:
        return execute.take_over(self.workspace(), str(self.old.root))

    def verify(self) -> None:
        """Every decision of what was imported is decided again the same."""
        if not (self.root / "new" / "log").is_dir():
            return
        log = self.workspace().log
        verifier = ReplayChecker(lambda seq: log.state_at(seq=seq), kugetsu.__version__)
        for event in log.read():
            found = verifier.add(event)
            assert found is None, (found.seq, found.found, found.refusal, found.recorded, found.decided)
        assert not verifier.folded

    def close(self) -> None:
        for ws in self._opened:
            ws.close()


@pytest.fixture
def importer(tmp_path: Path) -> Any:
    made = Importer(tmp_path)
    yield made
    made.verify()
    made.close()


def of(plan: Plan, source: str) -> Item:
    found = [item for item in plan.items if item.source == source]
    assert len(found) == 1, [item.source for item in plan.items]
    return found[0]


def session(plan: Plan, ref: str) -> Item:
    return of(plan, f"sessions/{file_name(ref)}.json")


# --- sessions ---------------------------------------------------------------------------------------------------


def test_a_session_is_what_git_says(importer: Importer) -> None:
    importer.old.session(REF, branch_name="fix/another")
    run(importer.old.root / "worktrees" / file_name(REF), "switch", "-q", "-c", "by-hand")
    importer.old.session(OTHER, branch_name=None)
    item = session(importer.plan(), REF)
    assert "by-hand by git, fix/another by the file" in item.notes[0]
    done = importer.workspace()
    assert importer.take().complete
    taken = done.state().sessions
    assert taken[REF].branch == "by-hand" and taken[OTHER].branch == "fix/issue-15"
    first = run(importer.old.clone(), "rev-parse", "main")
    assert taken[REF].source == str(importer.old.clone())
    assert (taken[REF].base_branch, taken[REF].base_commit) == ("main", first)
    assert taken[REF].agent == "opencode" and not session(importer.take(), OTHER).notes


def test_work_is_counted_from_now_where_no_base_is_known(importer: Importer) -> None:
    importer.old.session(REF)
    run(importer.old.clone(), "remote", "set-head", "origin", "--delete")
    head = commit(importer.old.root / "worktrees" / file_name(REF))
    importer.take()
    taken = importer.workspace().state().sessions[REF]
    assert (taken.base_branch, taken.base_commit) == (None, head)


def test_a_detached_head_is_told(importer: Importer) -> None:
    importer.old.session(REF)
    run(importer.old.root / "worktrees" / file_name(REF), "switch", "-q", "--detach")
    item = session(importer.take(), REF)
    assert item.outcome == "taken" and "detached" in item.notes[0]
    assert importer.workspace().state().sessions[REF].branch is None


def test_a_worktree_that_is_gone_is_told_and_taken_when_it_is_back(importer: Importer) -> None:
    importer.old.session(REF)
    path = importer.old.root / "worktrees" / file_name(REF)
    path.rename(importer.root / "elsewhere")
    item = session(importer.take(), REF)
    assert item.outcome == "kept" and f"{path} is missing" in (item.reason or "")
    assert session(importer.take(), REF).outcome == "known"
    (importer.root / "elsewhere").rename(path)
    assert session(importer.take(), REF).outcome == "taken"
    assert session(importer.take(), REF).outcome == "known"


def unfinished_worktree(importer: Importer) -> None:
    importer.old.session(REF)
    (importer.old.clone() / ".git" / "worktrees" / file_name(REF) / "index").unlink()


def no_worktree(importer: Importer) -> None:
    (importer.old.root / "plain").mkdir()
    importer.old.session(REF, worktree=importer.old.root / "plain")


def unknown_worktree(importer: Importer) -> None:
    importer.old.session(REF)
    shutil.rmtree(importer.old.clone() / ".git" / "worktrees" / file_name(REF))


def inside_of_a_worktree(importer: Importer) -> None:
    path = importer.old.worktree(REF) / "sub"
    path.mkdir()
    importer.old.session(REF, worktree=path)


def another_projects_worktree(importer: Importer) -> None:
    clone = importer.old.clone(f"{HOST}/shoko/jigaido")
    importer.old.session(REF, worktree=importer.old.worktree(REF, clone=clone))


def same_agent_session(importer: Importer) -> None:
    importer.old.session(REF, opencode_session_id="ses_same")
    importer.old.session(OTHER, opencode_session_id="ses_same")


def two_files(importer: Importer) -> None:
    importer.old.session(REF)
    importer.old.session("HTTPS://Git.Example.com/Shoko/Kugetsu/issues/14", worktree=importer.old.worktree("x/y#9"))


def two_issues(importer: Importer) -> None:
    importer.old.session(REF)
    importer.old.index["issues"][OTHER] = f"{file_name(REF)}.json"
    importer.old.write("index.json", importer.old.index)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (unfinished_worktree, "was never completed"),
        (no_worktree, "is not a git worktree"),
        (unknown_worktree, "is not a git worktree"),
        (inside_of_a_worktree, "is not a git worktree"),
        (another_projects_worktree, f"is one of {HOST}/shoko/jigaido, not of {REPOSITORY}"),
        (same_agent_session, "is also that of sessions/git.example.com-shoko-kugetsu-15.json"),
        (two_files, "has another file too"),
        (two_issues, f"index.json names it for {REF} and {OTHER}"),
        (lambda i: i.old.session(REF, opencode_session_id="ses_pm000000"), "is also that of the pm session"),
        (lambda i: i.old.session(REF, opencode_session_id="ses_base0000"), "is also that of the base session"),
        (lambda i: i.old.session(REF, opencode_session_id="ses_a/../b"), "is not the id of an opencode session"),
        (lambda i: i.old.session(REF, opencode_session_id=None), "is not the id of an opencode session"),
        (lambda i: i.old.session(REF, worktree=i.old.clone()), "is a clone itself"),
        (lambda i: i.old.session(REF, worktree="relative/path"), "is not an absolute path"),
        (lambda i: i.old.session(REF, worktree_path=None), "it does not name a worktree"),
        (lambda i: i.old.session(REF, index=False), "index.json does not name it"),
        (lambda i: i.old.session(REF, type="strange"), "its type 'strange' is not known"),
        (lambda i: i.old.session(REF, issue_ref=OTHER), "the file itself for"),
        (lambda i: i.old.session(REF, issue_ref="rubbish"), "not an issue reference"),
        (lambda i: i.old.session(REF, issue_ref=7), "its issue is not text"),
    ],
)
def test_a_session_that_is_in_doubt_is_kept_as_a_record(importer: Importer, make: Any, said: str) -> None:
    make(importer)
    for plan in (importer.plan(), importer.take()):
        item = session(plan, REF)
        assert item.outcome == "unclear" and said in (item.reason or ""), item
        assert not plan.complete
    ws = importer.workspace()
    assert REF not in ws.state().sessions
    kept = [event for event in ws.log.read() if event["data"].get("source") == f"sessions/{file_name(REF)}.json"]
    assert kept[0]["data"]["record"]["type"] and kept[0]["data"]["became"] is None


def test_what_the_index_names_and_is_not_there_is_told(importer: Importer) -> None:
    importer.old.index["issues"] |= {REF: "gone.json", OTHER: "../../etc/passwd", "x": None}
    importer.old.write("index.json", importer.old.index)
    plan = importer.take()
    said = [item.reason for item in plan.of("unclear")]
    assert len(said) == 3 and all("which is not in sessions/" in (reason or "") for reason in said)


def test_no_reference_comes_from_a_name(importer: Importer) -> None:
    """`a-b/c#1` and `a/b-c#1` had one folder name: only what the index and the files say counts."""
    for ref in (f"{HOST}/a-b/c#1", f"{HOST}/a/b-c#1"):
        assert file_name(ref) == "git.example.com-a-b-c-1"
    importer.old.worktree(f"{HOST}/a-b/c#1")
    plan = importer.take()
    assert plan.untouched[-1] == ("repositories", plan.untouched[-1][1])
    assert ("worktrees/git.example.com-a-b-c-1", "a worktree without a session") in plan.untouched
    assert not importer.workspace().state().sessions


@pytest.mark.parametrize("remote", ["/srv/git/kugetsu.git", f"https://{HOST}/fork/kugetsu.git"])
def test_a_mirror_or_fork_is_taken_and_told(importer: Importer, remote: str) -> None:
    importer.old.clone(remote=remote)
    importer.old.session(REF)
    item = session(importer.plan(), REF)
    assert item.outcome == "taken" and "mirror or a fork" in item.notes[0]


def test_an_issue_that_has_a_session_here_keeps_it(importer: Importer) -> None:
    importer.old.session(REF)
    importer.take()
    importer.old.session(REF, worktree=importer.old.root / "worktrees" / file_name(REF), state="changed")
    item = session(importer.take(), REF)
    assert item.outcome == "kept" and "already has a session here" in (item.reason or "")


# --- tasks, repositories, settings ------------------------------------------------------------------------------


def test_a_task_that_changed_after_its_import_is_not_queued_twice(importer: Importer) -> None:
    importer.old.item("q_01", REF, "do it")
    importer.take()
    importer.old.item("q_01", REF, "do it", retries=1)
    item = of(importer.take(), "queue/items/q_01.json")
    assert item.outcome == "kept" and f"made q1 for {REF} of it" in (item.reason or "")
    assert len(importer.workspace().state().tasks) == 1


def test_two_tasks_with_one_id_become_one(importer: Importer) -> None:
    importer.old.item("q_01", REF, "do it")
    value = json.loads((importer.old.root / "queue/items/q_01.json").read_text())
    importer.old.write("queue/items/q_01 (copy).json", value)
    assert Counter(item.outcome for item in importer.take().items if item.kind == "task") == {"taken": 1, "unclear": 1}


def test_the_lists_of_the_older_queue_keep_their_priorities(importer: Importer) -> None:
    entry = {"issue_ref": REF, "message": "do it"}
    lists: dict[str, Any] = {"background": [entry, entry], "user_interrupts": [entry], "dev_followups": [entry, "?"]}
    importer.old.write("queue.json", {**lists, "since": 5})
    plan = importer.take()
    tasks = importer.workspace().state().tasks.values()
    assert [(task.id, task.priority) for task in tasks] == [("q1", 20), ("q2", 10), ("q3", 0), ("q4", 0)]
    assert [item.reason for item in plan.of("unclear")] == ["it has no issue_ref and message"]
    assert len(importer.take().of("known")) == len(plan.items)


def test_the_first_registration_of_a_repository_stays(importer: Importer) -> None:
    importer.old.write("repos.json", {REF: f"https://{REPOSITORY}.git", OTHER: f"https://{REPOSITORY}.git"})
    importer.take()
    ws = importer.workspace()
    assert ws.state().repositories == {REPOSITORY: {"url": f"https://{REPOSITORY}.git"}}
    importer.old.write("repos.json", {REF: "git@elsewhere.example:x/y.git"})
    assert "which stays" in (of(importer.take(), "repos.json").reason or "")
    importer.old.write("repos.json", {REF: "https://a.example/x/y", OTHER: "https://b.example/x/y"})
    assert len([item for item in importer.take().of("unclear") if "2 different URLs" in (item.reason or "")]) == 2


@pytest.mark.parametrize(
    ("line", "outcome", "said"),
    [
        ("MAX_ATTEMPTS=0", "unclear", "at least 1"),
        ("MAX_ATTEMPTS=$(nproc)", "unclear", "shell code"),
        ('KUGETSU_TEMP_DIR="$HOME/tmp"', "taken", ""),
        ('KUGETSU_TEMP_DIR="$XDG_RUNTIME_DIR/tmp"', "unclear", "shell code"),
        ("MAX_ATTEMPTS=3", "kept", "default"),
        ("KUGETSU_DIR=/x", "kept", "set it in the environment"),
        ("NO_SETTING=1", "kept", "not a setting"),
        ("GITEA_TOKEN=abcdefgh", "unclear", "env/default.env"),
        ("source ~/.secrets", "unclear", "line 1 is not KEY=VALUE"),
    ],
)
def test_a_line_of_the_config(importer: Importer, line: str, outcome: str, said: str) -> None:
    importer.old.write("config", line + "\n")
    item = of(importer.take(), "config")
    assert item.outcome == outcome and said in (item.reason or ""), item
    assert "abcdefgh" not in Path(importer.environment["KUGETSU_DIR"], "config").read_text()


def test_what_is_set_here_already_stays(importer: Importer) -> None:
    new = Path(importer.environment["KUGETSU_DIR"])
    (new / "env").mkdir(parents=True)
    (new / "config").write_text("MAX_ATTEMPTS=7\n")
    (new / "env" / "dev.env").write_text("A=mine\n")
    importer.old.write("config", "MAX_ATTEMPTS=9\n")
    importer.old.write("env/dev.env", "A=theirs\n")
    importer.old.write("env/pm-agent.env", "oops a broken line\n")
    plan = importer.take()
    assert "has 7, which stays" in (of(plan, "config").reason or "")
    assert "yours stays" in (of(plan, "env/dev.env").reason or "")
    assert of(plan, "env/pm-agent.env").notes == ["env/pm-agent.env:1 is not KEY=VALUE: fix it before an agent starts"]
    assert (new / "config").read_text() == "MAX_ATTEMPTS=7\n" and (new / "env" / "dev.env").read_text() == "A=mine\n"


def test_what_an_import_had_done_before_it_could_record_it_counts_as_taken(importer: Importer) -> None:
    new = Path(importer.environment["KUGETSU_DIR"])
    (new / "env").mkdir(parents=True)
    (new / "config").write_text("MAX_ATTEMPTS=9\n")
    (new / "env" / "dev.env").write_text("A=theirs\n")
    importer.old.write("config", "MAX_ATTEMPTS=9\n")
    importer.old.write("env/dev.env", "A=theirs\n")
    plan = importer.take()
    assert of(plan, "config").becomes == "MAX_ATTEMPTS=9" and of(plan, "env/dev.env").outcome == "taken"
    assert {item.outcome for item in importer.take().items} == {"known"}


# --- records ----------------------------------------------------------------------------------------------------


def test_unknown_fields_are_kept(importer: Importer) -> None:
    importer.old.session(REF, surprise={"deep": [1, 2.5, None, "ü"]}, huge=10**30)
    importer.old.item("q_01", REF, "do it", retry_count=2)
    importer.take()
    records = [event["data"] for event in importer.workspace().log.read() if event["type"] == "record.imported"]
    taken = {data["source"]: data for data in records if data["became"]}
    kept = taken[f"sessions/{file_name(REF)}.json"]
    assert kept["record"]["surprise"] == {"deep": [1, 2.5, None, "ü"]} and kept["record"]["huge"] == str(10**30)
    assert kept["became"] == f"session {REF}"
    assert taken["queue/items/q_01.json"]["record"]["retry_count"] == 2
    assert taken["queue/items/q_01.json"]["became"] == f"q1 for {REF}"


def test_a_large_record_lies_beside_the_log(importer: Importer) -> None:
    value = {"issue_ref": REF, "conversation_history": ["word " * 10_000]}
    importer.old.write("context/x.json", value)
    importer.take()
    data = next(e["data"] for e in importer.workspace().log.read() if e["data"].get("source") == "context/x.json")
    file = Path(importer.environment["KUGETSU_DIR"], data["record"]["path"])
    assert json.loads(file.read_text()) == value and file.stat().st_mode & 0o777 == 0o600
    assert data["record"] == {"path": f"imported/{data['digest']}.json", "size": file.stat().st_size}


def test_every_event_has_what_its_kind_needs(importer: Importer) -> None:
    importer.old.session(REF, pr_url="https://x.example/a/b/pulls/1")
    importer.old.item("q_01", REF, "do it")
    importer.old.write("repos.json", {REF: f"https://{REPOSITORY}.git"})
    importer.old.write("config", "MAX_ATTEMPTS=9\n")
    importer.take()
    ws = importer.workspace()
    for event in ws.log.read():
        assert missing_keys(event["type"], event["data"]) == [], event
    assert not ws.state().violations_seen


def test_two_equal_notifications_are_two(importer: Importer) -> None:
    importer.old.write("notifications.json", [{"type": "task_error", "read": True}] * 2)
    assert [item.outcome for item in importer.take().items if item.kind == "notification"] == ["kept", "kept"]
    importer.old.write("notifications.json", [{"type": "task_error", "read": True}] * 3)
    outcomes = [item.outcome for item in importer.take().items if item.kind == "notification"]
    assert outcomes == ["known", "known", "kept"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1, "a": 2}', "has the key 'a' twice"),
        ('{"a": NaN}', "NaN is not a number"),
        ("[" * 100_000, "nested too deep"),
        ("[" * 100 + "]" * 100, "nested too deep"),
        ("", "is empty"),
        ("{'a': 1}", "is not JSON"),
    ],
)
def test_json_of_which_something_would_be_lost_is_refused(text: str, said: str) -> None:
    with pytest.raises(reading.UnreadableError, match=said):
        reading.parsed(text)


@pytest.mark.parametrize("pid", [None, True, 0, 1, -5, "7", 1 << 40, 2.5])
def test_what_is_no_pid_is_nobody(pid: object) -> None:
    assert not observed.OldAgents().works(pid)


# --- kills ------------------------------------------------------------------------------------------------------


def outcome(root: Path) -> dict[str, Any]:
    """What an import came to, without times, seqs and random ids."""
    ws = open_workspace({"KUGETSU_DIR": str(root), "HOME": str(root)}, "test")
    events = [
        [event["type"], event.get("issue"), event.get("task"), event.get("session"), event["data"]]
        for event in ws.log.read()
        if event["type"] not in ("log.created", "log.repaired", "setting.changed")
    ]
    assert ws.log.verify().ok and not ws.state().violations_seen
    ws.close()
    files = {
        str(path.relative_to(root)): path.read_bytes()
        for folder in ("env", "imported", "config", "pm-agent.md")
        for path in ([root / folder] if (root / folder).is_file() else (root / folder).iterdir())
    }
    return {"events": events, "files": files}


#: The command; a thread of it kills it once its log has grown beyond so many bytes: whoever watched from outside would
#: often come too late on a busy machine.
KILLED = """
import os, signal, sys, threading, time
from pathlib import Path
until = int(sys.argv.pop(1))
def kill():
    log = Path(os.environ["KUGETSU_DIR"], "log")
    while sum(path.stat().st_size for path in log.glob("*.jsonl")) <= until:
        time.sleep(0.0005)
    os.kill(os.getpid(), signal.SIGKILL)
threading.Thread(target=kill, daemon=True).start()
sys.argv[0] = "kugetsu"
from kugetsu.cli.main import main
sys.exit(main())
"""


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.thorough)])
def test_an_import_that_is_killed_again_and_again_comes_to_the_same(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    old = realistic(tmp_path / "old")
    for number in range(20, 60):
        old.item(f"q_17000000{number}", f"{REPOSITORY}#{number}", f"task {number}")
    source = str(Path(kugetsu.__file__).parent.parent)

    def start(name: str, *program: str) -> subprocess.Popen[bytes]:
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": source}
        environment["KUGETSU_DIR"] = str(tmp_path / name)
        command = [sys.executable, *(program or ("-m", "kugetsu")), "import", str(old.root), "--yes"]
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    assert start("whole").wait(60) == 0
    kills = 0
    for _ in range(12):
        until = size(tmp_path / "killed") + chance.randrange(0, 8000)
        kills += start("killed", "-c", KILLED, str(until)).wait(60) == -signal.SIGKILL
    assert start("killed").wait(60) == 0
    assert kills >= 3
    assert outcome(tmp_path / "killed") == outcome(tmp_path / "whole")


def test_two_imports_at_once_take_everything_once(tmp_path: Path) -> None:
    old = realistic(tmp_path / "old")
    command = [sys.executable, "-m", "kugetsu", "import", str(old.root), "--yes"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KUGETSU_DIR": str(tmp_path / "new")}
    environment["PYTHONPATH"] = str(Path(kugetsu.__file__).parent.parent)
    racing = [subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) for _ in range(4)]
    assert [process.wait(60) for process in racing] == [0] * 4
    kinds = Counter(event[0] for event in outcome(tmp_path / "new")["events"])
    assert kinds["task.queued"] == 4 and kinds["session.prepared"] == 2 and kinds["record.imported"] == 23


def size(root: Path) -> int:
    """Bytes of the log's segments."""
    try:
        return sum(path.stat().st_size for path in (root / "log").glob("*.jsonl"))
    except FileNotFoundError:
        return 0


def test_an_import_that_cannot_write_says_so_and_can_be_repeated(importer: Importer) -> None:
    importer.old.write("context/x.json", {"issue_ref": REF, "conversation_history": ["word " * 10_000]})
    importer.old.item("q_01", REF, "do it")
    new = Path(importer.environment["KUGETSU_DIR"])
    new.mkdir()
    (new / "imported").write_text("in the way")
    with pytest.raises(KugetsuError, match="imported"):
        importer.take()
    (new / "imported").unlink()
    assert importer.take().complete and len(importer.workspace().state().tasks) == 1
