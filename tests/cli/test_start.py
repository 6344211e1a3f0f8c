"""`kugetsu start`, with the real runtime and any command as the agent."""

from __future__ import annotations

import pytest

REF = "example.com/o/r#1"


def test_start_returns_when_the_agent_runs_and_says_how_to_follow_it(ready):
    ready.agent("sleep 60")
    shown = ready("start", REF, "fix", "it")
    assert shown.code == 0 and "q1.1 running, slot 1 of 3" in shown.out
    assert "branch    fix/issue-1" in shown.out and str(ready.root / "worktrees") in shown.out
    for hint in ("kugetsu logs q1.1 -f", f"kugetsu history {REF}", "kugetsu queue cancel q1"):
        assert hint in shown.err
    again = ready("start", REF, "more")
    assert again.code == 5 and "q1.1 works on the same issue" in again.err and "kugetsu queue cancel q1" in again.err
    assert "q1.1 alive" in ready("list", COLUMNS="130").out


def test_wait_exits_with_the_outcome(ready):
    done = ready("start", "--wait", REF, "--", "--fix", "the\nthing")
    assert done.code == 0 and "q1 completed" in done.out, done
    got = next((ready.root / "worktrees").iterdir()) / "got.txt"
    assert "--fix the\nthing" in got.read_text()
    ready.agent("echo broken >&2; exit 3")
    failed = ready("start", "--wait", "--json", "example.com/o/r#2", "x", MAX_ATTEMPTS="1")
    assert failed.code == 1 and failed.json["state"] == "error" and failed.json["exit_code"] == 1, failed


def test_the_cap_is_exit_2_and_nothing_changed_or_queued_on_request(ready):
    ready.agent("sleep 60")
    assert ready("start", REF, "x", MAX_CONCURRENT_AGENTS="1").code == 0
    before = ready("log", "stats", "--json").json["events"]
    full = ready("start", "example.com/o/r#2", "y", MAX_CONCURRENT_AGENTS="1")
    assert full.code == 2 and "1 of 1 slot " in full.err and "--queue" in full.err
    assert ready("log", "stats", "--json").json["events"] == before
    assert (
        ready("start", "--json", "example.com/o/r#2", "y", MAX_CONCURRENT_AGENTS="1").json["error"]["code"]
        == "cap_reached"
    )
    queued = ready("start", "--queue", "example.com/o/r#2", "y", MAX_CONCURRENT_AGENTS="1")
    assert queued.code == 0 and "queued q2" in queued.out


def test_a_pull_request_said_with_what_is_queued_is_tied_or_told_to_be_not(ready):
    url = "https://example.com/o/r/pulls/3"
    ready.agent("exit 0")
    assert ready("start", "--wait", "example.com/o/r#2", "x").code == 0
    ready.agent("sleep 60")
    assert ready("start", REF, "x", MAX_CONCURRENT_AGENTS="1").code == 0
    tied = ready("start", "--queue", "--pr", url, "example.com/o/r#2", "y", MAX_CONCURRENT_AGENTS="1")
    assert "set-pr" not in tied.err and url in ready("history", "example.com/o/r#2", "--json").out
    told = ready("start", "--queue", "--pr", url, "example.com/o/r#3", "y", MAX_CONCURRENT_AGENTS="1")
    assert told.code == 0 and f"kugetsu set-pr example.com/o/r#3 {url}" in told.err


def test_cancel_stops_the_agent_and_wait_says_so(ready):
    ready.agent("sleep 60")
    assert ready("start", REF, "x").code == 0
    assert "being stopped" in ready("queue", "cancel", "q1").out
    followed = ready("history", "q1", "-f")
    assert "task.cancelled" in followed.out
    assert ready("why", "q1").out.startswith("q1 was cancelled")


@pytest.mark.parametrize("words", [[], [REF], ["nonsense", "x"], [REF, "--pr", "nope", "x"]])
def test_bad_input_changes_nothing(ready, words):
    before = ready("log", "stats", "--json").json["events"]
    shown = ready("start", *words)
    assert shown.code == 3 and "hint: " in shown.err, shown
    assert ready("log", "stats", "--json").json["events"] == before


def test_before_init_start_says_so(kugetsu):
    shown = kugetsu("start", REF, "x")
    assert shown.code == 1 and "hint: kugetsu init" in shown.err


@pytest.mark.parametrize(
    ("ref", "more", "said"),
    [
        ("example.invalid/o/r#1", {}, "example.invalid"),
        (REF, {"KUGETSU_AGENT": "opencode", "KUGETSU_OPENCODE": "/not/there"}, "/not/there"),
        (REF, {"KUGETSU_AGENT_COMMAND": "/not/there --x"}, "/not/there"),
        (REF, {"KUGETSU_AGENT_COMMAND": ""}, "KUGETSU_AGENT_COMMAND"),
        (REF, {"PATH": "/not/there", "KUGETSU_AGENT_COMMAND": "/bin/true"}, "git"),
    ],
    ids=["no repository", "no opencode", "no agent program", "no agent command", "no git"],
)
def test_what_is_missing_is_named_and_the_slot_is_free_again(ready, ref, more, said):
    shown = ready("start", ref, "x", **more)
    assert shown.code == 1 and said in shown.out + shown.err, shown
    assert "Traceback" not in shown.err
    data = ready("status", "--json").json
    assert data["agents"] == []
