"""What `--json` prints has the keys that the reference says, no more and no less."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from kugetsu.cli import catalogue
from kugetsu.cli.catalogue import COMMANDS

#: A call of each command on the story below, in which q1 is parked, q2 waits, q3 is completed and q4 waits.
CALLS = {
    "status": ["status"],
    "list": ["list", "--all"],
    "queue list": ["queue", "list", "--all"],
    "queue stats": ["queue", "stats"],
    "queue enqueue": ["queue", "enqueue", "a/b#9", "go"],
    "queue dequeue": ["queue", "dequeue", "q2"],
    "queue cancel": ["queue", "cancel", "q2"],
    "queue retry": ["queue", "retry", "q1"],
    "queue move": ["queue", "move", "q2", "--priority", "3"],
    "queue edit": ["queue", "edit", "q2", "something else"],
    "queue pause": ["queue", "pause", "a/b", "--until", "2h"],
    "queue lift": ["queue", "lift", "command:default"],
    "ack": ["ack", "--all"],
    "queue clear": ["queue", "clear"],
    "queue clear --all": ["queue", "clear", "--all", "--yes"],
    "queue-daemon status": ["queue-daemon", "status"],
    "queue-daemon stop": ["queue-daemon", "stop"],
    "delegate": ["delegate", "see to a/b#9"],
    "logs": ["logs"],
    "history": ["history", "--all"],
    "why": ["why", "q1"],
    "why SEQ": ["why", "3"],
    "audit": ["audit"],
    "replay": ["replay"],
    "diff": ["diff", "1"],
    "timeline": ["timeline"],
    "report": ["report"],
    "log verify": ["log", "verify"],
    "log repair": ["log", "repair"],
    "log stats": ["log", "stats"],
    "log seal": ["log", "seal"],
    "notify list": ["notify", "list"],
    "notify clear": ["notify", "clear"],
    "notify sinks": ["notify", "sinks"],
    "skill list": ["skill", "list"],
    "skill show": ["skill", "show", "kugetsu-work"],
    "skill install": ["skill", "install", "--to", "skills"],
    "config list": ["config", "list"],
    "config get": ["config", "get", "MAX_ATTEMPTS"],
    "config set": ["config", "set", "MAX_ATTEMPTS", "2"],
    "config unset": ["config", "unset", "MAX_ATTEMPTS"],
}
#: Those with a test of their own here, and those that need more than a story; each says where its JSON is tested.
ELSEWHERE = {
    "init": "below",
    "start": "below",
    "continue": "below",
    "destroy": "below",
    "review": "test_review",
    "intake": "tests/cli/test_intake.py",
    "queue-daemon start": "below",
    "queue-daemon restart": "below",
    "notify watch": "tests/cli/test_notify.py",
    "notify test": "tests/cli/test_notify.py",
    "import": "tests/cli/test_import.py",
    "prune": "tests/cli/test_prune.py",
    **dict.fromkeys(
        ("log share", "log unshare", "log migrate", "log push", "host list", "host lost"), "tests/cli/test_log_share.py"
    ),
    **{f"host {verb}": "tests/cli/test_hosts.py" for verb in ("drain", "undrain", "leave", "join")},
    "log export": "tests/cli/test_export.py",
    "undo": "tests/cli/test_undo.py",
    **{f"env {verb}": "tests/cli/test_env.py" for verb in ("list", "get", "set", "unset", "path", "check")},
    **{f"server {verb}": "tests/cli/test_server.py" for verb in ("list", "add", "remove", "default", "get")},
    "queue resume": "below",
    "wait": "tests/cli/test_wait.py",
    "set-pr": "tests/cli/test_set_pr.py",
    "context": "tests/cli/test_context.py",
    "changes": "tests/cli/test_changes.py",
    "verify": "tests/cli/test_verify.py",
    "open": "tests/cli/test_open.py",
    "doctor": "tests/cli/test_doctor.py",
}


def tree(shape: str) -> dict[str, Any]:
    """The documented paths as nested keys: `[]` stands for each element of a list, `*` for any key."""
    root: dict[str, Any] = {}
    for path, meaning in re.findall(r"^([a-z_*][\w.*[\]]*)  +(.*)", shape, re.M):
        node = root
        for part in path.replace("[]", ".[]").split("."):
            node = node.setdefault(part, {})
            if "--" in meaning:
                node["optional"] = True
    return root


def compare(value: Any, node: dict[str, Any], place: str = "") -> None:
    """Whether a value has the documented shape; what is documented as a whole is not looked into."""
    keys = {key: below for key, below in node.items() if key != "optional"}
    if not keys or value is None:
        return
    if "[]" in keys:
        assert isinstance(value, list), f"{place} is no list"
        for element in value:
            compare(element, keys["[]"], f"{place}[]")
        return
    assert isinstance(value, dict), f"{place} is no object"
    if "*" not in keys:
        needed = {key for key, below in keys.items() if not below.get("optional")}
        assert needed <= set(value), f"{place}: documented, and not printed: {needed - set(value)}"
        assert set(value) <= set(keys), f"{place}: printed, and not documented: {set(value) - set(keys)}"
    for key, below in value.items():
        compare(below, keys.get(key, keys.get("*", {})), f"{place}.{key}")


def documented(name: str, part: int = 0) -> dict[str, Any]:
    return tree(catalogue.entry(name).json.split("\n\n")[part])


@pytest.fixture
def lived(kugetsu, parked):
    """The story of q1, a task that waits, one that is completed, and an agent's output."""
    parked.at("12:30:00").enqueue("later", issue="github.com/a/b#2")
    parked.enqueue("done", issue="github.com/a/b#3")
    parked.finish(parked.run("q3"), "succeed", "done", "it is done")
    parked.enqueue("alive", issue="github.com/a/b#4")
    parked.run("q4", alive=True)
    (kugetsu.root / "runs" / "q3.1").mkdir(parents=True)
    return kugetsu


