"""`kugetsu attach`: a person in an issue's session, on a real terminal."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from cli.terminal import Terminal
from kugetsu.log import open_log

ISSUE = "example.com/o/r#1"
#: A program for people: it says that it is there, and runs what is typed.
SHELL = 'echo here in $KUGETSU_ISSUE; while read -r line; do eval "$line"; done'


@pytest.fixture
def worked(ready):
    """An agent has worked on the issue; the agent's interactive program is a shell."""
    ready.environment |= {"KUGETSU_ATTACH_COMMAND": SHELL, "KILL_GRACE_SECONDS": "1"}
    assert ready("start", "--wait", ISSUE, "do it").code == 0
    return ready


@pytest.fixture
def attached(worked):
    """Attaches on a terminal; what was opened is ended."""
    opened: list[Terminal] = []

    def attach(*words: str, **more: str) -> Terminal:
        terminal = Terminal(["attach", ISSUE, *words], {**worked.environment, **more}, worked.work)
        opened.append(terminal)
        return terminal

    yield attach
    for terminal in opened:
        if terminal.process.poll() is None:
            terminal.process.kill()
            terminal.process.wait()
        terminal.close()


def events(kugetsu, *kinds):
    log = open_log(f"{kugetsu.root}/log", by={}, now=lambda: "")
    found = [event for event in log.read() if event["type"] in kinds]
    log.close()
    return found


def there(terminal):
    terminal.until(lambda text: f"here in {ISSUE}\r\n" in text)


def worktree(kugetsu) -> Path:
    return Path(kugetsu("open", "--path", ISSUE).out.strip())


def test_a_person_works_in_the_worktree_and_what_came_of_it_is_told(worked, attached):
    terminal = attached()
    there(terminal)
    terminal.type("pwd; echo kind $KUGETSU_BRANCH\n")
    terminal.until(lambda text: f"{worktree(worked)}\r\n" in text and "kind fix/issue-1\r\n" in text)
    terminal.type("echo mine > mine.txt; git add mine.txt; git commit -qm mine; echo x > loose; exit\n")
    assert terminal.end() == 0, terminal.seen
    assert f"{ISSUE} was given back: " in terminal.seen and "next: kugetsu changes" in terminal.seen
    (left,) = events(worked, "person.left")
    assert left["data"]["how"] == "ended" and left["data"]["evidence"]["commits"] == 2
    assert left["data"]["result"]["kind"] == "unpushed" and left["data"]["result"]["uncommitted"] == 1
    assert worked("list", "--json").json["sessions"][0]["commits"] == 2
    assert worked("replay", "--verify").code == 0 and worked("audit", "invariants").code == 0


def test_who_only_looks_changes_no_result(worked, attached):
    before = worked("list", "--json").json["sessions"][0]
    counted = worked("queue", "stats", "--json").json
    terminal = attached()
    there(terminal)
    terminal.type("exit\n")
    assert terminal.end() == 0 and "the work is as it was" in terminal.seen
    (left,) = events(worked, "person.left")
    assert left["data"]["result"] is None
    after = worked("list", "--json").json["sessions"][0]
    assert {**after, "event": 0, "changed_at": ""} == {**before, "event": 0, "changed_at": ""}
    assert worked("queue", "stats", "--json").json == counted


def test_meanwhile_nothing_starts_and_everyone_says_why(worked, attached):
    terminal = attached()
    there(terminal)
    refused = worked("start", ISSUE, "more")
    assert refused.code == 5 and "held by a person since" in refused.err, refused
    assert f"kugetsu attach --end {ISSUE}" in refused.err
    assert worked("destroy", "--force", ISSUE).code == 5
    worked("queue", "enqueue", ISSUE, "later")
    why = worked("why", "q2", COLUMNS="200").out
    assert "held by a person since" in why and f"pid {terminal.process.pid}" in why and os.uname().nodename in why
    status = worked("status", COLUMNS="120").out
    assert "attached" in status and "o/r#1" in status
    assert worked("status", "--json").json["agents"] == []
    assert "attached" in worked("list", COLUMNS="160").out
    worked("queue", "cancel", "q2")
    terminal.type("exit\n")
    assert terminal.end() == 0
    assert worked("start", "--wait", ISSUE, "more").code == 0


