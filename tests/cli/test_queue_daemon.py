"""`kugetsu queue-daemon`, with the real daemon."""

from __future__ import annotations

REF = "example.com/o/r#1"


def test_the_daemon_starts_once_works_and_stops(ready):
    assert "the daemon is stopped" in ready("queue-daemon", "status").out
    assert "no log yet" in ready("queue-daemon", "logs").out
    assert ready("queue-daemon", "stop", "--json").json["stopped"] is False
    started = ready("queue-daemon", "start", "--json").json
    assert started["started"] is True
    again = ready("queue-daemon", "start")
    assert again.code == 0 and f"runs already, pid {started['pid']}" in again.out
    assert ready("queue", "enqueue", REF, "x").code == 0
    followed = ready("history", "q1", "-f")
    assert "task.completed" in followed.out and "next: " in followed.out
    assert ready("queue-daemon", "status", "--json").json["running"] is True
    assert "started q1.1" in ready("queue-daemon", "logs").out
    restarted = ready("queue-daemon", "restart", "--json").json
    assert restarted["started"] and restarted["pid"] != started["pid"]
    assert "the daemon stopped" in ready("queue-daemon", "stop", "--drain").out
    assert ready("status", "--json").json["daemon"]["state"] == "stopped"
