"""kugetsu as its users run it, with the real opencode: the commands, the daemon, and what goes wrong at night."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.rig import git, script
from kugetsu.log import open_log
from kugetsu.runtime.process import identity, termination
from scripted_model.server import ScriptedModel

pytestmark = pytest.mark.e2e

PATIENCE = 300.0
"""Seconds until something that must happen counts as not happening."""
REPOSITORY = "local/demo/todo"


class House:
    """One kugetsu directory with a sample repository, driven by its commands."""

    def __init__(self, root: Path, environment: dict[str, str], program: str) -> None:
        self.main = root / "demo" / "todo"
        self.main.mkdir(parents=True)
        self.environment = environment | {
            "KUGETSU_DIR": str(root / "kugetsu"),
            "KUGETSU_OPENCODE": program,
            "KUGETSU_TEMP_DIR": str(root / "temp"),
            "TMPDIR": str(root / "t"),
            "MIN_FREE_MEMORY_MB": "0",
            "MIN_FREE_DISK_MB": "0",
            "KILL_GRACE_SECONDS": "1",
            "RETRY_BACKOFF_SECONDS": "0.2",
        }
        (root / "t").mkdir()
        git(self.main, "init", "-q", "-b", "main")
        (self.main / "README.md").write_text("sample\n")
        git(self.main, "add", ".")
        git(self.main, "commit", "-q", "-m", "Begin")

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """A command, to its end."""
        return subprocess.run(
            [sys.executable, "-m", "kugetsu", *arguments],
            env=self.environment | environment,
            cwd=self.main.parent,
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

    def events(self, *kinds: str, issue: int | None = None) -> list[dict[str, Any]]:
        """The log's events of these kinds (all when none is named), of an issue or of all."""
        log = open_log(f"{self.environment['KUGETSU_DIR']}/log", by={}, now=lambda: "")
        ref = f"{REPOSITORY}#{issue}"
        found = [
            event
            for event in log.read()
            if (not kinds or event["type"] in kinds) and (issue is None or event.get("issue") == ref)
        ]
        log.close()
        return found

    def await_event(self, *kinds: str, issue: int) -> dict[str, Any]:
        """The first event of these kinds for an issue, waited for."""
        end = time.monotonic() + PATIENCE
        while not (found := self.events(*kinds, issue=issue)):
            assert time.monotonic() < end, [event["type"] for event in self.events(issue=issue)]
            time.sleep(0.1)
        return found[0]

    def worktree(self, issue: int) -> Path:
        """The worktree of an issue."""
        return Path(self.events("session.prepared", issue=issue)[-1]["data"]["worktree"])

    def nothing_left_of(self, issue: int) -> None:
        """Assert that no process of the issue's attempts lives, once its runner has had the moment to end as well."""
        leases = [claim["data"]["lease"] for claim in self.events("attempt.claimed", issue=issue)]
        end = time.monotonic() + PATIENCE
        while left := [who for lease in leases for who in termination.marked(lease)]:
            assert time.monotonic() < end, left
            time.sleep(0.05)


@pytest.fixture(scope="module")
def house(
    tmp_path_factory: pytest.TempPathFactory, opencode_home: dict[str, str], opencode_program_path: str
) -> Iterator[House]:
    """kugetsu set up and its daemon running; at the end everything of it is ended, and the log and every decision in it
    verify."""
    made = House(tmp_path_factory.mktemp("house"), opencode_home, opencode_program_path)
    made.ok("init", "--repo", str(made.main))
    made.ok("queue-daemon", "start")
    yield made
    made.ok("queue", "clear", "--all", "--yes")
    for task in {event["task"] for event in made.events("attempt.claimed")}:
        made.run("queue", "cancel", task)
    made.ok("queue-daemon", "stop", "--drain")
    made.ok("log", "verify")
    made.ok("replay", "--verify", "--all")
    for issue in {int(event["issue"].rsplit("#")[-1]) for event in made.events("attempt.claimed") if "issue" in event}:
        made.nothing_left_of(issue)


def ref(issue: int) -> str:
    """The reference of an issue of the sample repository."""
    return f"{REPOSITORY}#{issue}"


def commit(name: str, *before: str) -> str:
    """A script that writes and commits a file."""
    return script(*before, f"write {name}.txt", f"| {name}", f"run git add -A && git commit -qm {name}", "say Done.")


@pytest.mark.thorough
def test_an_error_500_without_end_is_retried_with_its_reason(house: House) -> None:
    """Queued first and looked at last: opencode itself tries for 72 s before it gives up."""
    house.ok("queue", "enqueue", ref(500), script("status 500 forever"))
    house.await_event("attempt.running", issue=500)