def test_the_daemon_starts_what_waited_as_soon_as_it_is_given_back(worked, attached):
    terminal = attached()
    there(terminal)
    worked("queue-daemon", "start")
    worked("queue", "enqueue", ISSUE, "later")
    worked("queue", "enqueue", "example.com/o/r#2", "meanwhile")
    deadline = time.monotonic() + 60
    while worked("queue", "list", "--state", "completed", "--json").json["tasks"][-1]["task"] != "q3":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert events(worked, "attempt.claimed")[-1]["task"] == "q3", "the issue of a person was started"
    terminal.type("exit\n")
    assert terminal.end() == 0
    while len(events(worked, "attempt.claimed")) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    left, claimed = events(worked, "person.left")[-1], events(worked, "attempt.claimed")[-1]
    assert claimed["task"] == "q2" and claimed["seq"] > left["seq"]


@pytest.mark.parametrize("end", ["kill", "hangup", "end"])
def test_however_it_ends_the_session_is_given_back(worked, attached, end):
    terminal = attached()
    there(terminal)
    terminal.type("echo mine > mine.txt; sleep 300 & echo started; sleep 1000\n")
    terminal.until(lambda text: "started\r\n" in text)
    if end == "kill":
        terminal.process.send_signal(signal.SIGKILL)
        terminal.process.wait()
        begun = time.monotonic()
        assert worked("start", "--wait", ISSUE, "more").code == 0
        assert time.monotonic() - begun < 30
    elif end == "hangup":
        terminal.close()
        terminal.process.wait(60)
    else:
        assert worked("attach", "--end", ISSUE).code == 0
        terminal.end()
    (left,) = events(worked, "person.left")
    assert left["data"]["how"] == ("lost" if end == "kill" else "stopped")
    assert left["data"]["evidence"]["untracked"] == 1, "what the person left there is told"
    (claim,) = events(worked, "person.attached")
    marked = [pid for pid in os.listdir("/proc") if pid.isdigit() and claim["data"]["lease"].encode() in _environ(pid)]
    assert marked == [], "something that was started there goes on"
    if end != "kill":
        assert worked("start", "--wait", ISSUE, "more").code == 0


def test_a_copy_of_the_directory_ends_nobodys_work(worked, attached):
    terminal = attached()
    there(terminal)
    copy = shutil.copytree(worked.root, worked.folder / "copy", symlinks=True)
    refused = worked("attach", "--end", ISSUE, KUGETSU_DIR=str(copy))
    assert refused.code == 5 and f"of which {copy} is a copy" in refused.err
    assert terminal.process.poll() is None and events(worked, "person.left") == []
    terminal.type("exit\n")
    assert terminal.end() == 0
    assert worked("queue-daemon", "start").code == 0
    terminal = attached(KUGETSU_DIR=str(shutil.copytree(worked.root, worked.folder / "later", symlinks=True)))
    terminal.until(lambda text: f"is a copy of {worked.root}" in text)
    assert worked("queue-daemon", "stop").code == 0


