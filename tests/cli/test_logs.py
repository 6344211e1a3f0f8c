"""`kugetsu logs`: what an agent said and did."""

from __future__ import annotations

REF = "example.com/o/r#1"


def test_logs_show_what_the_agent_said_and_how_it_ended(ready):
    assert "no agent has run yet" in ready("logs").out
    assert ready("start", "--wait", REF, "x").code == 0
    for subject in ("q1", "q1.1", REF):
        shown = ready("logs", subject)
        assert shown.code == 0 and "all done" in shown.out and "q1.1 succeeded" in shown.out, shown
    assert "all done" in ready("logs", "q1.1", "-f").out
    assert ready("logs", "q1.1", "--raw").out.endswith("all done\n")
    assert ready("logs", "--json").json["logs"][0]["attempt"] == "q1.1"
    assert "q1.1" in ready("logs", "1").out
    assert ready("logs", "q7").code == 4 and ready("logs", "q1", "q2").code == 3


def test_logs_follow_until_the_attempt_ends(ready):
    ready.agent("echo one; sleep 1; printf two")
    assert ready("start", REF, "x").code == 0
    shown = ready("logs", "q1.1", "-f")
    assert shown.code == 0 and "one" in shown.out and "two" in shown.out and "q1.1 " in shown.out.splitlines()[-1]


def test_logs_of_a_long_output_cost_what_is_shown(ready):
    ready.agent("seq -f 'row %.0f of a long output' 1 100000")
    assert ready("start", "--wait", REF, "x").code == 0
    shown = ready("logs", "q1.1")
    assert "row 100000 of" in shown.out and "row 1 of" not in shown.out and len(shown.out) < 1_200_000
    assert "earlier bytes: add --all to see them" in shown.out + shown.err
    for option in ("--all", "--raw"):
        everything = ready("logs", "q1.1", option).out
        assert "row 1 of" in everything and "row 100000 of" in everything, option
    assert "row 1 of" not in ready("logs", "q1.1", "-f").out


def test_logs_show_the_set_up_where_it_kept_the_agent_from_starting(ready):
    assert ready("config", "set", "WORKTREE_SETUP", "echo fetching; exit 3").code == 0
    assert ready("start", "--wait", REF, "x").code == 1
    shown = ready("logs", "q1.1")
    assert shown.code == 0 and "fetching" in shown.out and "exit 3" in shown.out, shown
    why = ready("why", "q1").out
    assert "fetching; echo fetching; exit 3 failed (exit 3)" in " ".join(why.split()), why
    assert "kugetsu logs q1.1 --setup" in why
    assert "kugetsu queue retry q1" in why
    assert ready("config", "set", "WORKTREE_SETUP", "echo again").code == 0
    assert ready("queue", "retry", "q1").code == 0
    assert ready("queue-daemon", "start").code == 0
    assert ready("wait", "q1").code == 0
    assert "all done" in ready("logs", "q1.2").out and ready("logs", "q1.2", "--setup").out.startswith("again")