def test_the_fork_of_the_base_works_in_its_own_worktree(house: House) -> None:
    house.ok("start", ref(1), commit("one"), "--wait")
    assert (house.worktree(1) / "one.txt").read_text() == "one\n"
    assert git(house.main, "status", "--porcelain") == "" and not (house.main / "one.txt").exists()
    prepared = house.events("session.prepared", issue=1)[0]["data"]
    assert prepared["base_session"] not in (None, prepared["agent_session"])
    ended = house.events("attempt.succeeded", issue=1)[0]["data"]
    assert ended["evidence"]["commits"] == 1 and ended["tokens"] > 0


def test_continue_goes_on_in_the_same_conversation(house: House, model: ScriptedModel) -> None:
    house.ok("continue", ref(1), "MORE " + commit("two"), "--wait")
    assert (house.worktree(1) / "one.txt").exists() and (house.worktree(1) / "two.txt").exists()
    first, second = house.events("attempt.running", issue=1)
    assert first["data"]["agent_session"] == second["data"]["agent_session"]
    asked = [request for request in model.requests() if request["session"] == first["data"]["agent_session"]]
    assert asked[-1]["messages"] > asked[0]["messages"]


@pytest.mark.thorough
def test_two_at_once_stay_apart(house: House) -> None:
    for issue in (2, 3):
        house.ok("queue", "enqueue", ref(issue), commit(f"file{issue}", "sleep 4"))
    ends = [house.await_event("task.completed", issue=issue) for issue in (2, 3)]
    starts = [house.events("attempt.running", issue=issue)[0] for issue in (2, 3)]
    assert max(start["seq"] for start in starts) < min(end["seq"] for end in ends)
    for issue, other in ((2, 3), (3, 2)):
        assert (house.worktree(issue) / f"file{issue}.txt").exists()
        assert not (house.worktree(issue) / f"file{other}.txt").exists()


@pytest.mark.thorough
def test_a_model_that_hangs_ends_at_the_time_limit(house: House) -> None:
    done = house.run("start", ref(4), script("hang forever"), "--wait", TASK_TIMEOUT_HOURS="0.002", MAX_ATTEMPTS="1")
    assert done.returncode == 1, done.stdout + done.stderr
    assert house.events("attempt.timed_out", issue=4) and house.events("task.failed", issue=4)
    house.nothing_left_of(4)


@pytest.mark.thorough
def test_a_usage_limit_parks_the_task_until_the_stated_reset(house: House) -> None:
    limit = 'status 429 forever retry-after=5400 {"error":{"message":"usage limit reached","type":"rate_limit"}}'
    house.ok("queue", "enqueue", ref(5), script(limit))
    parked = house.await_event("task.parked", issue=5)
    assert parked["data"]["stated"] and parked["data"]["until"] > parked["at"]
    assert "parked" in house.ok("why", parked["task"])
    [task] = [task for task in json.loads(house.ok("queue", "list", "--json"))["tasks"] if task["issue"] == ref(5)]
    assert task["state"] == "parked" and task["used"] == 0
    house.nothing_left_of(5)
    # The limit holds the others back too, until it is lifted.
    refused = house.run("start", ref(55), "anything")
    assert refused.returncode == 5 and parked["task"] in refused.stderr
    house.ok("queue", "retry", parked["task"])
    house.ok("queue", "cancel", parked["task"])


@pytest.mark.thorough
def test_a_permission_that_nobody_answers_does_not_block(house: House, tmp_path: Path) -> None:
    secret = tmp_path / "outside.txt"
    secret.write_text("outside\n")
    house.ok("start", ref(6), commit("six", f"read {secret}"), "--wait")
    assert (house.worktree(6) / "six.txt").exists()


@pytest.mark.thorough
def test_the_schema_that_an_agent_was_asked_to_add_stays_committed(house: House) -> None:
    """opencode adds the same line by itself, which is put back: but not what the agent committed."""
    plain = 'run printf \'{"share":"disabled"}\\n\' > opencode.json && git add -A && git commit -qm plain'
    schema = '{\\n  "$schema": "https://opencode.ai/config.json","share":"disabled"}\\n'
    house.ok("start", ref(81), script(plain, "say Done."), "--wait")
    asked = script(f"run printf '{schema}' > opencode.json && git commit -qam schema", "say Done.")
    house.ok("continue", ref(81), "MORE " + asked, "--wait")
    assert "$schema" in git(house.worktree(81), "show", "HEAD:opencode.json")
    assert git(house.worktree(81), "status", "--porcelain") == ""


@pytest.mark.thorough
def test_an_answer_cut_at_its_length_is_not_success(house: House) -> None:
    done = house.run("start", ref(7), script("say half of", "cut"), "--wait", MAX_ATTEMPTS="1")
    assert done.returncode == 1, done.stdout + done.stderr
    [ended] = house.events("attempt.failed", issue=7)
    assert ended["data"]["exit"] == 0 and ended["data"]["outcome"]["kind"] == "incomplete"