def _environ(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def test_ctrl_c_is_the_programs(worked, attached):
    terminal = attached(
        KUGETSU_ATTACH_COMMAND="trap 'echo caught' INT; echo here in $KUGETSU_ISSUE; read a; read a; exit 0"
    )
    there(terminal)
    terminal.type("\x03")
    terminal.until(lambda text: "caught" in text)
    assert terminal.process.poll() is None and events(worked, "person.left") == []
    terminal.type("\n\n")
    assert terminal.end() == 0


def test_the_terminal_is_as_before(worked, attached):
    terminal = attached(
        KUGETSU_ATTACH_COMMAND="stty raw -echo; printf '\\033[?1049h'; echo here in $KUGETSU_ISSUE; kill -9 $$"
    )
    terminal.end()
    assert "\x1b[?1049l" in terminal.seen and events(worked, "person.left")[0]["data"]["how"] == "failed"


def test_while_an_agent_works_it_is_refused(worked, attached):
    worked.agent("sleep 300")
    assert worked("start", ISSUE, "more").code == 0
    terminal = attached()
    assert terminal.end() == 5 and "kugetsu queue cancel q2" in terminal.seen
    assert events(worked, "person.attached") == []


def test_a_second_person_is_refused(worked, attached):
    there(attached())
    second = attached()
    assert second.end() == 5 and "held by a person since" in second.seen


def test_of_many_that_attach_or_start_at_once_one_wins(worked):
    worked.environment["KUGETSU_ATTACH_COMMAND"] = f"echo $$ >> {worked.folder}/in; sleep 600"
    worked.agent(f"echo $$ >> {worked.folder}/in; sleep 600")
    people = [Terminal(["attach", ISSUE], worked.environment, worked.work) for _ in range(24)]
    agents = [worked.popen("start", ISSUE, "more") for _ in range(8)]
    try:
        for agent in agents:
            agent.communicate()
        for person in people:
            # Whoever has not won is refused; whoever has is inside, and its terminal stays silent.
            deadline = time.monotonic() + 60
            while person.process.poll() is None and not (worked.folder / "in").exists():
                person.read()
                assert time.monotonic() < deadline
        held = events(worked, "person.attached", "attempt.claimed")[1:]
        assert len(held) == 1, held
        inside = int(held[0]["type"] == "person.attached")
        deadline = time.monotonic() + 60
        while sum(person.process.poll() is None for person in people) > inside:
            for person in people:
                person.read(0.0)
            assert time.monotonic() < deadline
        assert len((worked.folder / "in").read_text().split()) == 1
        assert len(events(worked, "person.attached", "attempt.claimed")) == 2
        codes = [person.process.poll() for person in people] + [agent.returncode for agent in agents]
        assert sorted(code for code in codes if code) == [5] * 31, codes
    finally:
        for person in people:
            person.process.kill()
            person.process.wait()
            person.close()
        worked("attach", "--end", ISSUE)
        for task in worked("queue", "list", "--state", "running", "--json").json["tasks"]:
            worked("queue", "cancel", task["task"])


def test_what_cannot_be_opened_is_refused_and_claims_nothing(worked, attached):
    assert worked("attach", ISSUE).code == 3
    refused = attached(KUGETSU_ATTACH_COMMAND="")
    assert refused.end() == 1 and "KUGETSU_ATTACH_COMMAND" in refused.seen
    unknown = Terminal(["attach", "example.com/o/r#9"], worked.environment, worked.work)
    assert unknown.end() == 4
    unknown.close()
    assert events(worked, "person.attached") == []


def test_a_worktree_that_is_gone_is_made_again(worked, attached):
    subprocess.run(["rm", "-rf", str(worktree(worked))], check=True)
    terminal = attached()
    there(terminal)
    terminal.type("exit\n")
    assert terminal.end() == 0 and worktree(worked).is_dir()


def test_nobody_attached_has_nothing_to_end(worked):
    ended = worked("attach", "--end", ISSUE)
    assert ended.code == 0 and "nobody is attached" in ended.out


def test_doctor_and_prune_leave_alone_what_a_person_uses(worked, attached):
    there(attached())
    found = worked("doctor", "--json").json["findings"]
    assert [one for one in found if one["group"] == "leftovers" and one["level"] != "ok"] == []
    kept = worked("prune", "--force", COLUMNS="200")
    assert "works in it (kugetsu attach)" in kept.out + kept.err and worktree(worked).is_dir()
    assert len(list((worked.root / "leases").iterdir())) == 1
