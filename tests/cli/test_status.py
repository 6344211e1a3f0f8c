"""`kugetsu status`."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from contextlib import suppress

import pytest

from kugetsu.cli import main
from kugetsu.domain.decide import daemon, queue, sessions
from kugetsu.runtime import facts


def test_a_directory_that_is_not_set_up_says_so_and_what_to_type(kugetsu):
    shown = kugetsu("status")
    assert shown.code == 0
    assert "not set up" in shown.out and "kugetsu init" in shown.out
    assert kugetsu("status", "--json").json["initialised"] is False


def test_nothing_is_created_by_looking(kugetsu):
    kugetsu("status")
    assert not kugetsu.root.exists()


def test_the_screen_of_a_busy_day(kugetsu, story, snapshot, fits):
    story.at("08:41:00").daemon()
    for number, message in ((11, "mend the parser"), (4, "a page for the board")):
        story.at("10:30:00").enqueue(message, issue=f"github.com/shoko/kugetsu#{number}")
    story.at("10:32:58").run("q1", alive=True)
    story.at("10:41:19").run("q2", alive=True)
    story.at("10:41:30").enqueue("later", issue="github.com/shoko/kugetsu#12")
    story.enqueue("after that", issue="github.com/shoko/kugetsu#15", after=["q3"])
    story.at("10:20:00").enqueue("broken tests", issue="github.com/shoko/jigaido#4")
    failed = story.run("q5")
    story.at("10:41:00").finish(failed, "fail", "give_up", "3 attempts failed: tests do not pass")
    _output(
        kugetsu,
        "q1.1",
        b'{"type":"tool_use","timestamp":1795430516000,"part":{"tool":"edit",'
        b'"state":{"input":{"filePath":"src/x.py"}}}}\n'
        b'{"type":"step_finish","timestamp":1795430516500,"part":{"tokens":{"total":88000},"cost":0.5}}\n',
    )
    shown = kugetsu("status", at="10:42:00", MAX_CONCURRENT_AGENTS="3")
    assert shown.code == 0 and fits(shown.out)
    snapshot("status", shown.out)


def test_next_dispatch_names_the_slot_when_all_are_held(kugetsu, story):
    story.daemon()
    for number in (1, 2):
        story.enqueue(issue=f"github.com/a/b#{number}")
    story.run("q1", alive=True)
    shown = kugetsu("status", MAX_CONCURRENT_AGENTS="1")
    assert "q2 when a slot frees" in shown.out
    assert shown.out.count("running, pid 3760") == 1


def test_a_dead_agent_and_a_dead_daemon_want_a_look(kugetsu, story):
    story.daemon(alive=False)
    story.enqueue()
    story.run("q1", alive=False)
    data = kugetsu("status", "--json").json
    assert data["daemon"]["state"] == "lost"
    assert data["agents"][0]["alive"] is False
    found = {entry["subject"]: entry for entry in data["attention"]}
    assert found["daemon"]["command"] == "kugetsu queue-daemon start"
    assert found["q1.1"]["state"] == "lost"


def test_a_broken_session_and_a_refused_event_want_a_look(kugetsu, story):
    from kugetsu.domain.new_event import NewEvent

    story.do(lambda state: sessions.request(state, "github.com/a/b#1", "issue", "github.com/a/b"))
    story.do(lambda state: sessions.broken(state, "github.com/a/b#1", "the worktree is gone"))
    story.do(lambda state: [NewEvent("task.completed", {"summary": "?"}, task="q77")])
    found = {entry["subject"]: entry for entry in kugetsu("status", "--json").json["attention"]}
    assert "worktree is gone" in found["github.com/a/b#1"]["text"]
    assert "q77" in found["log"]["text"] and found["log"]["command"] == "kugetsu log verify"


def test_a_setting_that_is_none_wants_a_look(kugetsu, story):
    (kugetsu.root / "config").write_text("MAX_CONCURENT_AGENTS=9\n")
    found = {entry["subject"]: entry for entry in kugetsu("status", "--json").json["attention"]}
    assert "did you mean MAX_CONCURRENT_AGENTS?" in found["config"]["text"]


def test_a_task_that_was_held_long_wants_a_look(kugetsu, story):
    story.daemon()
    story.at("09:00:00").enqueue("one", issue="github.com/a/b#1")
    story.at("09:00:01").enqueue("two", issue="github.com/a/b#1")
    story.run("q1", alive=True)
    data = kugetsu("status", "--json", at="10:00:00").json
    held = [entry for entry in data["attention"] if entry["state"] == "held"]
    assert [entry["subject"] for entry in held] == ["q2"]
    assert "same issue" in held[0]["text"]


def test_a_task_behind_one_that_is_over_and_not_completed_wants_a_look_at_once(kugetsu, story):
    story.daemon()
    for number in (1, 2, 3):
        story.enqueue("one", issue=f"github.com/a/b#{number}")
    story.enqueue("then", issue="github.com/a/b#4", after=["q1"])
    story.enqueue("then", issue="github.com/a/b#5", after=["q1", "q2"])
    story.enqueue("then", issue="github.com/a/b#6", after=["q3"])
    assert kugetsu("status", "--json", at="09:00:09").json["attention"] == []
    story.do(lambda state: queue.cancel(state, "q2", "cancel"))
    story.finish(story.run("q3"), "fail", "give_up", "it is broken")
    held = [entry for entry in kugetsu("status", "--json", at="09:00:09").json["attention"] if entry["state"] == "held"]
    assert [(entry["subject"], entry["text"], entry["command"]) for entry in held] == [
        ("q5", "for 9s: comes after q2, which was cancelled", "kugetsu why q5"),
        ("q6", "for 9s: comes after q3, which ended in error", "kugetsu why q6"),
    ]


def test_what_an_agent_wrote_cannot_steer_the_terminal(kugetsu, story):
    story.daemon()
    story.enqueue()
    story.run("q1", alive=True)
    _output(kugetsu, "q1.1", b'{"type":"text","timestamp":1795430516000,"part":{"text":"\\u001b[2J\\u0007gone"}}\n')
    shown = kugetsu("status")
    assert "\x1b" not in shown.out and "\x07" not in shown.out
    assert "gone" in shown.out


def test_watch_draws_once_where_there_is_no_terminal(kugetsu, story):
    shown = kugetsu("status", "--watch")
    assert shown.code == 0 and "\x1b" not in shown.out


def test_watch_draws_again_and_ends_quietly_at_ctrl_c(kugetsu, story):
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "kugetsu", "status", "--watch"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=kugetsu.environment,
        cwd=kugetsu.work,
        start_new_session=True,
    )
    os.close(slave)
    seen = b""
    while seen.count(b"daemon  ") < 2:
        seen += os.read(master, 65536)
    process.send_signal(2)
    assert process.wait(timeout=20) == 130
    os.close(master)
    assert b"Traceback" not in seen


@pytest.mark.parametrize("width", ["80", "120"])
def test_no_line_is_wider_than_the_screen(kugetsu, story, fits, width):
    story.enqueue("設計" * 80, issue="github.com/a-very-long-owner-name/and-a-very-long-repository-name#123456")
    story.run("q1", alive=True)
    _output(kugetsu, "q1.1", b"x" * 500 + b"\n")
    assert fits(kugetsu("status", COLUMNS=width).out, int(width))


def _output(kugetsu, attempt: str, raw: bytes) -> None:
    folder = kugetsu.root / "runs" / attempt
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "output.jsonl").write_bytes(raw)


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_a_terminal_gets_colours_unless_it_wants_none(kugetsu, story, no_color, coloured):
    story.daemon()
    master, slave = pty.openpty()
    environment = {**kugetsu.environment, "NO_COLOR": no_color, "TERM": "xterm"}
    subprocess.run([sys.executable, "-m", "kugetsu", "status"], stdout=slave, stderr=slave, env=environment, check=True)
    os.close(slave)
    seen = b""
    with suppress(OSError):  # at its end: nobody has the other side open any more
        while part := os.read(master, 65536):
            seen += part
    os.close(master)
    assert (b"\x1b[32mrunning" in seen) is coloured and b"daemon" in seen


def test_a_time_without_a_daemon_is_a_condition(kugetsu, parked):
    shown = kugetsu("status", at="10:43:00", COLUMNS="120")
    assert "at 12:01, in 1h18m, if the daemon runs" in shown.out
    assert "usage limit  parked  until 12:01" in shown.out and "kugetsu why q1" in shown.out
    assert "resumes at 12:01, in 1h18m, if the daemon runs" in kugetsu("history", "q1", at="10:43:00").out


def test_a_usage_limit_names_a_task_that_waits_for_it(kugetsu, story):
    """q2 stands first, but waits for q1, which is parked itself; q3 would start if there were no limit."""
    story.at("10:00:00").daemon()
    story.enqueue()
    story.enqueue(issue="github.com/a/b#2", after=["q1"], priority=5)
    story.enqueue(issue="github.com/a/b#3")
    resets = "2026-11-23T12:00:00.000000Z"
    story.finish(story.run("q1"), "fail", "limited", "usage limit, resets 12:00", resets_at=resets)
    for task in ("q1", "q3"):
        entry = next(one for one in _attention(kugetsu) if one["subject"] == "usage limit")
        assert entry["command"] == f"kugetsu why {task}" and "q1 ran into it" in entry["text"]
        assert "usage limit" in kugetsu("why", task, at="10:43:00").out
        story.do(lambda state, task=task: queue.cancel(state, task, "cancel"))
    assert "usage limit" not in {one["subject"] for one in _attention(kugetsu)}, "nothing waits for it"


def _attention(kugetsu):
    return kugetsu("status", "--json", at="10:43:00").json["attention"]


def test_a_missing_agent_counts_the_tasks_that_wait_for_it(kugetsu, story):
    kugetsu.environment["KUGETSU_AGENT_COMMAND"] = "/nope/agent"
    story.at("10:00:00").daemon()
    story.enqueue()
    story.enqueue(issue="github.com/a/b#2", after=["q1"])
    entry = next(one for one in _attention(kugetsu) if one["subject"] == "agent")
    assert entry["text"].startswith("1 task waits: "), "q2 waits for q1"


def test_who_asks_and_what_is_to_be_reviewed(kugetsu, story, snapshot, fits):
    story.at("08:00:00").daemon()
    night = [
        ({"commits": 2, "pushed": True}, "Done."),
        ({"commits": 0, "dirty": 0}, "Shall the cache live in memory or on disk?"),
        ({"commits": 1, "pushed": False}, "Done."),
        ({"commits": 0, "dirty": 0}, "Nothing to do."),
    ]
    for number, (evidence, said) in enumerate(night, 1):
        task = story.at(f"08:0{number}:00").enqueue("look at it", issue=f"github.com/shoko/kugetsu#{number}")
        ending = {"evidence": evidence, "outcome": {"final_text": said}}
        story.finish(story.run(task), "succeed", "done", "it ended", **ending)
    shown = kugetsu("status", at="09:00:00")
    assert shown.code == 0 and fits(shown.out)
    snapshot("status-asks", shown.out + kugetsu("status", at="09:00:00", COLUMNS="40").out)
    data = kugetsu("status", "--json").json
    assert data["asks"] == {
        "count": 1,
        "issues": ["github.com/shoko/kugetsu#2"],
        "command": "kugetsu continue github.com/shoko/kugetsu#2 MESSAGE",
    }
    assert data["to_review"]["count"] == 2 and data["to_review"]["command"] == "kugetsu report"
    story.enqueue("in memory", issue="github.com/shoko/kugetsu#2")
    assert kugetsu("status", "--json").json["asks"]["count"] == 0, "the answer is on its way"


def test_an_outage_is_named_with_its_remedy_for_as_long_as_it_lasts(kugetsu, story):
    story.at("10:00:00").daemon()
    story.enqueue()
    story.enqueue(issue="github.com/shoko/kugetsu#15")
    told = {"gate": "provider", "remedy": "opencode auth login"}
    story.finish(story.run("q1"), "fail", "unavailable", "the provider refused the credentials: bad key", **told)
    for at in ("10:00:05", "11:00:00"):
        attention = kugetsu("status", "--json", at=at).json["attention"]
        [seen] = [entry for entry in attention if entry["subject"] == "provider"]
        assert "bad key" in seen["text"] and "1 try" in seen["text"]
        assert seen["command"] == "opencode auth login"


def test_since_when_a_daemon_is_lost_is_said_only_when_it_is_known(kugetsu, story):
    story.at("10:00:00", "kugetsu queue-daemon").daemon(alive=False)
    shown = kugetsu("status", at="12:00:00")
    assert shown.out.startswith("daemon  lost   "), shown
    assert kugetsu("status", "--json", at="12:00:00").json["daemon"]["since"] is None
    story.at("11:30:00", "kugetsu start").do(daemon.lost)
    assert kugetsu("status", at="12:00:00").out.startswith("daemon  lost, 30m00s")


def test_what_keeps_every_agent_from_starting_is_told_once_with_its_remedy(kugetsu, story):
    story.daemon()
    for number in (1, 2, 3):
        story.enqueue(issue=f"github.com/a/b#{number}")
    story.enqueue(issue=None)
    for name in ("dev.env", "pm-agent.env"):
        path = kugetsu.root / "env" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("A=1\n")
        path.chmod(0o644)
    told = kugetsu("status", "--json").json["attention"]
    assert [(one["subject"], one["state"], one["command"]) for one in told] == [
        ("agent", "held", f"chmod 600 {kugetsu.root}/env/dev.env"),
        ("pm agent", "held", f"chmod 600 {kugetsu.root}/env/pm-agent.env"),
    ]
    assert told[0]["text"] == f"3 tasks wait: {kugetsu.root}/env/dev.env holds secrets and others can read it"
    (kugetsu.root / "env" / "dev.env").chmod(0o600)
    said = kugetsu("status", "--json").json
    assert [one["subject"] for one in said["attention"]] == ["pm agent"]
    assert (said["next"]["task"], said["next"]["gate"]) == ("q1", None)


def test_one_cause_for_all_agents_is_one_line(kugetsu, story):
    story.daemon()
    story.enqueue()
    story.enqueue(issue=None)
    told = kugetsu("status", "--json", KUGETSU_AGENT_COMMAND="/nope/agent").json["attention"]
    assert len(told) == 1
    assert told[0]["text"] == "2 tasks wait: the program of KUGETSU_AGENT_COMMAND is not found: /nope/agent"
    assert told[0]["command"].startswith("kugetsu config set KUGETSU_AGENT_COMMAND ")


def test_what_keeps_an_agent_from_starting_is_no_matter_while_nothing_waits(kugetsu, story):
    story.daemon()
    assert kugetsu("status", "--json", KUGETSU_AGENT_COMMAND="/nope/agent").json["attention"] == []


def test_work_that_could_not_be_saved_is_told_until_it_is(kugetsu, story):
    story.enqueue()
    attempt = story.run("q1")
    why = "git update-ref failed: 'refs/heads/kugetsu' exists"
    story.finish(attempt, "fail", "retry", "exit code 7", rescue_failed=why)
    entry = next(one for one in kugetsu("status", "--json").json["attention"] if one["state"] == "unsaved")
    assert attempt in entry["text"] and why in entry["text"] and entry["command"].startswith("git -C ")
    shown = kugetsu("status")
    assert "could not be saved" in shown.out and why in kugetsu("history", "q1", COLUMNS="200").out
    story.do(lambda state: sessions.rescued(state, "github.com/shoko/kugetsu#14", "kugetsu/rescue/q1.1"))
    assert all(one["state"] != "unsaved" for one in kugetsu("status", "--json").json["attention"])
    told = kugetsu("history", "github.com/shoko/kugetsu#14", COLUMNS="200").out
    assert "work of q1.1 kept on kugetsu/rescue/q1.1" in told


def test_a_reason_that_would_be_cut_stands_below_its_row(kugetsu, story, fits):
    cause = "make: parser.c:12:7: error: use of an undeclared identifier, and 14 more errors like it"
    failed = story.run(story.enqueue())
    story.finish(failed, "fail", "give_up", cause)
    shown = kugetsu("status", COLUMNS="80")
    assert fits(shown.out) and cause in " ".join(shown.out.split())
    assert "error  kugetsu why q1" in shown.out and "…" not in shown.out
    assert f"{cause}  kugetsu why q1" in kugetsu("status", COLUMNS="160").out


def test_errors_stand_above_what_was_noted(kugetsu, story):
    noted = story.run(story.enqueue(issue="github.com/a/b#1"))
    story.finish(noted, "succeed", "done", "no commit", outcome={"notes": ["a hook failed"]})
    failed = story.run(story.enqueue(issue="github.com/a/b#2"))
    story.finish(failed, "fail", "give_up", "tests do not pass")
    states = [entry["state"] for entry in kugetsu("status", "--json").json["attention"]]
    assert states.index("error") < states.index("noted")


def test_a_full_disk_wants_a_look_whatever_waits(kugetsu, story, monkeypatch, capsys):
    """The file system's answer is the only part that is made up: a full one cannot be had without root."""
    story.at("10:00:00").run(story.enqueue("go", issue="github.com/a/b#1"), alive=True)
    story.log.close()
    for name, value in kugetsu.environment.items():
        monkeypatch.setenv(name, value)
    for free, wanted in ((None, []), (1, []), (0, [f"df -h {kugetsu.root}"])):
        monkeypatch.setattr(facts, "free_disk_mb", lambda _folder, free=free: free)
        assert main.main(["status", "--json"]) == 0
        looks = json.loads(capsys.readouterr().out)["attention"]
        assert [look["command"] for look in looks if look["subject"] == "disk"] == wanted


def test_the_counts_of_the_queue_are_shown_whole(kugetsu, story, fits):
    for number in range(12):
        story.enqueue("go", issue=f"github.com/a/b#{number}")
    failed = story.run("q1")
    story.finish(failed, "fail", "give_up", "tests do not pass")
    kugetsu("ack", "q1")
    kugetsu("queue", "cancel", "q2")
    story.finish(story.run("q3"), "succeed", "done", "no commit")
    story.run("q4", alive=True)
    story.run("q5", alive=True)
    shown = kugetsu("status", COLUMNS="70").out
    assert fits(shown, 70)
    whole = "queue 7 pending, 2 running, 1 completed, 1 error (all acknowledged), 1 cancelled"
    assert whole in " ".join(shown.split()), shown