def test_a_killed_agent_leaves_none_of_its_tools_and_keeps_its_work(house: House) -> None:
    text = script("write kept.txt", "| kept", "run sleep 987", "say Never.")
    house.ok("start", ref(8), text, MAX_ATTEMPTS="1")
    lease = house.events("attempt.claimed", issue=8)[0]["data"]["lease"]
    end = time.monotonic() + PATIENCE
    while not any(_runs(who["pid"], "sleep 987") for who in termination.marked(lease)):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert identity.signal(house.events("attempt.running", issue=8)[0]["data"]["agent"], signal.SIGKILL)
    ended = house.await_event("attempt.failed", issue=8)["data"]
    assert ended["signal"] == signal.SIGKILL
    house.nothing_left_of(8)
    assert git(house.main, "show", f"{ended['rescue']}:kept.txt") == "kept"


def _runs(pid: int, words: str) -> bool:
    try:
        return words in Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return False


def test_a_daemon_that_was_killed_adopts_the_running_agent_again(house: House) -> None:
    house.ok("queue", "enqueue", ref(9), commit("nine", "sleep 6"))
    attempt = house.await_event("attempt.running", issue=9)["attempt"]
    assert identity.signal(house.events("daemon.started")[-1]["data"]["identity"], signal.SIGKILL)
    house.ok("queue-daemon", "start")
    completed = house.await_event("task.completed", issue=9)
    assert completed["attempt"] == attempt and len(house.events("attempt.claimed", issue=9)) == 1
    assert house.events("daemon.lost")


@pytest.mark.thorough
def test_tokens_of_sub_agents_count_when_runner_and_agent_were_killed(house: House) -> None:
    inner = script("usage input=100000 output=43", "run echo inner", "run sleep 986", "say Never.")
    call = json.dumps({"description": "sub", "prompt": inner, "subagent_type": "general"})
    text = f"~~~script\nusage input=24000 output=1\nrun echo outer\ntool task {call}\n~~~\n"
    house.ok("start", ref(10), text, MAX_ATTEMPTS="1")
    lease = house.events("attempt.claimed", issue=10)[0]["data"]["lease"]
    end = time.monotonic() + PATIENCE
    while not any(_runs(who["pid"], "sleep 986") for who in termination.marked(lease)):
        assert time.monotonic() < end
        time.sleep(0.1)
    for event, who in (("attempt.starting", "runner"), ("attempt.running", "agent")):
        assert identity.signal(house.events(event, issue=10)[0]["data"][who], signal.SIGKILL)
    lost = house.await_event("attempt.lost", issue=10)["data"]
    assert lost["tokens"] == 24_001 + 100_043
    # Both calls whose tools had not ended: that of the session and that of its sub-agent.
    assert lost["outcome"]["details"]["unfinished_tokens"] == 2 * 200_000
    # A screen of 80 columns may cut the sentence, where others of this file have made the numbers of events long.
    told = house.ok("history", ref(10), COLUMNS="200")
    assert "2 model calls cut off: at most 400k tokens more" in told, told
    house.nothing_left_of(10)


@pytest.mark.thorough
def test_opencode_leaves_neither_libraries_nor_snapshots(house: House) -> None:
    house.ok("start", ref(11), commit("eleven"), "--wait")
    snapshots = Path(house.environment["XDG_DATA_HOME"]) / "opencode" / "snapshot"

    def of_the_worktree() -> list[Path]:
        named = f"worktree = {tree}\n"
        return [config for config in snapshots.glob("*/*/config") if named in config.read_text()]

    tree = house.worktree(11)
    assert len(of_the_worktree()) == 1
    house.ok("destroy", "--force", ref(11))
    assert of_the_worktree() == []
    temporary = Path(house.environment["TMPDIR"])
    assert list(temporary.glob("kugetsu-q*11-*")) == [] and list(temporary.glob(".*.so")) == []


@pytest.mark.thorough
def test_the_error_500_was_told(house: House) -> None:
    ended = house.await_event("attempt.failed", issue=500)
    assert ended["data"]["outcome"]["kind"] == "retryable" and "500" in json.dumps(ended["data"]["outcome"])
    assert house.events("task.retried", issue=500)


def test_the_whole_story_is_told(house: House) -> None:
    told = house.ok("history", ref(1))
    for words in ("task.queued", "attempt.claimed", "attempt.running", "task.completed"):
        assert words in told
    status = json.loads(house.ok("status", "--json"))
    assert status["daemon"]["state"] == "running"
    assert os.path.isdir(house.worktree(1))
