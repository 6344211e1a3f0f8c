"""`kugetsu destroy`."""

from __future__ import annotations

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
