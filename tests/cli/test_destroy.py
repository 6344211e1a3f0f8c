"""`kugetsu destroy`."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys

from forge.scripted import ScriptedForge

REF = "example.com/o/r#1"


def test_destroy_refuses_what_would_lose_work_and_keeps_it_when_forced(ready):
    assert ready("start", "--wait", REF, "x").code == 0
    refused = ready("destroy", "-y", REF)
    assert refused.code == 5 and "commit" in refused.err and "--force" in refused.err
    forced = ready("destroy", "--force", REF, "--json")
    assert forced.code == 0 and forced.json["session"] == REF
    assert ready("list", "--json").json["sessions"] == []
    assert ready("destroy", REF).code == 4
    assert ready("destroy").code == 3 and ready("destroy", REF, "--pm-agent").code == 3
    assert ready("destroy", "--pm-agent", "--json").json["session"] == "pm"


def test_every_reason_is_told_at_once(ready):
    with ScriptedForge() as forge:
        forge.issue("o/r", 1)
        forge.pull("o/r", 9, branch="fix/issue-1")
        ready.environment["GIT_SERVERS"] = f"example.com={forge.url}"
        ready.agent("cat > got; git add got; git commit -qm work; echo > loose")
        assert ready("start", "--wait", REF, "x").code == 0
        assert ready("set-pr", REF, f"{forge.url}/o/r/pulls/9").code == 0
        waiting = ready("queue", "enqueue", REF, "more", "--json").json["task"]
        refused = ready("destroy", "-y", REF)
        assert refused.code == 5 and len(refused.err.splitlines()) == 2
        for reason in (f"{waiting} still waits", "is open", "1 uncommitted change (loose)", "1 commit that no other"):
            assert reason in refused.err.splitlines()[0]
        for remedy in (f"kugetsu queue cancel {waiting}", "merge or close it", "commit and push in"):
            assert remedy in refused.err.splitlines()[1]
        assert ready("list", "--json").json["sessions"] != []


def test_several_are_ended_each_by_itself_and_the_worst_decides(ready):
    for number in (1, 2, 3):
        ready.agent("echo > loose" if number == 2 else "true")
        assert ready("start", "--wait", f"example.com/o/r#{number}", "x").code == 0
    done = ready("destroy", "--yes", REF, "example.com/o/r#2", "example.com/o/r#9", REF, "example.com/o/r#3")
    assert done.code == 5
    assert [line.partition(":")[0] for line in done.out.splitlines()] == [
        "destroyed example.com/o/r#1",
        "destroyed example.com/o/r#3",
    ]
    assert "example.com/o/r#2 was not ended" in done.err and "loose" in done.err
    assert "example.com/o/r#9 was not ended" in done.err
    assert [one["session"] for one in ready("list", "--json").json["sessions"]] == ["example.com/o/r#2"]
    told = ready("destroy", "--yes", "example.com/o/r#2", "example.com/o/r#9", "--json")
    assert told.code == 5 and told.json["destroyed"] == []
    assert [(one["session"], one["code"]) for one in told.json["refused"]] == [
        ("example.com/o/r#2", "conflict"),
        ("example.com/o/r#9", "not_found"),
    ]


def test_a_terminal_is_asked_once_for_all(ready):
    ready.agent("true")
    for number in (1, 2):
        assert ready("start", "--wait", f"example.com/o/r#{number}", "x").code == 0
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "kugetsu", "destroy", REF, "example.com/o/r#2"]
    process = subprocess.Popen(
        command, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, cwd=ready.work, env=ready.environment
    )
    told = b""
    while b"[y/N]" not in told:
        assert select.select([ours], [], [], 60)[0], told
        told += os.read(ours, 4096)
    assert b"these 2 sessions" in told
    os.write(ours, b"y\n")
    out, _ = process.communicate(timeout=60)
    os.close(theirs)
    os.close(ours)
    assert process.returncode == 0 and out.count(b"destroyed ") == 2
    assert ready("list", "--json").json["sessions"] == []
