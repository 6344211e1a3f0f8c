"""`kugetsu continue`."""

from __future__ import annotations

REF = "example.com/o/r#1"


def test_continue_goes_on_in_the_same_session_with_a_default_message(ready):
    assert ready("start", "--wait", REF, "first").code == 0
    session = ready("list", "--json").json["sessions"][0]["agent_session"]
    assert ready("continue", "--wait", REF).code == 0
    assert ready("list", "--json").json["sessions"][0]["agent_session"] == session
    story = [event for event in ready("history", "q2", "--json").out.splitlines() if "task.queued" in event]
    assert "Continue the work on this issue." in story[0] and '"via":"continue"' in story[0]
