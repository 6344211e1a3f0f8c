"""`kugetsu host drain`, `undrain`, `leave` and `join`, over a real database."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.conftest import Command
from cli.test_json_shapes import compare, documented

TASK = "example.com/o/r#1"


@pytest.fixture
def ready(database: str, ready: Command) -> Command:
    """Host one, which shares its log; its daemon is stopped before its database goes."""
    ready.environment["HOST_NAME"] = "one"
    assert ready("log", "share", database).code == 0
    return ready


def states(host: Command) -> dict[str, tuple[str, bool]]:
    listed = host("host", "list", "--json")
    return {row["name"]: (row["state"], row["rests"]) for row in listed.json["hosts"]}


def test_a_host_drains_leaves_and_joins_again(ready: Command, tmp_path: Path) -> None:
    assert states(ready) == {"one": ("joined", True)}
    for width in ("80", "40"):
        assert "stopped" in ready("host", "list", COLUMNS=width).out, "nobody waits for it"
    assert ready("queue-daemon", "start").code == 0
    drained = ready("host", "drain", "--json")
    compare(drained.json, documented("host drain"))
    assert drained.code == 0 and drained.json["live"] == []
    assert "already" in ready("host", "drain", "one").out
    assert ready("queue-daemon", "restart").code == 0
    assert ready("queue", "enqueue", TASK, "words").code == 0
    assert states(ready) == {"one": ("draining", False)}, "a restart undoes nothing"
    why = ready("why", "q1", COLUMNS="80")
    assert "one is draining: it starts nothing new" in why.out and "kugetsu host undrain one" in why.out, why
    for width in ("80", "40"):
        shown = ready("status", COLUMNS=width)
        assert "starts nothing new" in shown.out and max(map(len, shown.out.splitlines())) <= int(width), shown
    assert ready("host", "drain", "three").code == 4
    undrained = ready("host", "undrain", "--json")
    compare(undrained.json, documented("host undrain"))
    assert ready("wait", "q1").code == 0, "and it is worked on"
    refused = ready("host", "leave")
    assert refused.code == 5 and f"{TASK} has 1 commit" in refused.err, refused
    assert "kugetsu host leave --force" in refused.err and states(ready) == {"one": ("joined", False)}
    left = ready("host", "leave", "--force", "--json")
    compare(left.json, documented("host leave"))
    assert left.code == 0, left.err
    assert [one["session"] for one in left.json["only_there"]] == [TASK]
    assert not ready("queue-daemon", "status", "--json").json["running"]
    again = ready("host", "leave")
    assert again.code == 0 and "already" in again.out
    daemon = ready("queue-daemon", "start")
    assert daemon.code != 0 and "kugetsu host join" in daemon.err
    shown = ready("status").out
    assert "kugetsu host join" in shown and "kugetsu queue-daemon start" not in shown, "it would be refused"
    queued = ready("queue", "enqueue", TASK, "words")
    assert queued.code == 0 and "kugetsu host join" in queued.err and "kugetsu queue-daemon start" not in queued.err
    joined = ready("host", "join", "--json")
    compare(joined.json, documented("host join"))
    assert joined.json["joined_now"] is True and ready("host", "join", "--json").json["joined_now"] is False
    assert ready("queue-daemon", "start").code == 0
    assert states(ready)["one"][0] == "joined"


@pytest.fixture(autouse=True)
def stopped(ready: Command) -> object:
    """The daemon ends before the database goes."""
    yield
    ready("queue-daemon", "stop")
