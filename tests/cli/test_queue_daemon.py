"""`kugetsu queue-daemon`, with the real daemon."""

from __future__ import annotations

REF = "example.com/o/r#1"


def test_the_daemon_starts_once_works_and_stops(ready):
    assert "the daemon is stopped" in ready("queue-daemon", "status").out
    assert "not written a log yet" in ready("queue-daemon", "logs").out
    assert ready("queue-daemon", "stop", "--json").json["stopped"] is False
    started = ready("queue-daemon", "start", "--json", real=True).json
    assert started["started"] is True
    again = ready("queue-daemon", "start")
    assert again.code == 0 and f"a daemon is already running (pid {started['pid']}" in again.out
    assert ready("queue", "enqueue", REF, "x").code == 0
    followed = ready("history", "q1", "-f")
    assert "task.completed" in followed.out and "next: " in followed.out
    assert ready("queue-daemon", "status", "--json").json["running"] is True
    assert "started q1.1" in ready("queue-daemon", "logs").out
    restarted = ready("queue-daemon", "restart", "--json").json
    assert restarted["started"] and restarted["pid"] != started["pid"]
    assert "the daemon stopped" in ready("queue-daemon", "stop", "--drain").out
    assert ready("status", "--json").json["daemon"]["state"] == "stopped"


def test_in_the_foreground_it_works_until_sigterm_and_ends_in_order(ready):
    process = ready.popen("queue-daemon", "run")
    assert process.stderr is not None
    told = [process.stderr.readline().decode() for _ in range(2)]
    assert f"pid {process.pid}" in told[0] and "INFO started" in told[1]
    shown = ready("queue-daemon", "status", "--json").json
    assert shown["running"] and shown["pid"] == process.pid
    again = ready("queue-daemon", "start", "--json").json
    assert again == {"started": False, "pid": process.pid, "state": "running"}
    second = ready("queue-daemon", "run", real=True)
    assert second.code == 5 and f"a daemon is already running (pid {process.pid})" in second.err
    assert "runs here" not in second.err
    assert ready("queue", "enqueue", REF, "x").code == 0
    assert "task.completed" in ready("history", "q1", "-f").out
    process.terminate()
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0 and out == b"" and b"stopped: SIGTERM" in err
    assert ready("queue-daemon", "status", "--json").json["state"] == "stopped"


def test_stop_ends_a_daemon_in_the_foreground(ready):
    process = ready.popen("queue-daemon", "run")
    assert process.stderr is not None
    process.stderr.readline(), process.stderr.readline()
    assert "the daemon stopped" in ready("queue-daemon", "stop").out
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_stop_says_who_goes_on_and_init_only_what_is_still_to_do(ready):
    ready.agent(f"while ! test -e {ready.folder}/go; do sleep 0.05; done")
    assert ready("init").err.endswith("next: kugetsu queue-daemon start, then: kugetsu queue enqueue REF MESSAGE\n")
    assert ready("queue-daemon", "start").code == 0
    assert ready("init").err.endswith("next: kugetsu queue enqueue REF MESSAGE\n")
    assert ready("start", REF, "x").code == 0
    one = ready("queue-daemon", "stop").out
    assert one.endswith("; q1.1 continues: its runner owns it\n")
    assert ready("start", "example.com/o/r#2", "x").code == 0
    assert ready("queue-daemon", "stop").out.endswith("; q1.1, q2.1 continue: their runners own them\n")
    (ready.folder / "go").touch()


def test_a_foreground_daemon_wants_a_directory_that_is_set_up(kugetsu):
    shown = kugetsu("queue-daemon", "run")
    assert shown.code == 1 and "hint: kugetsu init" in shown.err