@pytest.mark.parametrize("name", CALLS)
def test_a_command_prints_the_keys_that_are_documented(lived, name):
    shown = lived(*CALLS[name], "--json")
    assert shown.code == 0, shown
    if name == "why SEQ":
        assert set(shown.json) == {"event", "because", "led_to", "depths", "more", "holds"}
    elif name == "history":
        every = [json.loads(line) for line in shown.out.splitlines()]
        assert set().union(*every) <= set(documented(name))
    elif name == "queue clear --all":
        assert set(shown.json) == {"cancelled", "seq"}
    else:
        compare(shown.json, documented(name))


def test_commands_that_start_agents_print_the_keys_that_are_documented(ready):
    compare(ready("init", "--json").json, documented("init"))
    for name in ("start", "continue"):
        data = ready(name, "example.com/o/r#1", "go", "--wait", "--json").json
        compare(data, documented(name))
        assert "exit_code" in data
    for name in ("queue-daemon start", "queue-daemon restart"):
        compare(ready(*name.split(), "--json").json, documented(name))
    compare(ready("destroy", "example.com/o/r#1", "--force", "--json").json, documented("destroy"))


def test_a_resume_prints_the_keys_that_are_documented(lived):
    for repository in ((), ("a/b",)):
        lived("queue", "pause", *repository)
    shown = lived("queue", "resume", "--json")
    assert shown.json["paused"]
    compare(shown.json, documented("queue resume"))


def test_every_command_with_json_is_tried():
    takers = [name for name in COMMANDS if any("--json" in one.names for one in catalogue.load(name)[0].declared)]
    missing = [name for name in takers if name not in CALLS and name not in ELSEWHERE]
    assert missing == [], "add a call of it to CALLS, or to ELSEWHERE where its JSON is tested"


def test_a_shape_that_differs_is_found():
    shape = tree("a  x\nb[].c  y\nd.*  z\ne  with --wait: w")
    compare({"a": 1, "b": [{"c": 2}], "d": {"any": 1}}, shape)
    compare({"a": 1, "b": [], "d": {}, "e": 1}, shape)
    for wrong in (
        {"a": 1},
        {"a": 1, "b": [{"x": 1}], "d": {}},
        {"a": 1, "b": {}, "d": {}},
        {"a": 1, "b": [], "d": {}, "f": 1},
    ):
        with pytest.raises(AssertionError):
            compare(wrong, shape)
